package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/feedcodec"
)

// nodes are stores on one database, with what each published.
type nodes struct {
	stores []*Store
	mu     sync.Mutex
	told   [][]mailbox.Event
}

func openNodes(t *testing.T, n int, url string) *nodes {
	ns := &nodes{told: make([][]mailbox.Event, n)}
	b := blobs(t)
	for i := range n {
		ns.stores = append(ns.stores, open(t, Options{URL: url, Blobs: b, Publish: func(events []mailbox.Event) {
			ns.mu.Lock()
			defer ns.mu.Unlock()
			ns.told[i] = append(ns.told[i], events...)
		}}))
	}
	return ns
}

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

// chained wants Changes to follow each other from the first ModSeq on.
func chained(t *testing.T, what string, list []*mailbox.Change) {
	t.Helper()
	prev := mailbox.ModSeq(1)
	for _, c := range list {
		if c.Prev != prev || c.ModSeq <= c.Prev {
			t.Fatalf("%s: after modseq %d comes a change from %d to %d", what, prev, c.Prev, c.ModSeq)
		}
		prev = c.ModSeq
	}
}

// follow reads a feed, a few events at a time, until ctx ends and then to its
// end.
func follow(ctx context.Context, t *testing.T, s *Store, cursor mailstore.Cursor) (all []mailbox.Event) {
	for {
		last := ctx.Err() != nil
		events, next, err := s.ReadFeed(context.Background(), cursor, 1+rand.IntN(20))
		if err != nil {
			t.Error(err)
			return all
		}
		all, cursor = append(all, events...), next
		if last && len(events) == 0 {
			return all
		}
	}
}

