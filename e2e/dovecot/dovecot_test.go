package dovecot_test

import (
	"crypto/tls"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/starling-mail/starling/e2e/dovecot"
)

// TestStart logs in over both ports of each kind of Dovecot.
func TestStart(t *testing.T) {
	for name, c := range map[string]dovecot.Config{
		"maildir":   {Format: "maildir"},
		"sdbox":     {Format: "sdbox"},
		"hibernate": {Hibernate: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			c.Users, c.Password = []string{"ada"}, "secret"
			s, err := dovecot.Start(t.Context(), c)
			if errors.Is(err, dovecot.ErrMissing) && os.Getenv("STARLING_E2E") == "" {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}()
			for addr, dial := range map[string]func(string, *imapclient.Options) (*imapclient.Client, error){
				s.IMAP:  imapclient.DialInsecure,
				s.IMAPS: imapclient.DialTLS,
			} {
				client, err := dial(addr, &imapclient.Options{TLSConfig: &tls.Config{InsecureSkipVerify: true}})
				if err != nil {
					t.Fatal(err)
				}
				if err := client.Login("ada", "secret").Wait(); err != nil {
					t.Errorf("login: %v\n%s", err, s.Log())
				}
				if _, err := client.Select("INBOX", nil).Wait(); err != nil {
					t.Errorf("select: %v\n%s", err, s.Log())
				}
				client.Close()
			}
		})
	}
}
