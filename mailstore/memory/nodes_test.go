package memory

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// changes returns the Changes of each mailbox that events hold, as they come.
func changes(events []mailbox.Event) map[mailbox.ID][]*mailbox.Change {
	m := make(map[mailbox.ID][]*mailbox.Change)
	for _, e := range events {
		if e.Change != nil {
			m[e.Mailbox] = append(m[e.Mailbox], e.Change)
		}
	}
	return m
}

// TestNodes has three nodes do everything to the same mailboxes: what they
// published makes one chain for each mailbox, each node's in order, and the feed tells the same.
func TestNodes(t *testing.T) {
	w := New(Options{})
	nodes := []*watched{watch(w), watch(w), watch(w)}
	cursor, err := nodes[0].FeedEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	boxes := threeBoxes(t, nodes[0].Store)
	var wg sync.WaitGroup
	for n, node := range nodes {
		for i := range 4 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(n), uint64(i)))
				for range 60 {
					if err := work(node.Store, boxes, r); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	var every []mailbox.Event
	byModSeq := func(a, b *mailbox.Change) int { return int(a.ModSeq) - int(b.ModSeq) }
	for n, node := range nodes {
		for id, list := range changes(node.told) {
			if !slices.IsSortedFunc(list, byModSeq) {
				t.Errorf("node %d published mailbox %s out of order", n, id)
			}
		}
		every = append(every, node.told...)
	}
	var fed []mailbox.Event
	for node := 0; ; node++ { // any node reads on where another stopped
		events, next, err := nodes[node%3].ReadFeed(t.Context(), cursor, 7)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			break
		}
		fed, cursor = append(fed, events...), next
	}
	if len(fed) != len(every) {
		t.Errorf("the feed told %d events, the nodes published %d", len(fed), len(every))
	}
	published, told := changes(every), changes(fed)
	for _, id := range boxes {
		list := published[id]
		slices.SortFunc(list, byModSeq)
		prev := mailbox.ModSeq(1)
		for _, c := range list {
			if c.Prev != prev {
				t.Fatalf("after modseq %d comes a change from %d", prev, c.Prev)
			}
			prev = c.ModSeq
		}
		if !reflect.DeepEqual(list, told[id]) {
			t.Errorf("mailbox %s: the feed told other changes than were published", id)
		}
	}
}

