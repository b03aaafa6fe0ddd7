package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"github.com/starling-mail/starling/eventbus/codec"
	"github.com/starling-mail/starling/mailbox"
)

// TestBroadcastQueue shows that the queue is bounded, that what it gives fits, that each broadcast is sent as often as it should be, and
// that of a mailbox that is replaced the newest change stays.
func TestBroadcastQueue(t *testing.T) {
	boxes := []mailbox.ID{mailbox.NewID(), mailbox.NewID(), mailbox.NewID()}
	rapid.Check(t, func(t *rapid.T) {
		q := &broadcasts{members: func() int { return 9 }}
		newest := map[mailbox.ID]mailbox.ModSeq{}
		sent := map[string]int{}
		told := map[mailbox.ID]mailbox.ModSeq{}
		take := func() int {
			overhead, limit := 3, rapid.IntRange(100, 1400).Draw(t, "limit")
			size := 0
			frames := q.take(overhead, limit)
			for _, b := range frames {
				size += overhead + len(b)
				sent[string(b)]++
				f, err := codec.Decode(b)
				if err != nil {
					t.Fatal(err)
				}
				if e := f.Events[0]; e.Change != nil {
					told[e.Mailbox] = max(told[e.Mailbox], e.Change.ModSeq)
				}
			}
			if size > limit {
				t.Fatalf("%d bytes of %d", size, limit)
			}
			return len(frames)
		}
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "take") {
				take()
				continue
			}
			id := rapid.SampledFrom(boxes).Draw(t, "mailbox")
			newest[id]++
			e := change(id, newest[id])
			e.Change.Added = imap.UIDSet{{Start: 1, Stop: imap.UID(newest[id])}}
			b, replace := newBroadcast(1, uint64(i), &e, rapid.Bool().Draw(t, "hint"))
			q.put(b, replace)
		}
		for n, idle := 1, 0; n > 0 || idle < 20; idle++ {
			if n = take(); n > 0 {
				idle = 0
			}
		}
		if waiting, dropped := q.figures(); waiting != 0 || dropped != 0 {
			t.Fatalf("%d wait, %d dropped", waiting, dropped)
		}
		for id, m := range newest {
			if told[id] != m {
				t.Fatalf("told of change %d, want %d", told[id], m)
			}
		}
		for _, n := range sent {
			if n > retransmit { // log10(9+1) is 1
				t.Fatalf("sent %d times", n)
			}
		}
	})
}

func TestBroadcastQueueIsBounded(t *testing.T) {
	q := &broadcasts{members: func() int { return 3 }}
	n := uint64(0)
	put := func() {
		n++
		e := change(mailbox.NewID(), 1)
		b, replace := newBroadcast(1, n, &e, q.crowded())
		q.put(b, replace)
	}
	for range maxBroadcasts {
		put()
	}
	if first := q.take(3, 1400); len(first) < 10 {
		t.Errorf("%d hints in a packet", len(first))
	}
	for range maxBroadcasts {
		put()
	}
	if waiting, dropped := q.figures(); waiting != maxBroadcasts || dropped != maxBroadcasts {
		t.Errorf("%d wait, %d dropped", waiting, dropped)
	}
	// What is too large even as a hint, or is none, is left to the feed.
	huge := mailbox.Event{Kind: mailbox.EventCreated, Name: strings.Repeat("n", 2*maxBroadcast)}
	if b, _ := newBroadcast(1, 1, &huge, false); b != nil {
		t.Errorf("a broadcast of %d bytes", len(b.frame))
	}
	large := change(mailbox.NewID(), 7)
	for uid := imap.UID(1); uid < 2000; uid += 2 {
		large.Change.Added = append(large.Change.Added, imap.UIDRange{Start: uid, Stop: uid})
	}
	large.Change.Line = 5
	b, replace := newBroadcast(1, 1, &large, false)
	f, err := codec.Decode(b.frame)
	if c := f.Events[0].Change; err != nil || !replace || !c.Truncated || c.ModSeq != 7 || c.Line != 5 || len(b.frame) > 100 {
		t.Errorf("%v, %d bytes: %+v", err, len(b.frame), c)
	}
}

// TestBroadcastLaneAlone shows that a cluster works without streams: everybody hears of every mailbox's last change, by gossip.
func TestBroadcastLaneAlone(t *testing.T) {
	feed := new(memoryFeed) // for what gossip loses: it may
	all := startAllBy(t, 5, Broadcasts, func(o *Options) { o.Feed = feed })
	const boxes, changes = 40, 5
	var ids []mailbox.ID
	var watchers []*watcher
	for range boxes {
		id := mailbox.NewID()
		ids = append(ids, id)
		for _, m := range all {
			watchers = append(watchers, watch(t, m.bus, id))
		}
	}
	for s := range mailbox.ModSeq(changes) {
		for i, id := range ids {
			feed.commit(all[i%len(all)].bus, change(id, s+1))
		}
	}
	for _, w := range watchers {
		w.await(t, changes)
	}
	for _, m := range all {
		if s := m.Stats(); s.GossipTold == 0 || len(s.Peers) != 0 {
			t.Errorf("%d events by gossip, %d streams", s.GossipTold, len(s.Peers))
		}
	}
}

