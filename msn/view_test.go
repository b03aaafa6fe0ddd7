package msn

import (
	"math"
	"slices"
	"testing"
	"unsafe"

	"github.com/emersion/go-imap/v2"
	"pgregory.net/rapid"
)

// A change is what the store says of some of its transactions: net state, as in architecture.md.
type change struct {
	prev, modseq    int
	added, expunged []imap.UID
	highest         imap.UID // UIDNEXT - 1
}

// store is a mailbox's truth and its history.
type store struct {
	modseq  int
	highest imap.UID
	live    naiveIndex
	born    map[imap.UID]int // ModSeq of each UID's append
	died    map[imap.UID]int // and of its expunge
}

// since returns everything after ModSeq m as one change.
func (s *store) since(m int) change {
	c := change{prev: m, modseq: s.modseq, highest: s.highest}
	for uid, at := range s.born {
		if _, dead := s.died[uid]; at > m && !dead {
			c.added = append(c.added, uid)
		}
	}
	for uid, at := range s.died {
		if at > m {
			c.expunged = append(c.expunged, uid)
		}
	}
	slices.Sort(c.added)
	return c
}

// A client applies what it is told to its own array, and so knows messages by number as a real one does.
type client struct {
	view View
	told imap.UID
	msgs []imap.UID
}

// A world is a store, a network that loses, repeats and reorders, an Index and clients.
type world struct {
	store   store
	network []change
	have    int
	index   Index
	clients []*client
}

func newWorld() *world {
	return &world{store: store{born: map[imap.UID]int{}, died: map[imap.UID]int{}}}
}

func (w *world) step(t failer, next source) {
	t.Helper()
	switch next(12) {
	case 0, 1, 2: // messages arrive
		gap := imap.UID(1 + next(3)*next(400))
		w.commit(t, func(c *change) {
			for range 1 + next(60) {
				if w.store.highest > math.MaxUint32-gap {
					return
				}
				w.store.highest += gap
				w.store.born[w.store.highest] = c.modseq
				w.store.live.add(w.store.highest)
				c.added = append(c.added, w.store.highest)
			}
		})
	case 3, 4, 5: // messages are expunged: some here and there, or many in a row
		w.commit(t, func(c *change) {
			n, from := 1+next(5), next(len(w.store.live)+1)
			if next(3) == 0 {
				n = 1 + next(150)
			}
			for range n {
				if from >= len(w.store.live) {
					return
				}
				uid := w.store.live[from]
				w.store.died[uid] = c.modseq
				w.store.live.remove(uid)
				c.expunged = append(c.expunged, uid)
				from += next(2) * next(3)
			}
		})
	case 6: // the network delivers something it has, perhaps again
		if len(w.network) > 0 {
			w.receive(t, w.network[next(len(w.network))])
		}
	case 7: // the store is asked, its answer may come late
		w.network = append(w.network, w.store.since(next(w.have+1)))
	case 8: // the Tracker resyncs with a snapshot
		w.resync(t)
	case 9: // a client selects
		if len(w.clients) < 5 {
			w.clients = append(w.clients, new(client))
			w.raise(t, w.clients[len(w.clients)-1])
		}
	case 10, 11:
		if len(w.clients) == 0 {
			return
		}
		c := w.clients[next(len(w.clients))]
		if next(2) == 0 {
			w.expunge(t, c)
		}
		w.raise(t, c) // also while expunges are withheld
	}
}

// commit makes a change in the store and gives it to the network, which sometimes delivers it at once.
func (w *world) commit(t failer, do func(c *change)) {
	t.Helper()
	c := change{prev: w.store.modseq, modseq: w.store.modseq + 1}
	do(&c)
	w.store.modseq++
	c.highest = w.store.highest
	w.network = append(w.network, c)
	if c.modseq%3 != 0 {
		w.receive(t, c)
	}
}

// receive does what a Tracker does with a change.
func (w *world) receive(t failer, c change) {
	t.Helper()
	if c.modseq <= w.have || c.prev > w.have {
		return
	}
	for _, uid := range c.added {
		if uid > w.index.Highest() {
			w.index.Add(uid)
		}
	}
	for _, uid := range c.expunged {
		w.remove(uid)
	}
	w.index.Saw(c.highest)
	w.have = c.modseq
}

// remove takes uid from the Index and tells every View.
func (w *world) remove(uid imap.UID) {
	if w.index.Remove(uid) {
		for _, c := range w.clients {
			c.view.Expunged(uid)
		}
	}
}

// resync makes the Index like the store.
func (w *world) resync(t failer) {
	t.Helper()
	var snapshot Index
	for _, uid := range w.store.live {
		snapshot.Add(uid)
	}
	for _, uid := range expand(t, w.index.Minus(&snapshot)) {
		w.remove(uid)
	}
	for _, uid := range expand(t, snapshot.Minus(&w.index)) {
		if uid <= w.index.Highest() {
			t.Fatalf("UID %d was announced before", uid)
		}
		w.index.Add(uid)
	}
	w.index.Saw(w.store.highest)
	w.have = w.store.modseq
}

