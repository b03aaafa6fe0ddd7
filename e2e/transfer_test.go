package e2e

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/google/go-cmp/cmp"

	"github.com/starling-mail/starling/e2e/dovecot"
)

// contents is what a client knows of an account, by mailbox.
type contents map[string]box

type box struct {
	UIDValidity uint32
	Subscribed  bool
	Messages    []message
}

type message struct {
	UID   imap.UID
	Flags []imap.Flag
	Date  string // INTERNALDATE
	Text  string
}

// read reads a whole account.
func read(t *testing.T, c *imapclient.Client) contents {
	t.Helper()
	list, err := c.List("", "*", nil).Collect()
	if err != nil {
		t.Fatal(err)
	}
	subscribed, err := c.List("", "*", &imap.ListOptions{SelectSubscribed: true}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	all := contents{}
	for _, data := range list {
		sel := open(t, c, data.Mailbox)
		b := box{UIDValidity: sel.UIDValidity, Subscribed: slices.ContainsFunc(subscribed, func(s *imap.ListData) bool { return s.Mailbox == data.Mailbox })}
		if sel.NumMessages > 0 {
			rows, err := c.Fetch(imap.SeqSet{{Start: 1}}, &imap.FetchOptions{
				UID: true, Flags: true, InternalDate: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}},
			}).Collect()
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				flags := slices.Sorted(slices.Values(slices.DeleteFunc(r.Flags, func(f imap.Flag) bool { return f == `\Recent` })))
				b.Messages = append(b.Messages, message{r.UID, flags, r.InternalDate.UTC().String(), string(r.BodySection[0].Bytes)})
			}
		}
		all[data.Mailbox] = b
	}
	return all
}

// TestTransfer moves an account from a real Dovecot to Starling and back. The
// clients of the account need to download nothing again: UIDs, UIDVALIDITY,
// flags, keywords, dates and subscriptions are the same.
func TestTransfer(t *testing.T) {
	old := startDovecot(t, "")
	want := contents{}
	func() {
		c := loginDovecot(t, old)
		for _, name := range []string{"Work", "Work.Plans", "Empty"} {
			if err := c.Create(name, nil).Wait(); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"INBOX", "Work.Plans"} {
			if err := c.Subscribe(name).Wait(); err != nil {
				t.Fatal(err)
			}
		}
		for i, flags := range [][]imap.Flag{nil, {imap.FlagSeen}, {imap.FlagSeen, imap.FlagAnswered, "$Label1"}, {imap.FlagFlagged, "later"}} {
			store(t, c, "INBOX", mail("inbox "+string(rune('a'+i))), flags...)
			store(t, c, "Work.Plans", mail("plan "+string(rune('a'+i))), flags...)
		}
		open(t, c, "INBOX") // so that the UIDs have a gap
		flag(t, c, imap.SeqSetNum(2), imap.StoreFlagsAdd, imap.FlagDeleted)
		if err := c.Expunge().Close(); err != nil {
			t.Fatal(err)
		}
		for name, b := range read(t, c) {
			want[strings.ReplaceAll(name, ".", "/")] = b
		}
	}()
	if err := old.Stop(patience); err != nil {
		t.Fatal(err)
	}

	n := startNode(t, nil)
	if _, err := n.Run(t.Context(), "", "import", user, old.Mail("ada")); err != nil {
		t.Fatal(err)
	}
	got := read(t, login(t, n, nil))
	for name := range got { // what every new account has besides
		if _, ok := want[name]; !ok && len(got[name].Messages) == 0 {
			delete(got, name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("after import (- Dovecot, + Starling):\n%s", diff)
	}

	// Once more takes nothing in.
	if _, err := n.Run(t.Context(), "", "import", user, old.Mail("ada")); err != nil {
		t.Fatal(err)
	}
	if again := read(t, login(t, n, nil)); len(again["INBOX"].Messages) != len(want["INBOX"].Messages) {
		t.Errorf("after the second import, INBOX has %d messages", len(again["INBOX"].Messages))
	}

	folder := filepath.Join(t.TempDir(), "export")
	if _, err := n.Run(t.Context(), "", "export", user, folder); err != nil {
		t.Fatal(err)
	}
	back := startDovecot(t, folder)
	got = contents{}
	for name, b := range read(t, loginDovecot(t, back)) {
		if name = strings.ReplaceAll(name, ".", "/"); len(b.Messages) > 0 {
			got[name] = b
		}
	}
	maps.DeleteFunc(want, func(_ string, b box) bool { return len(b.Messages) == 0 })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after export (- the first Dovecot, + the second):\n%s", diff)
	}
}

// startDovecot starts a Dovecot with the user ada, whose mail is a copy of
// maildir if that is given.
func startDovecot(t *testing.T, maildir string) *dovecot.Server {
	t.Helper()
	s, err := dovecot.Start(t.Context(), dovecot.Config{Users: []string{"ada"}, Password: password})
	if errors.Is(err, dovecot.ErrMissing) && !strict() {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if maildir != "" {
		if err := s.SetMail("ada", maildir); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func loginDovecot(t *testing.T, s *dovecot.Server) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialInsecure(s.IMAP, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Login("ada", password).Wait(); err != nil {
		t.Fatalf("%v\n%s", err, s.Log())
	}
	return c
}
