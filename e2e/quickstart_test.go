package e2e

import (
	"crypto/tls"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/starling-mail/starling/e2e/testhost"
)

// printed is what a new user types into a mail program.
var printed = regexp.MustCompile(`(?m)^ *(Hostname|Port|Username|Password) +(\S+)$`)

// TestQuickstart does what the README says first: start, log in with what was
// printed, deliver a message with the printed command.
func TestQuickstart(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	endpoints := []testhost.Endpoint{{Network: "tcp", Addr: "127.0.0.1:1143"}, {Network: "tcp", Addr: "127.0.0.1:1993"}}
	start := func() (*testhost.Process, *imapclient.Client, map[string]string) {
		t.Helper()
		p, err := testhost.Start(t.Context(), endpoints, binary, "serve", "--quickstart", "--data", data)
		if err != nil {
			t.Fatal(err)
		}
		c, err := imapclient.DialTLS("127.0.0.1:1993", &imapclient.Options{TLSConfig: &tls.Config{InsecureSkipVerify: true}})
		if err != nil {
			p.Kill()
			t.Fatalf("%v\n%s", err, p.Log())
		}
		said := map[string]string{}
		for _, m := range printed.FindAllStringSubmatch(p.Log(), -1) {
			said[m[1]] = m[2]
		}
		return p, c, said
	}
	p, c, said := start()
	if said["Hostname"]+":"+said["Port"] != "127.0.0.1:1993" {
		t.Errorf("printed %v", said)
	}
	if err := c.Login(said["Username"], said["Password"]).Wait(); err != nil {
		t.Fatalf("login with what was printed: %v\n%s", err, p.Log())
	}
	open(t, c, "INBOX")

	deliver := exec.CommandContext(t.Context(), binary, "deliver", said["Username"], "-c", filepath.Join(data, "config.toml"))
	deliver.Stdin = strings.NewReader("From: me@localhost\nSubject: Hello\n\nIt works.\n")
	if out, err := deliver.CombinedOutput(); err != nil {
		t.Fatalf("deliver: %v\n%s", err, out)
	}
	if got := flagsBySubject(t, c, "INBOX"); got["Hello"] == nil {
		t.Errorf("INBOX has %v", got)
	}
	c.Close()
	if err := p.Stop(20 * time.Second); err != nil {
		t.Fatal(err)
	}

	// The second start finds everything and makes nothing anew.
	p, c, again := start()
	defer p.Stop(20 * time.Second)
	defer c.Close()
	if again["Username"] != said["Username"] || again["Password"] == said["Password"] {
		t.Errorf("the second start printed %v", again)
	}
	if err := c.Login(said["Username"], said["Password"]).Wait(); err != nil {
		t.Errorf("the first password: %v", err)
	}
}
