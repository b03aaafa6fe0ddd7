package tracker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/mailbox"
)

// A world is a store and clients with a network between that loses, repeats and reorders. Time is the bubble's.
type world struct {
	bus     *eventbus.Bus
	set     *Set
	store   *fakeStore
	network []mailbox.Event // what was published; what of it is delivered, when and how often, is chance
	clients []*client
}

func newWorld() *world {
	w := &world{bus: eventbus.New(eventbus.Options{Log: zerolog.Nop()})}
	w.store = newFakeStore(func(events []mailbox.Event) { w.network = append(w.network, events...) })
	w.set = New(Options{Store: w.store, Bus: w.bus, Log: zerolog.Nop()})
	return w
}

func (w *world) close() {
	w.set.Close()
	w.bus.Close(context.Background())
}

// tracker returns the mailbox's tracker, if there is one.
func (w *world) tracker() *tracker {
	w.set.mu.Lock()
	defer w.set.mu.Unlock()
	return w.set.trackers[w.store.box]
}

// some returns some of the live UIDs.
func (w *world) some(next func(int) int) []imap.UID {
	uids := w.store.uids()
	if len(uids) == 0 {
		return nil
	}
	from := next(len(uids))
	some := uids[from:min(len(uids), from+1+next(12))]
	if next(2) == 0 {
		return some
	}
	return slices.DeleteFunc(slices.Clone(some), func(uid imap.UID) bool { return uid%2 == 0 })
}

// flags returns some flags.
func (w *world) flags(next func(int) int) []imap.Flag {
	all := []imap.Flag{imap.FlagSeen, imap.FlagFlagged, "$Work", "$Home", imap.FlagDeleted}
	return all[next(len(all)):]
}

// step does one thing that may happen.
func (w *world) step(t failer, next func(int) int) {
	var c *client
	if len(w.clients) > 0 {
		c = w.clients[next(len(w.clients))]
	}
	switch op := next(20); op {
	case 0, 1:
		w.store.add(1+next(8), imap.UID(next(2)*next(600)), w.flags(next)...)
	case 2, 3:
		w.store.flag(w.some(next), w.flags(next)...)
	case 4, 5:
		w.store.expunge(w.some(next)...)
	case 6, 7: // something is delivered, perhaps again, perhaps late
		if n := len(w.network); n > 0 {
			i := next(n)
			w.bus.Publish(w.network[i : i+1])
		}
	case 8: // all of the rest arrives
		w.bus.Publish(w.network)
		w.network = nil
	case 9: // all of the rest is lost
		w.network = nil
	case 10:
		if len(w.clients) < 4 {
			w.clients = append(w.clients, openClient(t, w.set, w.store))
		}
	case 11:
		if c != nil && next(3) == 0 {
			c.view.Close()
			w.clients = slices.DeleteFunc(w.clients, func(other *client) bool { return other == c })
		}
	case 12, 13, 14:
		if c != nil && c.view.HasNews() {
			c.flush(t, next(2) == 0, 1+next(20))
		}
	case 15: // a command ends: its View has its own change then
		if c == nil {
			return
		}
		uids, flags, silent := w.some(next), w.flags(next), next(2) == 0
		// The client speaks of messages that it knows only.
		uids = slices.DeleteFunc(slices.Clone(uids), func(uid imap.UID) bool { return !slices.Contains(c.msgs, uid) })
		if change := w.store.flag(uids, flags...); change != nil {
			w.bus.Publish(w.network[len(w.network)-1:])
			if silent {
				c.view.Own(change.ModSeq)
				for _, uid := range uids {
					c.flags[uid] = mailbox.NewFlags(flags...)
				}
			}
			w.reach(t, c, change.ModSeq)
		}
		c.flush(t, next(2) == 0, 500)
	case 16: // flags are fetched
		if c != nil {
			w.fetch(t, c)
		}
	case 17:
		time.Sleep(time.Duration(1+next(100)) * time.Millisecond)
	case 18:
		w.trouble(next(6))
	case 19:
		w.store.setTruncate(!w.store.truncate && next(3) == 0)
	}
}

// trouble does something rare.
func (w *world) trouble(what int) {
	switch what {
	case 0:
		w.store.trim()
	case 1, 2:
		if t := w.tracker(); t != nil {
			t.lost()
		}
	case 3: // the store fails for a while
		w.store.fail(&mailbox.Error{Kind: mailbox.Unavailable})
		time.Sleep(300 * time.Millisecond)
		w.store.fail(nil)
	case 4:
		w.store.newLine()
		w.network = nil
		w.store.add(1, 0)
		w.bus.Publish(w.network)
	}
}

func (w *world) reach(t failer, c *client, m mailbox.ModSeq) {
	if err := c.view.Reach(context.Background(), m); err != nil {
		t.Fatalf("Reach(%d): %v", m, err)
	}
	if got := c.view.ModSeq(); got < m {
		t.Fatalf("reached %d, want %d", got, m)
	}
}

// fetch is FETCH 1:* FLAGS.
func (w *world) fetch(t failer, c *client) {
	r, _ := c.view.Resolve(imap.SeqSet{{Start: 1, Stop: 0}})
	rows, err := c.view.Flags(context.Background(), r.UIDs, nil)
	if err != nil {
		t.Fatalf("Flags: %v", err)
	}
	for _, row := range rows {
		if row.Number == 0 || int(row.Number) > len(c.msgs) || c.msgs[row.Number-1] != row.UID {
			t.Fatalf("FETCH %d is UID %d", row.Number, row.UID)
		}
		c.flags[row.UID] = row.Flags
		if m := w.store.msgs[row.UID]; m != nil && w.store.line == 1 && m.flags == row.Flags && row.ModSeq > m.modseq {
			t.Fatalf("UID %d has ModSeq %d, told %d", row.UID, m.modseq, row.ModSeq)
		}
	}
}

// settle shows that, after the last loss is known, every client has what the store has.
func (w *world) settle(t failer) {
	if tr := w.tracker(); tr != nil {
		tr.lost()
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	for _, c := range w.clients {
		if c.view.HasNews() {
			c.flush(t, true, 7)
		}
		if c.gone {
			t.Fatalf("the mailbox is gone: %v", c.update.Gone)
		}
		c.flush(t, true, 7)
		c.same(t)
	}
}

// TestHistories shows that clients are told the truth, late perhaps, whatever the bus loses, repeats and reorders (P1, P4).
func TestHistories(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		inBubble(t, rt, func(t failer) {
			w := newWorld()
			defer w.close()
			next := func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "n") }
			if rapid.Bool().Draw(rt, "even") {
				// Choices that are all equally likely make longer histories, which rapid cannot make small.
				rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
				next = rnd.IntN
			}
			for range 1 + next(80) {
				w.step(t, next)
				synctest.Wait()
			}
			w.settle(t)
		})
	})
}

// inBubble runs f in a bubble of its own. What ends f comes out of it: its failures, and rapid's panics.
func inBubble(t *testing.T, rt *rapid.T, f func(t failer)) {
	var ended any
	synctest.Test(t, func(*testing.T) {
		defer func() { ended = recover() }()
		f(failures{})
	})
	switch ended := ended.(type) {
	case nil:
	case failure:
		rt.Fatal(string(ended))
	default:
		panic(ended)
	}
}

// failures turns failures into panics.
type failures struct{}

type failure string

func (failures) Helper()                           {}
func (failures) Fatalf(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }
