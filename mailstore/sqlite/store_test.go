package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// open opens a store that is closed at the test's end.
func open(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// account adds a user and returns the account and its INBOX.
func account(t testing.TB, s *Store, name string) (mailbox.AccountID, mailbox.ID) {
	t.Helper()
	u, err := s.AddUser(context.Background(), mailbox.User{Name: name}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Lookup(context.Background(), u.Account, mailbox.Inbox)
	if err != nil {
		t.Fatal(err)
	}
	return u.Account, b.ID
}

// mail makes a message of about size bytes.
func mail(n, size int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: Ada <ada@example.org>\r\nTo: Bob <bob@example.net>\r\nSubject: Message %d\r\nDate: Mon, 1 Jun 2026 10:00:00 +0200\r\nMessage-ID: <%d@example.org>\r\n\r\n", n, n)
	for line := 0; b.Len() < size; line++ {
		fmt.Fprintf(&b, "%d: the quick brown fox %x jumps over the lazy dog.\r\n", line, line*line*7919+n)
	}
	return b.Bytes()
}

func receive(t testing.TB, s *Store, b []byte) mailstore.Draft {
	t.Helper()
	d, err := s.Receive(context.Background(), bytes.NewReader(b), 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// add appends one message and returns its UID.
func add(t testing.TB, s *Store, box mailbox.ID, b []byte, flags ...imap.Flag) imap.UID {
	t.Helper()
	d := receive(t, s, b)
	defer d.Discard()
	a, err := s.Append(context.Background(), box, []mailstore.Incoming{{Draft: d, Flags: mailbox.NewFlags(flags...)}})
	if err != nil {
		t.Fatal(err)
	}
	return a.Change.Added[0].Start
}

func body(t testing.TB, s *Store, box mailbox.ID, uid imap.UID) []byte {
	t.Helper()
	b, err := s.Body(context.Background(), box, uid)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), Options{Dir: dir, Inline: 4096})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Dir: dir}); mailbox.KindOf(err) != mailbox.InUse {
		t.Errorf("second Open: %v, want kind InUse", err)
	}
	_, inbox := account(t, s, "ada")
	small, large := mail(1, 1000), mail(2, 100_000)
	add(t, s, inbox, small, imap.FlagSeen, "$Work")
	add(t, s, inbox, large)
	line := s.line
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(t.Context()); mailbox.KindOf(err) != mailbox.Unavailable {
		t.Errorf("Ready after Close: %v", err)
	}
	s = open(t, Options{Dir: dir})
	if s.line != line {
		t.Errorf("Line %d, was %d", s.line, line)
	}
	for uid, want := range map[imap.UID][]byte{1: small, 2: large} {
		if got := body(t, s, inbox, uid); !bytes.Equal(got, want) {
			t.Errorf("body of %d: %d bytes, want %d", uid, len(got), len(want))
		}
	}
	var p mailstore.Page
	if err := s.Page(t.Context(), inbox, imap.UIDSet{{Start: 1, Stop: 10}}, 0xff, 10, &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Rows) != 2 || p.Rows[0].Flags != mailbox.NewFlags(imap.FlagSeen, "$Work") || p.Rows[1].Size != int64(len(large)) ||
		!strings.Contains(string(p.Rows[1].Envelope), "Message 2") {
		t.Errorf("page: %+v", p.Rows)
	}
}
