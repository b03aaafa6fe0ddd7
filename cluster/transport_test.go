package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/eventbus/codec"
	"github.com/starling-mail/starling/mailbox"
)

// A watcher is a listener that notes what it is told about one mailbox.
type watcher struct {
	mu     sync.Mutex
	heard  []mailbox.ModSeq
	losses int
	reg    *eventbus.Registration
}

func watch(t testing.TB, bus *eventbus.Bus, id mailbox.ID) *watcher {
	w := new(watcher)
	w.reg = bus.Listen(&eventbus.Listener{
		Name: "watcher", Scope: eventbus.Mailbox, Delivery: eventbus.Sync,
		Handle: func(events []mailbox.Event) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, e := range events {
				w.heard = append(w.heard, e.Change.ModSeq)
			}
			return nil
		},
		Lost: func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.losses++
		},
	}, eventbus.MailboxKey(id))
	t.Cleanup(w.reg.Close)
	return w
}

func (w *watcher) all() []mailbox.ModSeq {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.heard)
}

func (w *watcher) lost() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.losses
}

// await waits until the watcher has heard m.
func (w *watcher) await(t testing.TB, m mailbox.ModSeq) {
	t.Helper()
	await(t, fmt.Sprintf("change %d", m), func() bool { return slices.Contains(w.all(), m) })
}

// onlyOnce fails if w has heard something twice or out of order.
func (w *watcher) onlyOnce(t testing.TB) {
	t.Helper()
	heard := w.all()
	for i := 1; i < len(heard); i++ {
		if heard[i] <= heard[i-1] {
			t.Errorf("after change %d came %d", heard[i-1], heard[i])
			return
		}
	}
}

func (m *member) publish(id mailbox.ID, modseqs ...mailbox.ModSeq) {
	for _, s := range modseqs {
		m.bus.Publish([]mailbox.Event{change(id, s)})
	}
}

// of returns m's figures about another node.
func (m *member) of(name string) PeerStats {
	for _, p := range m.Stats().Peers {
		if p.Name == name {
			return p
		}
	}
	return PeerStats{}
}

// cut closes all streams of m.
func (m *member) cut() {
	m.wires().links.mu.Lock()
	defer m.wires().links.mu.Unlock()
	for k := range m.wires().links.open {
		k.conn.Close()
	}
}

// TestBrokenStreamWithoutLoss shows that a stream that breaks while nothing is on its way costs nobody a reload.
func TestBrokenStreamWithoutLoss(t *testing.T) {
	all := startAll(t, 2, 64, nil)
	id := mailbox.NewID()
	w := watch(t, all[1].bus, id)
	all[0].publish(id, 1)
	w.await(t, 1)
	for m := mailbox.ModSeq(2); m <= 5; m++ {
		before := all[1].of("n1")
		connects := all[0].of("n2").Connects
		all[0].cut()
		await(t, "another stream", func() bool { return all[0].of("n2").Connects > connects })
		all[0].publish(id, m)
		w.await(t, m)
		if after := all[1].of("n1"); after.Losses != before.Losses {
			t.Errorf("%d losses, %d before", after.Losses, before.Losses)
		}
	}
	if w.lost() != 0 {
		t.Errorf("told of %d losses", w.lost())
	}
	w.onlyOnce(t)
}

// TestWronglyGivenUp shows that events go on to a node that gossip has given up, as long as its stream holds, and no longer.
func TestWronglyGivenUp(t *testing.T) {
	all := startAll(t, 2, 64, nil)
	id := mailbox.NewID()
	w := watch(t, all[1].bus, id)
	n2 := all[0].Members()[1]
	all[0].members.gone("n2")
	all[0].reconcile(t.Context())
	all[0].publish(id, 1)
	w.await(t, 1)
	if len(all[0].Members()) != 1 || w.lost() != 0 {
		t.Errorf("members %v, told of %d losses", all[0].Members(), w.lost())
	}
	all[0].cut()
	await(t, "the end of the peer", func() bool {
		all[0].mu.RLock()
		defer all[0].mu.RUnlock()
		return len(all[0].peers) == 0
	})
	all[0].members.present("n2", n2.Gossip, n2.meta.append(nil))
	await(t, "a new stream", func() bool { return all[0].of("n2").Connected && w.lost() > 0 })
	all[0].publish(id, 2)
	w.await(t, 2)
}

