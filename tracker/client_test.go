package tracker

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/mailbox"
)

// failer is what *testing.T and *rapid.T share.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// A counter is a Watcher that counts.
type counter struct{ n atomic.Int64 }

func (c *counter) Changed() { c.n.Add(1) }

// A client believes what it is told. It knows messages by number only.
type client struct {
	counter
	view     *View
	store    *fakeStore
	msgs     []imap.UID
	flags    map[imap.UID]mailbox.Flags
	keywords []string
	modseq   mailbox.ModSeq
	gone     bool
	update   Update
}

// openClient selects the mailbox.
func openClient(t failer, s *Set, store *fakeStore) *client {
	t.Helper()
	c := &client{store: store, flags: map[imap.UID]mailbox.Flags{}}
	v, err := s.Open(context.Background(), store.box, c)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	c.view = v
	sel := v.Select()
	c.modseq, c.keywords = sel.ModSeq, sel.Keywords
	c.learn(t, sel.Messages)
	return c
}

// learn is the client's FETCH after it was told how many messages there are.
func (c *client) learn(t failer, exists uint32) {
	t.Helper()
	for n := uint32(len(c.msgs)) + 1; n <= exists; n++ {
		r, err := c.view.Resolve(imap.SeqSet{{Start: n, Stop: n}})
		switch uids, _ := r.UIDs.Nums(); {
		case err != nil:
			t.Fatalf("message %d of %d: %v", n, exists, err)
		case len(uids) == 1:
			c.msgs = append(c.msgs, uids[0])
			c.flags[uids[0]] = c.store.flagsOf(uids[0])
		default:
			gone, _ := r.Gone.Nums()
			if len(gone) != 1 {
				t.Fatalf("message %d of %d is %+v", n, exists, r)
			}
			c.msgs = append(c.msgs, gone[0])
		}
	}
}

// flush tells the client all there is to tell.
func (c *client) flush(t failer, expunges bool, limit int) {
	t.Helper()
	for more := true; more && !c.gone; more = c.update.More {
		before := len(c.msgs)
		if err := c.view.Flush(context.Background(), expunges, limit, &c.update); err != nil {
			t.Fatalf("Flush: %v", err)
		}
		c.apply(t, expunges, limit, before)
	}
}

// apply believes an Update, and fails if it breaks P1.
func (c *client) apply(t failer, expunges bool, limit, before int) {
	t.Helper()
	u := &c.update
	if u.Gone != nil {
		c.gone = true
		return
	}
	if !expunges && len(u.Expunged)+len(u.Vanished) > 0 {
		t.Fatalf("EXPUNGE %v was told when it must not be", u.Expunged)
	}
	var vanished []imap.UID
	for _, n := range u.Expunged {
		if n == 0 || int(n) > len(c.msgs) {
			t.Fatalf("EXPUNGE %d of %d messages", n, len(c.msgs))
		}
		uid := c.msgs[n-1]
		if slices.Contains(c.store.uids(), uid) {
			t.Fatalf("EXPUNGE %d: UID %d is in the store", n, uid)
		}
		vanished = append(vanished, uid)
		c.msgs = slices.Delete(c.msgs, int(n)-1, int(n))
		before = len(c.msgs)
	}
	slices.Reverse(vanished)
	if got, _ := u.Vanished.Nums(); !slices.Equal(got, vanished) {
		t.Fatalf("VANISHED %v, EXPUNGE of %v", got, vanished)
	}
	if int(u.Exists) < len(c.msgs) || u.ExistsChanged != (int(u.Exists) > len(c.msgs)) {
		t.Fatalf("EXISTS %d, told: %v; the client counts %d", u.Exists, u.ExistsChanged, len(c.msgs))
	}
	if u.Keywords != nil {
		c.keywords = u.Keywords
	}
	if len(u.Flags) > limit {
		t.Fatalf("%d messages' flags, the limit is %d", len(u.Flags), limit)
	}
	for i, r := range u.Flags {
		if r.Number == 0 || int(r.Number) > before || c.msgs[r.Number-1] != r.UID {
			t.Fatalf("FETCH %d is UID %d; the client has %d messages", r.Number, r.UID, before)
		}
		if i > 0 && r.UID <= u.Flags[i-1].UID {
			t.Fatalf("flags are not in order")
		}
		c.flags[r.UID] = r.Flags
	}
	if u.ModSeq < c.modseq && c.store.line == 1 { // a new line starts again
		t.Fatalf("HIGHESTMODSEQ falls from %d to %d", c.modseq, u.ModSeq)
	}
	c.modseq = u.ModSeq
	c.learn(t, u.Exists)
	c.check(t)
}

// check fails unless the View says what the client believes.
func (c *client) check(t failer) {
	t.Helper()
	count, last := c.view.Told()
	if int(count) != len(c.msgs) || count > 0 && last != c.msgs[count-1] {
		t.Fatalf("told %d, last UID %d; the client has %v", count, last, c.msgs)
	}
	for i, n := range c.view.Numbers(c.msgs, nil) {
		if int(n) != i+1 {
			t.Fatalf("UID %d has number %d, the client says %d", c.msgs[i], n, i+1)
		}
	}
}

// same fails unless the client knows exactly what the store has.
func (c *client) same(t failer) {
	t.Helper()
	uids := c.store.uids()
	if !slices.Equal(c.msgs, uids) {
		t.Fatalf("the client has %v, the store %v", c.msgs, uids)
	}
	for _, uid := range uids {
		if got, want := c.flags[uid], c.store.flagsOf(uid); got != want {
			t.Fatalf("UID %d has flags %v, the client says %v", uid, want, got)
		}
		for _, k := range c.store.flagsOf(uid).KeywordList() {
			if !slices.Contains(c.keywords, k) {
				t.Fatalf("keyword %s was not told", k)
			}
		}
	}
	if c.view.HasNews() {
		t.Fatalf("there is news after everything was told")
	}
	if c.modseq != c.store.modseq {
		t.Fatalf("HIGHESTMODSEQ %d, the store has %d", c.modseq, c.store.modseq)
	}
}

// newBus returns a bus that is closed with t.
func newBus(t testing.TB, o eventbus.Options) *eventbus.Bus {
	o.Log = zerolog.Nop()
	b := eventbus.New(o)
	t.Cleanup(func() { b.Close(context.Background()) })
	return b
}

// newSet returns a Set over a store that publishes on its bus.
func newSet(t testing.TB) (*Set, *fakeStore) {
	bus := newBus(t, eventbus.Options{})
	store := newFakeStore(bus.Publish)
	s := New(Options{Store: store, Bus: bus, Log: zerolog.Nop()})
	t.Cleanup(s.Close)
	return s, store
}
