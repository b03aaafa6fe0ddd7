package e2e

import (
	"strings"
	"testing"
	"time"

	imap1 "github.com/emersion/go-imap"
	idle "github.com/emersion/go-imap-idle"
	client1 "github.com/emersion/go-imap/client"
)

// TestGoIMAP1 has go-imap v1's client with go-imap-idle receive what another
// connection does: many programs are built of these two.
func TestGoIMAP1(t *testing.T) {
	n := startNode(t, nil)
	connect := func() *client1.Client {
		c, err := client1.DialTLS(n.IMAPS, trust(t, n))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Terminate() })
		if err := c.Login(user, password); err != nil {
			t.Fatal(err)
		}
		return c
	}
	writer, watcher := connect(), connect()
	updates := make(chan client1.Update, 64)
	watcher.Updates = updates
	if _, err := watcher.Select("INBOX", false); err != nil {
		t.Fatal(err)
	}
	waiting := idle.NewClient(watcher)
	if ok, err := waiting.SupportIdle(); !ok || err != nil {
		t.Fatalf("IDLE supported: %v, %v", ok, err)
	}
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() { stopped <- waiting.IdleWithFallback(stop, 0) }()

	until := func(what string, is func(client1.Update) bool) {
		t.Helper()
		limit := time.After(20 * time.Second)
		for {
			select {
			case u := <-updates:
				if is(u) {
					return
				}
			case <-limit:
				t.Fatalf("no %s in 20 s", what)
			}
		}
	}
	if err := writer.Append("INBOX", nil, time.Now(), strings.NewReader(mail("for v1"))); err != nil {
		t.Fatal(err)
	}
	until("EXISTS", func(u client1.Update) bool {
		m, ok := u.(*client1.MailboxUpdate)
		return ok && m.Mailbox.Messages == 1
	})
	if _, err := writer.Select("INBOX", false); err != nil {
		t.Fatal(err)
	}
	one := new(imap1.SeqSet)
	one.AddNum(1)
	if err := writer.Store(one, imap1.FormatFlagsOp(imap1.AddFlags, true), []any{imap1.DeletedFlag}, nil); err != nil {
		t.Fatal(err)
	}
	until("FETCH", func(u client1.Update) bool {
		m, ok := u.(*client1.MessageUpdate)
		return ok && m.Message.SeqNum == 1
	})
	if err := writer.Expunge(nil); err != nil {
		t.Fatal(err)
	}
	until("EXPUNGE", func(u client1.Update) bool {
		e, ok := u.(*client1.ExpungeUpdate)
		return ok && e.SeqNum == 1
	})
	close(stop)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
