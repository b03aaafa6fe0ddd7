package cluster

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/eventbus/codec"
	"github.com/starling-mail/starling/mailbox"
)

// How many mailboxes the benchmarks change in turn, and how many changes they remember the time of.
const (
	benchBoxes  = 100
	benchMemory = 1 << 22
)

// A rig is a cluster over one feed, whose mailboxes are changed in turn; listeners on its other nodes measure how long it takes to hear of that.
type rig struct {
	b         testing.TB
	feed      *memoryFeed
	all       []*member
	ids       []mailbox.ID
	sent      []atomic.Int64 // when each change was committed, in ns since began
	began     time.Time
	published int
	listeners []*stopwatch
}

// A stopwatch is a listener on one node.
type stopwatch struct {
	rig *rig
	mu  sync.Mutex
	// have is up to which ModSeq it has heard of each mailbox: in a hint, or because a later change implies it.
	have []mailbox.ModSeq
	took []time.Duration
}

// newRig starts nodes. boxes is how many mailboxes there are, and where says which nodes listen to one.
func newRig(b testing.TB, nodes, boxes int, o Options, where func(box, node int) bool, wrap ...func(Network) Network) *rig {
	r := &rig{b: b, feed: new(memoryFeed), sent: make([]atomic.Int64, benchMemory), began: time.Now()}
	keys := []Key{NewKey()}
	for i := range nodes {
		own := o
		own.Name, own.Keys, own.Feed = fmt.Sprintf("n%02d", i+1), keys, r.feed
		if i > 0 {
			own.Join = []string{r.all[0].GossipAddress().String()}
		}
		r.all = append(r.all, start(b, own, 1<<20, wrap...))
	}
	if o.Lanes.has(Streams) {
		awaitStreams(b, r.all...)
	} else {
		await(b, "membership", func() bool {
			return !slices.ContainsFunc(r.all, func(m *member) bool { return len(m.Members()) != nodes })
		})
	}
	for i := range boxes {
		var id mailbox.ID
		binary.BigEndian.PutUint64(id[:], uint64(i+1)) // zero is no mailbox
		r.ids = append(r.ids, id)
	}
	for n, m := range r.all {
		w := &stopwatch{rig: r, have: make([]mailbox.ModSeq, boxes)}
		var keys []eventbus.Key
		for i, id := range r.ids {
			if where(i, n) {
				keys = append(keys, eventbus.MailboxKey(id))
			} else {
				w.have[i] = 1 << 62
			}
		}
		reg := m.bus.Listen(&eventbus.Listener{Scope: eventbus.Mailbox, Delivery: eventbus.Sync, Handle: w.handle}, keys...)
		b.Cleanup(reg.Close)
		r.listeners = append(r.listeners, w)
	}
	for _, m := range r.all {
		for done := m.Announced(); done != nil; done = m.Announced() {
			<-done
		}
	}
	return r
}

func (w *stopwatch) handle(events []mailbox.Event) error {
	now := time.Since(w.rig.began)
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range events {
		e := &events[i]
		box := binary.BigEndian.Uint64(e.Mailbox[:]) - 1
		for ; w.have[box] < e.Change.ModSeq; w.have[box]++ {
			number := uint64(w.have[box])*uint64(len(w.have)) + box
			w.took = append(w.took, now-time.Duration(w.rig.sent[number%benchMemory].Load()))
		}
	}
	return nil
}

// commit commits one more change on a node.
func (r *rig) commit(node int) {
	number := r.published
	r.published++
	m := mailbox.ModSeq(number/len(r.ids)) + 1
	c := &mailbox.Change{
		Mailbox: r.ids[number%len(r.ids)], Line: 1, Prev: m - 1, ModSeq: m,
		Added:  imap.UIDSet{{Start: imap.UID(m), Stop: imap.UID(m)}},
		Flags:  []mailbox.FlagChange{{UIDs: imap.UIDSet{{Start: imap.UID(m), Stop: imap.UID(m)}}}},
		Counts: mailbox.Counts{Messages: uint32(m), Unseen: uint32(m), Size: int64(m) * 5000, UIDNext: imap.UID(m + 1)},
	}
	r.sent[number%benchMemory].Store(int64(time.Since(r.began)))
	r.feed.commit(r.all[node].bus, mailbox.ChangeEvent(c))
}