// threeBoxes adds a user and returns their mailboxes.
func threeBoxes(t *testing.T, s *Store) (boxes []mailbox.ID) {
	t.Helper()
	u, err := s.AddUser(t.Context(), mailbox.User{Name: "ada"}, []mailstore.NewMailbox{{Name: "x"}, {Name: "y"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{mailbox.Inbox, "x", "y"} {
		boxes = append(boxes, lookup(t, s, u.Account, name).ID)
	}
	return boxes
}

// work makes one change, of any kind.
func work(s *Store, boxes []mailbox.ID, r *rand.Rand) (err error) {
	ctx := context.Background()
	box, other := boxes[r.IntN(3)], boxes[r.IntN(3)]
	first := imap.UID(1 + r.IntN(40))
	uids := span(first, first+2)
	switch r.IntN(7) {
	case 0, 1, 2:
		_, err = try(s, box, mailOf(r.IntN(100)), imap.FlagDeleted)
	case 3:
		_, err = s.UpdateFlags(ctx, box, uids, mailstore.FlagUpdate{Op: imap.StoreFlagsAdd, Flags: mailbox.NewFlags(imap.FlagSeen, "k")})
	case 4:
		_, err = s.Expunge(ctx, box, uids)
	case 5:
		_, err = s.Move(ctx, box, other, uids)
	case 6:
		_, err = s.Copy(ctx, box, other, uids)
	}
	return err
}

// TestSeed runs the same calls in worlds of the same seed, and wants the same of
// them to the last byte; and other IDs in a world of another seed.
func TestSeed(t *testing.T) {
	run := func(seed uint64) (all string) {
		synctest.Test(t, func(t *testing.T) {
			w := New(Options{Seed: seed})
			a, b := watch(w), watch(w)
			boxes := threeBoxes(t, a.Store)
			r := rand.New(rand.NewPCG(1, 1))
			for i := range 200 {
				if err := work([]*Store{a.Store, b.Store}[i%2], boxes, r); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
			}
			users, err := a.UserList(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			list, err := a.List(t.Context(), users[0].Account)
			if err != nil {
				t.Fatal(err)
			}
			var p mailstore.Page
			if err := a.Page(t.Context(), boxes[0], span(1, maxUID), ^mailstore.Fields(0), 1000, &p); err != nil {
				t.Fatal(err)
			}
			if err := a.RemoveUser(t.Context(), "ada"); err != nil {
				t.Fatal(err)
			}
			all = fmt.Sprintf("%+v %+v %+v", users, list, p)
			for _, events := range [][]mailbox.Event{a.told, b.told} {
				for _, e := range events {
					c := e.Change
					e.Change = nil // it would print as an address
					all += fmt.Sprintf("\n%+v %+v", e, c)
				}
			}
			all += fmt.Sprint(w.feed, w.cursor(w.end()))
		})
		return all
	}
	first := run(1)
	for range 5 {
		if run(1) != first {
			t.Fatal("the same seed led elsewhere")
		}
	}
	if run(2) == first {
		t.Error("another seed led to the same")
	}
}

// TestCursors wants a cursor of another world, or of what is yet to come, refused.
func TestCursors(t *testing.T) {
	w, other := New(Options{Seed: 1}), New(Options{Seed: 2})
	s := w.Open(Node{})
	strange, err := other.Open(Node{}).FeedEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []mailstore.Cursor{strange, w.cursor(1), w.cursor(1 << 63)} {
		if _, _, err := s.ReadFeed(t.Context(), c, 1); mailbox.KindOf(err) != mailbox.NonExistent {
			t.Errorf("cursor %q: %v", c, err)
		}
	}
}

// TestCopies changes all that it was given: the store does not notice.
func TestCopies(t *testing.T) {
	w := New(Options{})
	s := w.Open(Node{})
	aliases := []string{"a", "b"}
	use := []imap.MailboxAttr{imap.MailboxAttrTrash}
	u, err := s.AddUser(t.Context(), mailbox.User{Name: "ada", Aliases: aliases}, []mailstore.NewMailbox{{Name: "x", SpecialUse: use}})
	if err != nil {
		t.Fatal(err)
	}
	box := lookup(t, s, u.Account, "x").ID
	text := mailOf(1)
	add(t, s, box, text, "k")
	add(t, s, box, mailOf(2), imap.FlagDeleted)
	gone, err := s.Expunge(t.Context(), box, span(1, 2))
	if err != nil {
		t.Fatal(err)
	}
	// look reads everything, and may then spoil what it was given.
	look := func(spoil bool) string {
		t.Helper()
		got, err := s.User(t.Context(), "ada")
		if err != nil {
			t.Fatal(err)
		}
		snap, err := s.Snapshot(t.Context(), box)
		if err != nil {
			t.Fatal(err)
		}
		since, _, err := s.ChangesSince(t.Context(), box, 1)
		if err != nil {
			t.Fatal(err)
		}
		events, _, err := s.ReadFeed(t.Context(), w.cursor(0), 100)
		if err != nil {
			t.Fatal(err)
		}
		fed := events[len(events)-1].Change
		var p mailstore.Page
		if err := s.Page(t.Context(), box, span(1, 1), ^mailstore.Fields(0), 1, &p); err != nil {
			t.Fatal(err)
		}
		b, err := s.Body(t.Context(), box, 1)
		if err != nil {
			t.Fatal(err)
		}
		bytes := make([]byte, b.Size())
		if _, err := b.ReadAt(bytes, 0); err != nil {
			t.Fatal(err)
		}
		all := fmt.Sprintf("%+v %+v %+v %+v %+v %s", got, snap, since, fed, p, bytes)
		if spoil {
			got.Aliases[0], u.Aliases[0], aliases[0] = "spoilt", "spoilt", "spoilt"
			use[0], snap.SpecialUse[0], snap.Keywords[0] = "spoilt", "spoilt", "spoilt"
			for _, set := range []imap.UIDSet{snap.UIDs, since.Added, since.Expunged, fed.Expunged, gone.Expunged} {
				set[0].Start = 0
			}
			for _, data := range [][]byte{p.Rows[0].Envelope, p.Rows[0].Structure, bytes, text} {
				clear(data)
			}
		}
		return all
	}
	before := look(true)
	if after := look(false); after != before {
		t.Errorf("%s\nwas\n%s", after, before)
	}
}
