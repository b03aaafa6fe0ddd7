package memory

import (
	"bytes"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// TestNone has users refused for one of their mailboxes: nothing of them stays.
func TestNone(t *testing.T) {
	w := New(Options{MaxMailboxes: 2})
	s := w.Open(Node{})
	for name, boxes := range map[string][]mailstore.NewMailbox{
		"bad name":   {{Name: "x"}, {Name: "a*"}},
		"no such":    {{Name: "x", SpecialUse: []imap.MailboxAttr{"\\Odd"}}},
		"twice":      {{Name: "INBOX"}, {Name: "INBOX"}},
		"above many": {{Name: "x"}, {Name: "y"}},
	} {
		if u, err := s.AddUser(t.Context(), mailbox.User{Name: "ada", Aliases: []string{"a"}}, boxes); err == nil || u.Name != "" {
			t.Errorf("%s: %+v, %v", name, u, err)
		}
	}
	if len(w.names)+len(w.accounts)+len(w.boxes)+len(w.feed) > 0 {
		t.Errorf("left: %v %v %v, %d events", w.names, w.accounts, w.boxes, len(w.feed))
	}
}

// TestLargeDraft follows the bytes of a draft that is no longer needed: only the
// message keeps them.
func TestLargeDraft(t *testing.T) {
	w := New(Options{})
	s := w.Open(Node{})
	inbox := addUser(t, s, "ada")
	text := bytes.Repeat([]byte("0123456789abcde\n"), inline)
	drafts := func() (list []blob.Info) {
		for i, err := range w.blobs.List(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, i)
		}
		return list
	}
	d, err := s.Receive(t.Context(), bytes.NewReader(text), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	list := drafts()
	if len(list) != 1 || list[0].Size != int64(len(text)) {
		t.Fatalf("drafts: %+v", list)
	}
	if _, err := s.Append(t.Context(), inbox, []mailstore.Incoming{{Draft: d}}); err != nil {
		t.Fatal(err)
	}
	if b, err := w.blobs.Open(t.Context(), list[0].ID); err != nil || b.Size() != int64(len(text)) {
		t.Errorf("while the draft may be appended again: %v", err)
	}
	d.Discard()
	if _, err := w.blobs.Open(t.Context(), list[0].ID); mailbox.KindOf(err) != mailbox.NonExistent || len(drafts()) > 0 {
		t.Errorf("discarded: %v, %+v", err, drafts())
	}
	b, err := s.Body(t.Context(), inbox, 1)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := b.ReadAt(got, 0); err != nil || !bytes.Equal(got, text) {
		t.Errorf("body: %v", err)
	}
}