// TestSlowNode shows P5 between nodes: one that does not read delays neither the publisher nor the others; its events wait up to the
// limit, then it is told that it lost some.
func TestSlowNode(t *testing.T) {
	const limit, published = 500, 20_000
	all := startAll(t, 3, published, func(_ int, o *Options) { o.QueueLimit = limit })
	id := mailbox.NewID()
	release, held := make(chan struct{}), make(chan struct{})
	var once sync.Once
	reg := all[1].bus.Listen(&eventbus.Listener{Scope: eventbus.Mailbox, Delivery: eventbus.Sync, Handle: func([]mailbox.Event) error {
		once.Do(func() { close(held); <-release })
		return nil
	}}, eventbus.MailboxKey(id))
	defer reg.Close()
	slow, quick := watch(t, all[1].bus, id), watch(t, all[2].bus, id)
	all[0].publish(id, 1)
	<-held
	for m := mailbox.ModSeq(2); m <= published; m++ {
		all[0].publish(id, m)
		if q := all[0].of("n2").Queued; q > limit {
			t.Fatalf("%d events are waiting", q)
		}
		if m%(limit/2) == 0 {
			quick.await(t, m)
		}
	}
	quick.await(t, published)
	if quick.lost() != 0 {
		t.Error("the other node lost events too")
	}
	close(release)
	if all[0].of("n2").Dropped > 0 {
		await(t, "the notice of loss", func() bool { return slow.lost() > 0 })
	}
	all[0].publish(id, published+1)
	slow.await(t, published+1)
	slow.onlyOnce(t)
	if got := len(slow.all()); got != published+1 && slow.lost() == 0 {
		t.Errorf("%d events came and nothing was said of the others", got)
	}
}

// TestOverflowWithoutMore shows that a receiver learns of a loss even if nothing is published any more.
func TestOverflowWithoutMore(t *testing.T) {
	all := startAll(t, 2, 64, func(_ int, o *Options) { o.QueueLimit = 3 })
	id := mailbox.NewID()
	w := watch(t, all[1].bus, id)
	all[0].bus.Publish([]mailbox.Event{change(id, 1), change(id, 2), change(id, 3), change(id, 4)})
	await(t, "the notice of loss", func() bool { return w.lost() == 1 })
	if d := all[0].of("n2").Dropped; d != 4 {
		t.Errorf("%d events dropped", d)
	}
	huge := mailbox.Event{Kind: mailbox.EventCreated, Mailbox: id, Name: strings.Repeat("n", codec.MaxEvent)}
	all[0].bus.Publish([]mailbox.Event{huge})
	await(t, "the notice of an event too large", func() bool { return w.lost() == 2 })
	if s := all[0].Stats(); s.Unsent != 1 {
		t.Errorf("%d events unsent", s.Unsent)
	}
}

// TestNewInstance shows that a name used by another process, at another address, is a new node: the others are told of the loss, and
// its numbers begin anew.
func TestNewInstance(t *testing.T) {
	keys := []Key{NewKey()}
	all := startAll(t, 3, 64, func(_ int, o *Options) { o.Keys = keys })
	id := mailbox.NewID()
	all[1].publish(id, 1)
	w := watch(t, all[0].bus, id)
	all[1].publish(id, 2)
	w.await(t, 2)
	first := all[1].instance
	all[1].stop()
	again := start(t, Options{Name: "n2", Keys: keys, Join: []string{all[0].GossipAddress().String()}}, 64)
	await(t, "the new instance", func() bool {
		i := slices.IndexFunc(all[0].Members(), func(m Member) bool { return m.Name == "n2" })
		return i >= 0 && all[0].Members()[i].Instance == again.instance
	})
	if again.instance == first {
		t.Fatal("the same instance")
	}
	awaitStreams(t, all[0], again, all[2])
	if w.lost() == 0 {
		t.Error("nobody was told")
	}
	again.publish(id, 3)
	w.await(t, 3)
	back := watch(t, again.bus, id)
	all[0].publish(id, 4)
	back.await(t, 4)
	w.onlyOnce(t)
}

// A meeting is a Network that counts how often it joined, and how many packets in a row memberlist had nothing to tell in.
type meeting struct {
	Network
	joins, silent atomic.Int64
	space         atomic.Int64
}

func (m *meeting) Gossip(ctx context.Context, d Delegate) error {
	return m.Network.Gossip(ctx, listening{d, m})
}

// listening is a Delegate that sees how much space memberlist leaves in a packet.
type listening struct {
	Delegate
	m *meeting
}

func (l listening) Broadcasts(overhead, limit int) [][]byte {
	if l.m.space.Swap(int64(limit)) == int64(limit) {
		l.m.silent.Add(1)
	} else {
		l.m.silent.Store(0)
	}
	return l.Delegate.Broadcasts(overhead, limit)
}

func (m *meeting) Join(at netip.AddrPort) error {
	m.joins.Add(1)
	return m.Network.Join(at)
}

// TestRestartAtOnce shows that a node that is killed, started again before anybody has missed it, and told to join nobody, finds the others: one that
// has a stream refused by it tells it who is there.
func TestRestartAtOnce(t *testing.T) {
	keys := []Key{NewKey()}
	first := start(t, Options{Name: "n1", Keys: keys}, 64)
	gossip, stream := first.GossipAddress().String(), first.Members()[0].Stream
	network := new(meeting)
	second := start(t, Options{Name: "n2", Keys: keys, Join: []string{gossip}, RejoinInterval: time.Hour}, 64, func(n Network) Network {
		network.Network = n
		return network
	})
	awaitStreams(t, first, second)
	await(t, "silence", func() bool { return network.silent.Load() > 20 }) // else gossip of how n2 joined might reach the new n1
	first.kill()
	joins := network.joins.Load()
	again := start(t, Options{Name: "n1", Keys: keys, Gossip: gossip, Stream: stream}, 64)
	awaitStreams(t, again, second)
	if network.joins.Load() == joins {
		t.Error("the other node has waited for memberlist to exchange members")
	}
	id := mailbox.NewID()
	heard := watch(t, again.bus, id)
	second.publish(id, 1)
	heard.await(t, 1)
}

// TestRestartOfAll shows that nodes find each other again after all were gone.
func TestRestartOfAll(t *testing.T) {
	keys := []Key{NewKey()}
	all := startAll(t, 3, 64, func(_ int, o *Options) { o.Keys = keys })
	var addresses []string
	for _, m := range all {
		addresses = append(addresses, m.GossipAddress().String())
	}
	for _, m := range all {
		m.stop()
	}
	var again []*member
	for i, a := range addresses {
		again = append(again, start(t, Options{Name: fmt.Sprintf("n%d", i+1), Keys: keys, Gossip: a, Stream: "127.0.0.1:0", Join: addresses}, 64))
	}
	awaitStreams(t, again...)
	for _, m := range again {
		if !m.Joined() {
			t.Errorf("%s has not joined", m.o.Name)
		}
	}
	id := mailbox.NewID()
	w := watch(t, again[2].bus, id)
	again[0].publish(id, 1)
	w.await(t, 1)
}

// TestCloseSendsWhatWaits shows P9: who leaves sends what is queued first.
func TestCloseSendsWhatWaits(t *testing.T) {
	all := startAll(t, 3, 20_000, nil)
	id := mailbox.NewID()
	a, b := watch(t, all[1].bus, id), watch(t, all[2].bus, id)
	const n = 10_000
	for m := mailbox.ModSeq(1); m <= n; m++ {
		all[0].publish(id, m)
	}
	all[0].stop()
	for _, w := range []*watcher{a, b} {
		w.await(t, n)
		if got := w.all(); len(got) != n {
			t.Errorf("%d events came", len(got))
		}
	}
	await(t, "the end of the membership", func() bool { return len(all[1].Members()) == 2 })
}