// expunge tells a client what is gone. It hears EXPUNGE and, as a second opinion, VANISHED.
func (w *world) expunge(t failer, c *client) {
	t.Helper()
	e := c.view.TakeExpunges(&w.index)
	if c.view.HasPending() {
		t.Fatalf("expunges are pending after they were taken")
	}
	var vanished []imap.UID
	for n := range e.Numbers() {
		if n < 1 || n > uint32(len(c.msgs)) {
			t.Fatalf("EXPUNGE %d of %d messages", n, len(c.msgs))
		}
		uid := c.msgs[n-1]
		if w.index.Contains(uid) {
			t.Fatalf("EXPUNGE %d: UID %d is live", n, uid)
		}
		vanished = append(vanished, uid)
		c.msgs = slices.Delete(c.msgs, int(n)-1, int(n))
	}
	slices.Reverse(vanished)
	if got := expand(t, e.UIDs); !slices.Equal(got, vanished) {
		t.Fatalf("VANISHED %v, but EXPUNGE of %v", got, vanished)
	}
	for _, uid := range c.msgs {
		if !w.index.Contains(uid) {
			t.Fatalf("UID %d is gone and was not told", uid)
		}
	}
}

// raise tells a client what is new.
func (w *world) raise(t failer, c *client) {
	t.Helper()
	before := len(c.msgs)
	for _, uid := range w.index.AppendUIDs(nil) {
		if uid > c.told {
			c.msgs = append(c.msgs, uid)
		}
	}
	c.told = max(c.told, w.index.Highest())
	exists, changed := c.view.Raise(&w.index)
	if int(exists) != len(c.msgs) || changed != (len(c.msgs) > before) {
		t.Fatalf("EXISTS %d, %v; the client counts %d, before %d", exists, changed, len(c.msgs), before)
	}
}

// compare fails unless every View says what its client believes.
func (w *world) compare(t failer, next source) {
	t.Helper()
	for _, c := range w.clients {
		v, x := &c.view, &w.index
		if v.Told() != c.told || int(v.Count(x)) != len(c.msgs) {
			t.Fatalf("told %d, counts %d; want %d, %d", v.Told(), v.Count(x), c.told, len(c.msgs))
		}
		dead := slices.ContainsFunc(c.msgs, func(uid imap.UID) bool { return !x.Contains(uid) })
		if v.HasPending() != dead {
			t.Fatalf("HasPending = %v, want %v", !dead, dead)
		}
		stride := 1 + len(c.msgs)/100 // all in a small mailbox
		for i := next(stride); i < len(c.msgs); i += stride {
			uid, n := c.msgs[i], uint32(i)+1
			if got, ok := v.Number(x, uid); got != n || !ok {
				t.Fatalf("Number(%d) = %d, %v, want %d", uid, got, ok, n)
			}
			if got, live, ok := v.UID(x, n); got != uid || live != x.Contains(uid) || !ok {
				t.Fatalf("UID(%d) = %d, %v, %v, want %d, %v", n, got, live, ok, uid, x.Contains(uid))
			}
		}
		for range 5 { // UIDs that the client does not know have no number
			uid := imap.UID(next(int(min(w.store.highest, 60000)) + 2))
			if _, ok := v.Number(x, uid); ok != slices.Contains(c.msgs, uid) {
				t.Fatalf("Number(%d) is known: %v", uid, ok)
			}
		}
		if _, _, ok := v.UID(x, uint32(len(c.msgs))+1); ok {
			t.Fatalf("there is a message after the last")
		}
		w.resolve(t, c, next)
	}
}

// resolve compares what some sets mean with what they mean to the client's array.
func (w *world) resolve(t failer, c *client, next source) {
	t.Helper()
	number := func(most int) uint32 { return uint32(next(most + 3)) } // 0 is `*`
	var seqs imap.SeqSet
	var uids imap.UIDSet
	for range 1 + next(4) {
		seqs = append(seqs, imap.SeqRange{Start: number(len(c.msgs)), Stop: number(len(c.msgs))})
		r := imap.UIDRange{Start: imap.UID(number(60000)), Stop: imap.UID(number(60000))}
		if len(c.msgs) > 0 && next(2) == 0 {
			r.Start = c.msgs[next(len(c.msgs))]
		}
		uids = append(uids, r)
	}

	var bySeq, byUID []imap.UID
	beyond := false
	for i, uid := range c.msgs {
		if slices.ContainsFunc(seqs, func(r imap.SeqRange) bool {
			return within(uint32(i)+1, r.Start, r.Stop, uint32(len(c.msgs)))
		}) {
			bySeq = append(bySeq, uid)
		}
		if slices.ContainsFunc(uids, func(r imap.UIDRange) bool {
			return within(uint32(uid), uint32(r.Start), uint32(r.Stop), uint32(c.msgs[len(c.msgs)-1]))
		}) {
			byUID = append(byUID, uid)
		}
	}
	for _, r := range seqs {
		beyond = beyond || max(r.Start, r.Stop) > uint32(len(c.msgs)) || len(c.msgs) == 0
	}
	sel := c.view.Resolve(&w.index, seqs)
	w.selected(t, sel, bySeq)
	if sel.Beyond != beyond {
		t.Fatalf("%v of %d messages: Beyond = %v", seqs, len(c.msgs), sel.Beyond)
	}
	sel = c.view.ResolveUIDs(&w.index, uids)
	w.selected(t, sel, byUID)
	if sel.Beyond {
		t.Fatalf("UID set %v: Beyond", uids)
	}
}

