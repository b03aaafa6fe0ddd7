package postgres

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// count returns how many blobs there are, besides the one that marks the place.
func count(t *testing.T, s *Store) (n int) {
	t.Helper()
	for i, err := range s.blobs.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if i.ID != blob.ID(s.system) {
			n++
		}
	}
	return n
}

func expunge(t *testing.T, s *Store, box mailbox.ID) {
	t.Helper()
	all := imap.UIDSet{{Start: 1, Stop: maxUID}}
	if _, err := s.UpdateFlags(t.Context(), box, all, mailstore.FlagUpdate{Op: imap.StoreFlagsAdd, Flags: mailbox.NewFlags(imap.FlagDeleted)}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Expunge(t.Context(), box, all); err != nil {
		t.Fatal(err)
	}
}

// TestBlobsGo follows a blob that messages of two accounts share to its end.
func TestBlobsGo(t *testing.T) {
	url, shared := database(t), blobs(t)
	o := Options{URL: url, Blobs: shared, BodyGrace: time.Microsecond, MaintainEvery: time.Hour}
	s, other := open(t, o), open(t, o)
	_, ada := addAccount(t, s, "ada")
	_, bob := addAccount(t, s, "bob")
	large := mail(1, 300_000)
	d := receiveMail(t, s, large)
	in := []mailstore.Incoming{{Draft: d}}
	for _, box := range []mailbox.ID{ada, bob} {
		if _, err := s.Append(t.Context(), box, in); err != nil {
			t.Fatal(err)
		}
	}
	maintain := func() {
		t.Helper()
		for range 2 {
			if err := other.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	expunge(t, s, ada)
	maintain()
	if got := body(t, other, bob, 1); !bytes.Equal(got, large) {
		t.Errorf("the body changed when another account's message went: %d bytes", len(got))
	}
	expunge(t, s, bob)
	if n := count(t, s); n != 1 {
		t.Errorf("%d blobs right after the last message went, want 1", n)
	}
	maintain()
	if n := count(t, s); n != 0 {
		t.Errorf("%d blobs after maintenance, want none", n)
	}
	// The node that does not know of the draft has deleted it: no message may
	// refer to it.
	if _, err := s.Append(t.Context(), ada, in); mailbox.KindOf(err) != mailbox.Unavailable {
		t.Errorf("append of a draft whose blob is gone: %v", err)
	}
	d.Discard()
	add(t, s, ada, large)
	maintain()
	if got := body(t, other, ada, 2); !bytes.Equal(got, large) {
		t.Errorf("%d bytes", len(got))
	}
}

// TestOrphans leaves blobs without a message, as a node does that dies between
// storing the one and the other.
func TestOrphans(t *testing.T) {
	s := open(t, Options{BodyGrace: time.Microsecond, OrphanAge: time.Nanosecond, MaintainEvery: time.Hour})
	_, inbox := addAccount(t, s, "ada")
	large := mail(1, 300_000)
	add(t, s, inbox, large)
	draft := receiveMail(t, s, large) // not yet anybody's
	for range 3 {
		if _, err := s.blobs.Put(t.Context(), blob.NewID(), bytes.NewReader(large)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.collectOrphans(context.Background()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, s); n != 2 {
		t.Errorf("%d blobs, want the message's and the draft's", n)
	}
	if got := body(t, s, inbox, 1); !bytes.Equal(got, large) {
		t.Errorf("%d bytes", len(got))
	}
	draft.Discard()
}

// TestDraftElsewhere has one node look for orphans while another has stored a
// message's bytes and not yet the message, for longer than is usual: it is not collected.
func TestDraftElsewhere(t *testing.T) {
	o := Options{URL: database(t), Blobs: blobs(t), OrphanAge: time.Nanosecond, BodyGrace: time.Hour, MaintainEvery: time.Hour}
	slow, other := open(t, o), open(t, o)
	_, inbox := addAccount(t, slow, "ada")
	large := mail(1, 300_000)
	d := receiveMail(t, slow, large)
	defer d.Discard()
	collect := func() {
		t.Helper()
		if err := other.collectOrphans(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := other.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	collect()
	if _, err := slow.Append(t.Context(), inbox, []mailstore.Incoming{{Draft: d}}); err != nil {
		t.Fatal(err)
	}
	exec(t, o.URL, `UPDATE dead_blobs SET at = at - interval '2 hours'`) // its grace is over, were it still an orphan
	collect()
	if got := body(t, other, inbox, 1); !bytes.Equal(got, large) {
		t.Errorf("%d bytes", len(got))
	}
}

// TestMissingBlob says what is wrong where a body is lost.
func TestMissingBlob(t *testing.T) {
	s := open(t, Options{})
	_, inbox := addAccount(t, s, "ada")
	add(t, s, inbox, mail(1, 300_000))
	for i, err := range s.blobs.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if err := s.blobs.Delete(t.Context(), i.ID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Body(t.Context(), inbox, 1); mailbox.KindOf(err) != mailbox.Corrupt {
		t.Errorf("body: %v, want kind Corrupt", err)
	}
}

// TestPieces clears away more than one step does.
func TestPieces(t *testing.T) {
	s := open(t, Options{MaintainEvery: time.Hour})
	a, _ := addAccount(t, s, "ada")
	b, err := s.Create(t.Context(), a, "x", nil)
	if err != nil {
		t.Fatal(err)
	}
	d := receiveMail(t, s, mail(1, 1000))
	defer d.Discard()
	list := make([]mailstore.Incoming, 3*maintenanceStep/2)
	for i := range list {
		list[i].Draft = d
	}
	if _, err := s.Append(t.Context(), b.ID, list); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveUser(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	if err := s.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"accounts", "users", "names", "mailboxes", "subscriptions", "messages", "bodies", "shared", "threads", "expunged", "dead_boxes", "dead_accounts"} {
		var n int
		if err := s.pool.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			t.Errorf("%d rows are left in %s", n, table)
		}
	}
}

// TestOtherBlobs has a node with another folder than the first: it says so and
// does not start, whatever is in the folder. An orphan hunt leaves the mark where it is.
func TestOtherBlobs(t *testing.T) {
	o := Options{URL: database(t), Blobs: blobs(t), OrphanAge: time.Nanosecond, BodyGrace: time.Microsecond, MaintainEvery: time.Hour}
	s := open(t, o)
	if err := s.collectOrphans(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	open(t, o) // the same
	foreign := blobs(t)
	open(t, Options{Blobs: foreign}) // of another store
	for _, b := range []blob.Store{blobs(t), foreign} {
		o.Blobs = b
		other, err := Open(t.Context(), o)
		if mailbox.KindOf(err) != mailbox.Cannot {
			t.Errorf("opened with other blobs: %v", err)
		}
		if err == nil {
			other.Close()
		}
	}
}