// TestMixedCodecs shows that nodes talk that are configured to send in different codecs.
func TestMixedCodecs(t *testing.T) {
	all := startAll(t, 2, 64, func(i int, o *Options) { o.Codec = []codec.Codec{codec.MessagePack, codec.JSON}[i] })
	id := mailbox.NewID()
	a, b := watch(t, all[0].bus, id), watch(t, all[1].bus, id)
	all[0].publish(id, 1)
	b.await(t, 1)
	all[1].publish(id, 2)
	a.await(t, 2)
	if x, y := all[0].of("n2").Codec, all[1].of("n1").Codec; x != "msgpack" || y != "json" {
		t.Errorf("codecs %s, %s", x, y)
	}
	await(t, "a round trip", func() bool { return all[0].of("n2").RoundTrip > 0 })
}

// TestDrain shows that the others see what a node says of itself.
func TestDrain(t *testing.T) {
	all := startAll(t, 2, 64, nil)
	seen := func() Member {
		for _, m := range all[0].Members() {
			if m.Name == "n2" {
				return m
			}
		}
		return Member{}
	}
	if m := seen(); m.Draining || m.Version != "test" || m.Self || !slices.Equal(m.Codecs, []string{"msgpack", "json"}) {
		t.Errorf("%+v", m)
	}
	connects := all[0].of("n2").Connects
	for _, on := range []bool{true, false} {
		if err := all[1].Drain(on); err != nil {
			t.Fatal(err)
		}
		await(t, "the news", func() bool { return seen().Draining == on })
	}
	if c := all[0].of("n2").Connects; c != connects {
		t.Error("the stream was opened again")
	}
}

// TestFlappingNetwork cuts all streams again and again while all publish: in the end every listener of every node has heard everything
// once and in order of its mailbox, from the streams or from the feed.
func TestFlappingNetwork(t *testing.T) {
	feed := new(memoryFeed)
	all := startAll(t, 3, 20_000, func(_ int, o *Options) { o.Feed, o.RepairInterval = feed, 200*time.Millisecond })
	var ids []mailbox.ID
	for range all {
		ids = append(ids, mailbox.NewID())
	}
	watchers := make([][]*watcher, len(ids)) // of each mailbox
	for i, id := range ids {
		for _, m := range all {
			watchers[i] = append(watchers[i], watch(t, m.bus, id))
		}
	}
	var publishers sync.WaitGroup
	var stop atomic.Bool
	published := make([]int, len(ids))
	for i, m := range all {
		publishers.Go(func() {
			for !stop.Load() {
				for range 20 {
					published[i]++
					feed.commit(m.bus, change(ids[i], mailbox.ModSeq(published[i])))
				}
				<-time.After(2 * time.Millisecond)
			}
		})
	}
	for i := range 12 {
		m := all[i%len(all)]
		connects := func() (n uint64) {
			for _, p := range m.Stats().Peers {
				n += p.Connects
			}
			return n
		}
		before := connects()
		m.cut()
		await(t, "a stream after the cut", func() bool { return connects() > before })
	}
	stop.Store(true)
	publishers.Wait()
	whole := time.Now()
	for i, list := range watchers {
		for _, w := range list {
			await(t, "everything", func() bool { return covers(w.all(), published[i]) })
		}
	}
	t.Logf("%d changes; right after %s", published, time.Since(whole))
}

// covers says whether every ModSeq up to n was heard.
func covers(heard []mailbox.ModSeq, n int) bool {
	if len(heard) < n {
		return false
	}
	seen := make(map[mailbox.ModSeq]bool, n)
	for _, m := range heard {
		seen[m] = true
	}
	return len(seen) >= n
}