// TestNodes has three nodes do everything to the same mailboxes. Each mailbox
// has one order: what the nodes published makes one chain, the feed tells the same, and so does asking for what
// changed, at any moment.
func TestNodes(t *testing.T) {
	ns := openNodes(t, 3, database(t))
	s := ns.stores[0]
	cursor, err := s.FeedEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a, inbox := addAccount(t, s, "ada")
	boxes := []mailbox.ID{inbox}
	for i := range 2 {
		b, err := s.Create(t.Context(), a, fmt.Sprint("x", i), nil)
		if err != nil {
			t.Fatal(err)
		}
		boxes = append(boxes, b.ID)
	}
	ctx, stop := context.WithCancel(t.Context())
	var readers, writers sync.WaitGroup
	var fed []mailbox.Event
	readers.Go(func() { fed = follow(ctx, t, ns.stores[1], cursor) })
	var asked []*mailbox.Change
	readers.Go(func() { asked = watch(ctx, t, ns.stores[2], inbox) })
	for n, s := range ns.stores {
		for w := range 4 {
			writers.Go(func() {
				for i := range 40 {
					if err := work(s, boxes, n*100+w*10+i); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		writers.Go(func() {
			name := fmt.Sprint("tree", n)
			for i := range 6 {
				to := fmt.Sprint("tree", n, "-", i)
				_, err := s.Create(ctx, a, name, nil)
				_, err2 := s.Create(ctx, a, name+"/leaf", nil)
				if err := errors.Join(err, err2, s.Rename(ctx, a, name, to), s.Delete(ctx, a, to), s.Delete(ctx, a, to+"/leaf")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	stop()
	readers.Wait()

	var every []mailbox.Event
	for n, events := range ns.told {
		for id, list := range changes(events) {
			if !slices.IsSortedFunc(list, func(a, b *mailbox.Change) int { return int(a.ModSeq) - int(b.ModSeq) }) {
				t.Errorf("node %d published mailbox %s out of order", n, id)
			}
		}
		every = append(every, events...)
	}
	if len(fed) != len(every) {
		t.Errorf("the feed told %d events, the nodes published %d", len(fed), len(every))
	}
	published, told := changes(every), changes(fed)
	for _, id := range boxes {
		list := published[id]
		slices.SortFunc(list, func(a, b *mailbox.Change) int { return int(a.ModSeq) - int(b.ModSeq) })
		chained(t, "published", list)
		chained(t, "feed", told[id])
		if !reflect.DeepEqual(list, told[id]) {
			t.Errorf("mailbox %s: the feed told other changes than were published", id)
		}
	}
	chained(t, "asked for", asked)
	compareNow(t, s, inbox, told[inbox], asked)
	was, is, err := s.RecountQuota(t.Context(), a, false)
	if err != nil || was != is {
		t.Errorf("usage %+v, counted %+v, %v", was, is, err)
	}
}

// work makes one change, of any kind.
func work(s *Store, boxes []mailbox.ID, i int) (err error) {
	ctx := context.Background()
	box, other := boxes[i%len(boxes)], boxes[(i+1)%len(boxes)]
	first := imap.UID(1 + rand.IntN(60))
	uids := imap.UIDSet{{Start: first, Stop: first + 2}}
	switch rand.IntN(7) {
	case 0, 1, 2:
		_, err = try(s, box, mail(i, 100), imap.FlagDeleted)
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

// watch asks again and again for what changed in a mailbox.
func watch(ctx context.Context, t *testing.T, s *Store, box mailbox.ID) (list []*mailbox.Change) {
	have := mailbox.ModSeq(1)
	for {
		last := ctx.Err() != nil
		c, ok, err := s.ChangesSince(context.Background(), box, have)
		if err != nil || !ok {
			t.Error(ok, err)
			return list
		}
		if c.ModSeq > have {
			list, have = append(list, c), c.ModSeq
		}
		if last {
			return list
		}
	}
}

// compareNow wants each list of Changes to lead to what the mailbox holds.
func compareNow(t *testing.T, s *Store, box mailbox.ID, lists ...[]*mailbox.Change) {
	t.Helper()
	var p mailstore.Page
	if err := s.Page(t.Context(), box, imap.UIDSet{{Start: 1, Stop: maxUID}}, mailstore.FieldFlags, 1<<20, &p); err != nil {
		t.Fatal(err)
	}
	want := make(map[imap.UID]mailbox.Flags)
	for _, r := range p.Rows {
		want[r.UID] = r.Flags
	}
	for n, list := range lists {
		got := make(map[imap.UID]mailbox.Flags)
		for _, c := range list {
			for _, f := range c.Flags {
				uids, _ := f.UIDs.Nums()
				for _, uid := range uids {
					got[uid] = f.Flags
				}
			}
			uids, _ := c.Expunged.Nums()
			for _, uid := range uids {
				delete(got, uid)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("list %d of changes leads to %d messages, the mailbox has %d", n, len(got), len(want))
		}
	}
}

// TestFeedLongTransaction has 16 writers and, beside them, transactions that
// take their place in the order early and commit late, or never. Nothing is skipped, repeated or out of order.
func TestFeedLongTransaction(t *testing.T) {
	url := database(t)
	ns := openNodes(t, 2, url)
	s := ns.stores[0]
	var inboxes []mailbox.ID
	for i := range 16 {
		_, inbox := addAccount(t, s, fmt.Sprint("user", i))
		inboxes = append(inboxes, inbox)
	}
	a, slow := addAccount(t, s, "slow")
	cursor, err := s.FeedEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n := range ns.told {
		ns.told[n] = nil
	}
	ctx, stop := context.WithCancel(t.Context())
	var readers, writers sync.WaitGroup
	feeds := make([][]mailbox.Event, 3)
	for i := range feeds {
		readers.Go(func() { feeds[i] = follow(ctx, t, ns.stores[i%2], cursor) })
	}
	const each = 30
	for w := range 16 {
		writers.Go(func() {
			for i := range each {
				if _, err := try(ns.stores[w%2], inboxes[(w+i)%16], mail(i, 100)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	const long = 12
	var late []mailbox.ModSeq
	writers.Go(func() {
		for i := range long {
			modseq := mailbox.ModSeq(len(late) + 1)
			c := &mailbox.Change{Mailbox: slow, Account: a, Line: s.line.Load(), Prev: modseq, ModSeq: modseq + 1}
			end := "COMMIT"
			if i%3 == 2 {
				end = "ROLLBACK"
			}
			if err := longTransaction(url, slow, c, end); err != nil {
				t.Error(err)
				return
			}
			if end == "COMMIT" {
				late = append(late, c.ModSeq)
			}
		}
	})
	writers.Wait()
	stop()
	readers.Wait()
	want := changes(slices.Concat(ns.told...))
	for i, fed := range feeds {
		if n := 16*each + len(late); len(fed) != n {
			t.Errorf("reader %d: %d events, want %d", i, len(fed), n)
		}
		got := changes(fed)
		for _, id := range append(inboxes, slow) {
			chained(t, fmt.Sprint("reader ", i), got[id])
			if id != slow && len(got[id]) != len(want[id]) {
				t.Errorf("reader %d: %d changes of a mailbox, want %d", i, len(got[id]), len(want[id]))
			}
		}
		if len(got[slow]) != len(late) {
			t.Errorf("reader %d: %d changes of long transactions, want %d", i, len(got[slow]), len(late))
		}
	}
}

// longTransaction does what the store does for a Change, slowly.
func longTransaction(url string, box mailbox.ID, change *mailbox.Change, end string) error {
	ctx := context.Background()
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	for _, step := range []struct {
		sql  string
		args []any
	}{
		{"BEGIN", nil},
		{"UPDATE mailboxes SET modseq = $2 WHERE id = $1", []any{box[:], int64(change.ModSeq)}},
		{"INSERT INTO feed (event) VALUES ($1)", []any{feedcodec.Encode(mailbox.ChangeEvent(change))}},
		{end, nil},
	} {
		pause(ctx, rand.N(40*time.Millisecond))
		if _, err := c.Exec(ctx, step.sql, step.args...); err != nil {
			return err
		}
	}
	return nil
}

// TestOpenTogether has nodes make the schema at the same time.
func TestOpenTogether(t *testing.T) {
	url := database(t)
	exec(t, url, `DROP SCHEMA public CASCADE`)
	exec(t, url, `CREATE SCHEMA public`)
	b := blobs(t)
	var wg sync.WaitGroup
	stores := make([]*Store, 4)
	for i := range stores {
		wg.Go(func() {
			s, err := Open(context.Background(), Options{URL: url, Blobs: b})
			if err != nil {
				t.Error(err)
				return
			}
			stores[i] = s
		})
	}
	wg.Wait()
	for _, s := range stores {
		if s != nil {
			if s.line.Load() != stores[0].line.Load() || s.system != stores[0].system {
				t.Error("the nodes do not agree whose store it is")
			}
			s.Close()
		}
	}
	exec(t, url, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, true)`)
	if s, err := Open(context.Background(), Options{URL: url, Blobs: b}); err == nil {
		t.Error("a database of a newer version was opened")
		s.Close()
	}
}