// missing counts the mailboxes whose last change a listener has not heard of.
func (r *rig) missing() (n int) {
	for _, w := range r.listeners {
		w.mu.Lock()
		for i, have := range w.have {
			if i < r.published && have < mailbox.ModSeq((r.published-1-i)/len(w.have)+1) {
				n++
			}
		}
		w.mu.Unlock()
	}
	return n
}

// pace waits until it is time for the next change at a rate; after a delay it lets several pass at once.
func (r *rig) pace(began time.Time, number, rate int) {
	if ahead := time.Until(began.Add(time.Duration(number) * time.Second / time.Duration(rate))); ahead > 0 {
		<-time.After(ahead)
	}
}

// cpu is what this process has used.
func cpu(b testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLatency measures the time from the commit on one node until the listeners of all the others are called, by lane, codec and rate. Each
// operation is one change; cpu-us/event is of all nodes together; behind is how often a listener did not hear of a mailbox's last change within ten seconds, and fed how
// many changes came to all listeners from the feed alone.
func BenchmarkLatency(b *testing.B) {
	for _, nodes := range []int{3, 10} {
		for _, lane := range []struct {
			name  string
			lanes Lanes
			rates []int
		}{
			{"streams", Streams, []int{100, 1000, 10_000, 50_000}},
			{"broadcast", Broadcasts, []int{100, 1000}},
			{"both", Streams | Broadcasts, []int{100, 1000, 10_000}},
		} {
			for _, c := range []codec.Codec{codec.MessagePack, codec.JSON} {
				if c == codec.JSON && lane.lanes != Streams { // gossip is in MessagePack always
					continue
				}
				for _, rate := range lane.rates {
					b.Run(fmt.Sprintf("nodes=%d/lane=%s/codec=%s/rate=%d", nodes, lane.name, c, rate), func(b *testing.B) {
						latency(b, nodes, lane.lanes, c, rate)
					})
				}
			}
		}
	}
}

func latency(b *testing.B, nodes int, lanes Lanes, c codec.Codec, rate int) {
	r := newRig(b, nodes, benchBoxes, Options{Lanes: lanes, Codec: c}, func(_, node int) bool { return node > 0 })
	used, began := cpu(b), time.Now()
	for b.Loop() {
		r.pace(began, r.published, rate)
		r.commit(0)
	}
	took := time.Since(began)
	end := time.Now().Add(10 * time.Second)
	await(b, "everything", func() bool { return r.missing() == 0 || time.Now().After(end) })
	used = cpu(b) - used
	var list []time.Duration
	fed := uint64(0)
	for i, w := range r.listeners {
		w.mu.Lock()
		list = append(list, w.took...)
		w.mu.Unlock()
		fed += r.all[i].Stats().Repaired
	}
	slices.Sort(list)
	for name, at := range map[string]int{"p50-ms": len(list) / 2, "p99-ms": len(list) * 99 / 100, "max-ms": len(list) - 1} {
		b.ReportMetric(float64(list[at].Microseconds())/1000, name)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(r.published)/took.Seconds(), "events/s")
	b.ReportMetric(float64(used.Nanoseconds())/1000/float64(r.published), "cpu-us/event")
	b.ReportMetric(float64(r.missing()), "behind")
	b.ReportMetric(float64(fed), "fed")
}

// BenchmarkThroughput publishes on one of two nodes as fast as the other one hears of it.
func BenchmarkThroughput(b *testing.B) {
	for _, c := range []codec.Codec{codec.MessagePack, codec.JSON} {
		b.Run("codec="+c.String(), func(b *testing.B) {
			r := newRig(b, 2, benchBoxes, Options{Lanes: Streams, Codec: c}, func(_, node int) bool { return node > 0 })
			heard := func() int {
				w := r.listeners[1]
				w.mu.Lock()
				defer w.mu.Unlock()
				return len(w.took)
			}
			began := time.Now()
			for b.Loop() {
				r.commit(0)
				for r.published%1024 == 0 && r.published-heard() > DefaultQueueLimit/2 {
					<-time.After(100 * time.Microsecond)
				}
			}
			await(b, "everything", func() bool { return heard() == r.published })
			b.ReportMetric(float64(r.published)/time.Since(began).Seconds(), "events/s")
			b.ReportMetric(float64(r.all[1].Stats().Losses-1), "losses") // one is how the stream begins
		})
	}
}