// within says whether n is in the range from a to b, where 0 means star.
func within(n, a, b, star uint32) bool {
	if a == 0 {
		a = star
	}
	if b == 0 {
		b = star
	}
	return min(a, b) <= n && n <= max(a, b)
}

// selected fails unless sel has exactly the given UIDs, each where it belongs.
func (w *world) selected(t failer, sel Selection, want []imap.UID) {
	t.Helper()
	var live, gone []imap.UID
	for _, uid := range want {
		if w.index.Contains(uid) {
			live = append(live, uid)
		} else {
			gone = append(gone, uid)
		}
	}
	if got := expand(t, sel.Live); !slices.Equal(got, live) {
		t.Fatalf("Live = %v, want %v", got, live)
	}
	if got := expand(t, sel.Gone); !slices.Equal(got, gone) {
		t.Fatalf("Gone = %v, want %v", got, gone)
	}
}

// settle brings everything to an end: whatever happened, the clients know the store's messages then.
func (w *world) settle(t failer) {
	t.Helper()
	w.resync(t)
	for _, c := range w.clients {
		w.expunge(t, c)
		w.raise(t, c)
		if !slices.Equal(c.msgs, w.store.live) {
			t.Fatalf("the client has %v, the store %v", c.msgs, w.store.live)
		}
	}
}

// TestP1Numbers shows that numbers are never wrong, whatever the network loses, repeats and reorders.
func TestP1Numbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, next := newWorld(), fromRapid(t)
		for range 1 + next(50) {
			w.step(t, next)
			w.compare(t, next)
		}
		w.settle(t)
	})
}

func FuzzView(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newWorld()
		next, more := fromBytes(b)
		for range 80 {
			if !more() {
				break
			}
			w.step(t, next)
			if next(4) == 0 {
				w.compare(t, next)
			}
		}
		w.settle(t)
	})
}

func TestViewSize(t *testing.T) {
	if n := unsafe.Sizeof(View{}); n > 40 {
		t.Errorf("an idle View is %d bytes, want at most 40", n)
	}
}

// TestViewManyPending shows that a View is right, small and quick to tell after the expunge of a whole mailbox.
func TestViewManyPending(t *testing.T) {
	var x Index
	var v View
	x.AddRange(1, 100000)
	v.Raise(&x)
	for uid := imap.UID(1); uid <= 99999; uid++ {
		x.Remove(uid)
		v.Expunged(uid)
	}
	if v.pending.few != nil || v.pending.many.Bytes() > 16<<10 {
		t.Fatalf("99,999 pending expunges are kept as %d UIDs and an Index of %d bytes", len(v.pending.few), v.pending.many.Bytes())
	}
	if n, ok := v.Number(&x, 100000); n != 100000 || !ok {
		t.Fatalf("Number = %d, %v", n, ok)
	}
	want := uint32(99999)
	e := v.TakeExpunges(&x)
	for n := range e.Numbers() {
		if n != want {
			t.Fatalf("EXPUNGE %d, want %d", n, want)
		}
		want--
	}
	if len(e.UIDs) != 1 || want != 0 {
		t.Errorf("VANISHED %v; EXPUNGE down to %d", e.UIDs, want+1)
	}
	if n, ok := v.Number(&x, 100000); n != 1 || !ok {
		t.Errorf("afterwards Number = %d, %v", n, ok)
	}
}

// TestUntoldVanishSilently shows that a message that came and went between two commands is never mentioned (P1).
func TestUntoldVanishSilently(t *testing.T) {
	var x Index
	var v View
	x.AddRange(1, 3)
	v.Raise(&x)
	x.Add(4)
	x.Remove(4)
	v.Expunged(4)
	if v.HasPending() {
		t.Error("an untold UID is pending")
	}
	if n, changed := v.Raise(&x); n != 3 || changed || v.Told() != 4 {
		t.Errorf("EXISTS %d, %v; told %d", n, changed, v.Told())
	}
	// The last told message is `*`, not a UID that is higher and gone.
	if got := v.ResolveUIDs(&x, imap.UIDSet{{Start: 4, Stop: 0}}).Live.String(); got != "3:3" && got != "3" {
		t.Errorf("UID 4:* is %s, want 3", got)
	}
}