// startAllBy starts nodes with some lanes and waits until they know each other.
func startAllBy(t testing.TB, count int, lanes Lanes, configure func(*Options)) []*member {
	keys := []Key{NewKey()}
	var all []*member
	for i := range count {
		o := Options{Name: fmt.Sprintf("n%d", i+1), Keys: keys, Lanes: lanes}
		if i > 0 {
			o.Join = []string{all[0].GossipAddress().String()}
		}
		configure(&o)
		all = append(all, start(t, o, 1<<16))
	}
	await(t, "membership", func() bool {
		return !slices.ContainsFunc(all, func(m *member) bool { return len(m.Members()) != count })
	})
	return all
}

// TestBrokenLink shows that between two nodes without a path for streams, events go around by gossip; and that on whole links nothing is told
// twice.
func TestBrokenLink(t *testing.T) {
	keys := []Key{NewKey()}
	both := Streams | Broadcasts
	a := start(t, Options{Name: "n1", Keys: keys, Lanes: both}, 64)
	seeds := []string{a.GossipAddress().String()}
	// Nobody can reach the stream address of n2.
	b := start(t, Options{Name: "n2", Keys: keys, Lanes: both, Join: seeds, AdvertiseStream: "127.0.0.1:1"}, 64)
	c := start(t, Options{Name: "n3", Keys: keys, Lanes: both, Join: seeds}, 64)
	await(t, "the streams that are possible", func() bool {
		return a.of("n3").Connected && b.of("n3").Connected && c.of("n1").Connected && b.of("n1").Connected
	})
	id := mailbox.NewID()
	atB, atC := watch(t, b.bus, id), watch(t, c.bus, id)
	const n = 20
	for s := range mailbox.ModSeq(n) {
		a.publish(id, s+1)
		atC.await(t, s+1)
	}
	await(t, "the last change by gossip", func() bool { return slices.Contains(atB.all(), n) })
	if s := b.Stats(); s.GossipTold == 0 || a.of("n2").Connected {
		t.Errorf("%+v", s)
	}
	await(t, "all broadcasts", func() bool { return a.Stats().GossipQueued == 0 && c.Stats().GossipQueued == 0 })
	atC.onlyOnce(t)
	if got := atC.all(); len(got) != n {
		t.Errorf("%d changes by the stream", len(got))
	}
}

// TestLane shows what a node does with broadcasts: it passes each on once, tells it at once or, if a stream may bring it, later, and keeps
// nothing that it cannot read.
func TestLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &receiver{make(chan []mailbox.Event, 100), make(chan struct{}, 100)}
		n, err := New(Options{Name: "n1", Cluster: "test", Keys: []Key{NewKey()}, Gossip: "127.0.0.1:0", Stream: "127.0.0.1:0", Receiver: to, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		l := n.lane
		id := mailbox.NewID()
		frame := func(origin, number uint64, m mailbox.ModSeq) []byte {
			e := change(id, m)
			b, _ := newBroadcast(origin, number, &e, false)
			return b.frame
		}
		queued := func() int { w, _ := l.queue.figures(); return w }

		l.take(frame(7, 1, 1))
		l.take(frame(7, 1, 1)) // again, by another way
		l.take(frame(n.instance, 1, 2))
		if len(to.events) != 1 || (<-to.events)[0].Change.ModSeq != 1 || queued() != 1 {
			t.Errorf("%d told, %d passed on", len(to.events), queued())
		}
		// A stream is open, and brings 3 but not 4.
		s := n.sender("n2")
		s.instance.Store(7)
		s.open.Store(1)
		l.take(frame(7, 2, 3))
		l.take(frame(7, 3, 4))
		n.take(s, &codec.Frame{Origin: 7, Events: []mailbox.Event{change(id, 3)}})
		if got := <-to.events; got[0].Change.ModSeq != 3 {
			t.Errorf("the stream brought %+v", got)
		}
		l.release(time.Now())
		if len(to.events) != 0 || queued() != 3 {
			t.Errorf("%d told at once, %d passed on", len(to.events), queued())
		}
		time.Sleep(hold)
		l.release(time.Now())
		if len(to.events) != 1 || (<-to.events)[0].Change.ModSeq != 4 {
			t.Error("what the stream does not bring is not told")
		}
		// What is no Change is told by gossip unless a stream has just brought it.
		e := mailbox.Event{Kind: mailbox.EventSubscribed, Account: mailbox.NewAccountID(), Name: "a"}
		b, _ := newBroadcast(8, 1, &e, false)
		l.take(b.frame)
		n.take(s, &codec.Frame{Origin: 7, First: 1, Events: []mailbox.Event{e}})
		b, _ = newBroadcast(8, 2, &e, false)
		l.take(b.frame)
		if len(to.events) != 2 {
			t.Errorf("%d times told", len(to.events))
		}
		// Garbage, and more than there is room for.
		l.take([]byte("garbage"))
		l.gossiped(make([]byte, maxBroadcast+1))
		if l.undecodable.Load() != 2 || len(n.DeadLetters()) != 1 {
			t.Errorf("%d undecodable, %d dead letters", l.undecodable.Load(), len(n.DeadLetters()))
		}
		borrowed := frame(7, 9, 9)
		for range laneQueue + 5 {
			l.gossiped(borrowed)
		}
		clear(borrowed) // memberlist uses its buffer again
		if got, err := codec.Decode(<-l.inbox); err != nil || got.First != 9 || l.missed.Load() != 5 {
			t.Errorf("%v, %d missed", err, l.missed.Load())
		}
		var g generations
		for i := range uint64(3 * recentSize) {
			if !g.add([2]uint64{1, i}) || g.add([2]uint64{1, i}) {
				t.Fatal("not once")
			}
		}
		if size := len(g.young) + len(g.old); size > 2*recentSize {
			t.Errorf("%d are remembered", size)
		}
	})
}
