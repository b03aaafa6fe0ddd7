package memory

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

func span(from, to imap.UID) imap.UIDSet { return imap.UIDSet{{Start: from, Stop: to}} }

// mailOf makes a small message.
func mailOf(n int) []byte {
	return fmt.Appendf(nil, "From: Ada <ada@example.org>\r\nTo: Bob <bob@example.net>\r\nSubject: Message %d\r\n"+
		"Date: Mon, 1 Jun 2026 10:00:00 +0200\r\nMessage-ID: <%d@example.org>\r\n\r\nThe text.\r\n", n, n)
}

// addUser adds a user and returns their INBOX.
func addUser(t testing.TB, s *Store, name string) mailbox.ID {
	t.Helper()
	u, err := s.AddUser(context.Background(), mailbox.User{Name: name}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return lookup(t, s, u.Account, mailbox.Inbox).ID
}

func lookup(t testing.TB, s *Store, a mailbox.AccountID, name string) mailstore.Info {
	t.Helper()
	i, err := s.Lookup(context.Background(), a, name)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// try appends one message.
func try(s *Store, box mailbox.ID, text []byte, flags ...imap.Flag) (*mailbox.Change, error) {
	d, err := s.Receive(context.Background(), bytes.NewReader(text), 1<<20)
	if err != nil {
		return nil, err
	}
	defer d.Discard()
	a, err := s.Append(context.Background(), box, []mailstore.Incoming{{Draft: d, Flags: mailbox.NewFlags(flags...)}})
	return a.Change, err
}

func add(t testing.TB, s *Store, box mailbox.ID, text []byte, flags ...imap.Flag) imap.UID {
	t.Helper()
	c, err := try(s, box, text, flags...)
	if err != nil {
		t.Fatal(err)
	}
	return c.Added[0].Start
}
