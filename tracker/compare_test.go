package tracker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// A manyStore is a store of several mailboxes.
type manyStore map[mailbox.ID]*fakeStore

func (m manyStore) Snapshot(ctx context.Context, box mailbox.ID) (*mailstore.Snapshot, error) {
	return m[box].Snapshot(ctx, box)
}

func (m manyStore) ChangesSince(ctx context.Context, box mailbox.ID, since mailbox.ModSeq) (*mailbox.Change, bool, error) {
	return m[box].ChangesSince(ctx, box, since)
}

func (m manyStore) ClaimRecent(ctx context.Context, box mailbox.ID, upTo imap.UID) (imap.UID, error) {
	return m[box].ClaimRecent(ctx, box, upTo)
}

func (m manyStore) Page(ctx context.Context, box mailbox.ID, uids imap.UIDSet, fields mailstore.Fields, limit int, p *mailstore.Page) error {
	return m[box].Page(ctx, box, uids, fields, limit, p)
}

// TestCompareAll shows what happens when the feed did not reach back, or the store is another one: all that is watched is compared with the store as
// a whole, so many mailboxes a second and no more; events are applied meanwhile; who opens a mailbox sees what the store has; and
// what nobody watches is not read.
func TestCompareAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const watched, unwatched, rate = 40, 10, 20
		bus := eventbus.New(eventbus.Options{Log: zerolog.Nop()})
		defer bus.Close(context.Background())
		many := make(manyStore)
		set := New(Options{Store: many, Bus: bus, CompareRate: rate, Log: zerolog.Nop()})
		defer set.Close()
		var network []mailbox.Event
		var clients []*client
		for n := range watched + unwatched {
			store := newFakeStore(func(events []mailbox.Event) { network = append(network, events...) })
			many[store.box] = store
			store.add(5, 0)
			c := openClient(t, set, store)
			clients = append(clients, c)
			if n >= watched {
				c.view.Close()
			}
		}
		snapshots := func() (n int) {
			for _, c := range clients {
				n += c.store.count("Snapshot") - 1 // but for its own loading
			}
			return n
		}
		for _, c := range clients {
			c.store.expunge(3)
			c.store.add(2, 0)
		}
		network = nil // nobody hears of it
		bus.Compare()
		synctest.Wait()
		bus.Compare() // once more: only the first one's turn was before
		synctest.Wait()
		set.comparison.mu.Lock()
		waiting := len(set.comparison.line)
		set.comparison.mu.Unlock()
		if n := snapshots(); n != 1 || waiting > len(clients) {
			t.Errorf("%d mailboxes were read at once, %d are in line", n, waiting)
		}
		// One that has just been compared hears of what comes, and so does one that has not.
		live, late := clients[watched-1], clients[watched]
		for _, c := range clients[:watched] {
			if c.view.HasNews() {
				c.store.add(1, 0)
				bus.Publish(network)
				c.flush(t, true, 10)
				c.same(t)
			} else {
				live = c
			}
		}
		bus.Publish([]mailbox.Event{mailbox.ChangeEvent(&mailbox.Change{Mailbox: live.store.box, Line: 1, Prev: live.view.ModSeq(), ModSeq: live.view.ModSeq() + 1,
			Expunged: imap.UIDSet{{Start: 3, Stop: 3}}})})
		if !live.view.HasNews() {
			t.Error("an event is not applied while the comparison lasts")
		}
		again := openClient(t, set, late.store)
		again.same(t)
		if n := late.store.count("Snapshot"); n != 2 {
			t.Errorf("a mailbox that was opened was read %d times", n)
		}
		read := snapshots()
		time.Sleep(time.Second)
		synctest.Wait()
		if n := snapshots() - read; n < rate-1 || n > rate+1 {
			t.Errorf("%d mailboxes were read in a second, want %d", n, rate)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for _, c := range clients[:watched] {
			c.flush(t, true, 10)
			c.same(t)
		}
		if n := snapshots(); n != watched+2 {
			t.Errorf("%d mailboxes were read, want %d", n, watched+2)
		}
		again.view.Close()
	})
}
