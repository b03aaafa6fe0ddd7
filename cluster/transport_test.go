package cluster

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/eventbus/codec"
	"github.com/starling-mail/starling/mailbox"
)

// A watcher is a listener that notes what it is told about one mailbox.
type watcher struct {
	mu     sync.Mutex
	heard  []mailbox.ModSeq
	losses int
}

func watch(t testing.TB, bus *eventbus.Bus, id mailbox.ID) *watcher {
	w := new(watcher)
	reg := bus.Listen(&eventbus.Listener{
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
	t.Cleanup(reg.Close)
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
	m.links.mu.Lock()
	defer m.links.mu.Unlock()
	for k := range m.links.open {
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
	all[0].members.NotifyLeave(&memberlist.Node{Name: "n2"})
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
	all[0].members.set(&memberlist.Node{Name: "n2", Addr: n2.Gossip.Addr().AsSlice(), Port: n2.Gossip.Port(), Meta: n2.meta.append(nil)})
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

// TestKeyRotation exchanges the key of a running cluster: events flow at every step, and who has the old key only is out.
func TestKeyRotation(t *testing.T) {
	old, next := NewKey(), NewKey()
	all := startAll(t, 3, 64, func(_ int, o *Options) { o.Keys = []Key{old} })
	id := mailbox.NewID()
	w := watch(t, all[2].bus, id)
	for step, keys := range [][]Key{{old}, {old, next}, {next, old}, {next}} {
		for _, m := range all {
			if err := m.SetKeys(keys); err != nil {
				t.Fatal(err)
			}
		}
		awaitStreams(t, all...)
		all[0].publish(id, mailbox.ModSeq(step+1))
		w.await(t, mailbox.ModSeq(step+1))
	}
	for k := range all[0].links.open {
		if k.keys != [2]Key{next, next} {
			t.Error("a stream rests on the old key")
		}
	}
	before := all[0].Stats().Refused
	out := start(t, Options{Name: "n4", Keys: []Key{old}, Join: []string{all[0].GossipAddress().String()}}, 64)
	if s, err := dialAs(t, out.Node, all[0].Node, nil); err == nil {
		s.Close()
		t.Error("the old key opens a stream")
	}
	await(t, "the refusal", func() bool { return all[0].Stats().Refused > before })
	if len(out.Members()) != 1 || len(all[0].Members()) != 3 {
		t.Error("who has the old key is a member")
	}
	if err := new(Node).SetKeys([]Key{old}); err == nil {
		t.Error("keys are exchanged before the start")
	}
	if err := all[0].SetKeys(nil); err == nil {
		t.Error("no keys are accepted")
	}
}

// TestWrongClusterName shows that two clusters do not mix, even with one key.
func TestWrongClusterName(t *testing.T) {
	key := NewKey()
	a := start(t, Options{Name: "n1", Keys: []Key{key}}, 64)
	b := start(t, Options{Name: "n2", Cluster: "other", Keys: []Key{key}, Join: []string{a.GossipAddress().String()}}, 64)
	if s, err := dialAs(t, b.Node, a.Node, nil); err == nil {
		s.Close()
		t.Error("a stream from another cluster is open")
	}
	await(t, "the refusal", func() bool { return a.Stats().Refused > 0 })
	b.joinMissing(t.Context())
	if len(a.Members()) != 1 || len(b.Members()) != 1 {
		t.Error("two clusters have mixed")
	}
}

// dialAs opens a stream to a node with the identity of another, and says hello.
func dialAs(t *testing.T, as, to *Node, greeting []byte) (*tls.Conn, error) {
	config, _ := as.id.client(to.o.Name)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", to.listener.Addr().String())
	if err != nil {
		return nil, err
	}
	conn := c.(*tls.Conn)
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(greeting); err != nil {
		conn.Close()
		return nil, err
	}
	if _, err := io.ReadFull(conn, make([]byte, answerSize)); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// TestHostileStream shows P7 on streams whose other end has the key: whatever it sends is refused or passed over and counted, and what
// comes after it is used.
func TestHostileStream(t *testing.T) {
	key := NewKey()
	victim := start(t, Options{Name: "n1", Keys: []Key{key}}, 64)
	evil, err := New(Options{Name: "evil", Cluster: "test", Keys: []Key{key}, Gossip: "127.0.0.1:0", Stream: "127.0.0.1:0", Receiver: victim.bus, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	id := mailbox.NewID()
	w := watch(t, victim.bus, id)
	greet := func(next uint64) []byte {
		return appendFrame(nil, (&hello{to: victim.instance, instance: 7, line: 8, next: next}).append)
	}
	open := func(next uint64) *tls.Conn {
		c, err := dialAs(t, evil, victim.Node, greet(next))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	frame := func(origin, first uint64, events ...mailbox.Event) []byte {
		return appendFrame(nil, func(b []byte) []byte {
			return codec.MessagePack.AppendFrame(b, origin, first, encode(codec.MessagePack, events))
		})
	}
	send := func(c net.Conn, b ...[]byte) {
		if _, err := c.Write(slices.Concat(b...)); err != nil {
			t.Fatal(err)
		}
	}
	ended := func(c net.Conn) {
		t.Helper()
		if _, err := io.Copy(io.Discard, c); err != nil {
			if e, ok := err.(net.Error); ok && e.Timeout() {
				t.Error("the stream stays open")
			}
		}
	}
	of := func() PeerStats { return victim.of("evil") }

	// Hellos that are none.
	for what, b := range map[string][]byte{
		"too large":        binary.BigEndian.AppendUint32(nil, maxHello+1),
		"too short":        appendFrame(nil, func(b []byte) []byte { return append(b, helloMagic[:]...) }),
		"another version":  appendFrame(nil, func(b []byte) []byte { return append(append(b, 'S', 'T', 'S', 2), make([]byte, 64)...) }),
		"another instance": appendFrame(nil, (&hello{to: victim.instance + 1, instance: 7}).append),
		"another protocol": []byte("GET / HTTP/1.1\r\n\r\n"),
	} {
		if c, err := dialAs(t, evil, victim.Node, b); err == nil {
			t.Errorf("hello %s is answered", what)
			c.Close()
		}
	}

	c := open(0)
	send(c, frame(7, 0, change(id, 1)))
	w.await(t, 1)
	losses := w.lost()

	// What does not decode is kept, and what follows is used; the gap is seen.
	send(c, appendFrame(nil, func(b []byte) []byte { return append(b, "\x01mrubbish"...) }), frame(7, 2, change(id, 2)))
	w.await(t, 2)
	letters := victim.DeadLetters()
	if len(letters) != 1 || letters[0].From != "evil" || string(letters[0].Bytes) != "\x01mrubbish" || of().Undecodable != 1 {
		t.Errorf("dead letters: %+v", letters)
	}
	if w.lost() != losses+1 {
		t.Errorf("%d losses, want %d", w.lost(), losses+1)
	}
	for range 3 * maxLetters {
		send(c, appendFrame(nil, func(b []byte) []byte { return append(b, make([]byte, 2*maxLetterSize)...) }))
	}
	// Another instance's frames, and a replay.
	send(c, frame(9, 3, change(id, 666)), frame(7, 2, change(id, 667)), frame(7, 3, change(id, 3)))
	w.await(t, 3)
	if letters := victim.DeadLetters(); len(letters) != maxLetters || len(letters[0].Bytes) != maxLetterSize || letters[0].Size != 2*maxLetterSize {
		t.Errorf("%d dead letters are kept", len(letters))
	}
	if of().Repeated != 1 || of().Undecodable != 3*maxLetters+2 {
		t.Errorf("%+v", of())
	}
	// Another stream of the same node ends this one; a replay of what it sent is not told again.
	again := open(4)
	ended(c)
	send(again, frame(7, 0, change(id, 1)), frame(7, 3, change(id, 3)), frame(7, 4, change(id, 4)))
	w.await(t, 4)

	// A frame over the limit ends its stream; so does the end in the middle of a frame, and silence.
	send(again, binary.BigEndian.AppendUint32(nil, codec.MaxFrame+1))
	ended(again)
	if n := victim.Stats().TooLarge; n != 1 {
		t.Errorf("%d frames too large", n)
	}
	cutOff := open(5)
	send(cutOff, frame(7, 5, change(id, 668))[:20])
	cutOff.Close()
	await(t, "the end of a truncated stream", func() bool { return !of().Receiving })
	last := open(5)
	send(last, frame(7, 5, change(id, 5)))
	w.await(t, 5)
	if heard := w.all(); !slices.Equal(heard, []mailbox.ModSeq{1, 2, 3, 4, 5}) {
		t.Errorf("heard %d", heard)
	}
	if r := victim.Stats().Refused; r < 5 {
		t.Errorf("%d refused", r)
	}
}

// TestNoKeyAtAll shows that strangers are refused and counted.
func TestNoKeyAtAll(t *testing.T) {
	victim := start(t, Options{Name: "n1", Keys: []Key{NewKey()}}, 64)
	stranger, err := newIdentity("n2", "test", []Key{NewKey()})
	if err != nil {
		t.Fatal(err)
	}
	config, _ := stranger.client("n1")
	if c, err := tls.Dial("tcp", victim.listener.Addr().String(), config); err == nil {
		if _, err := io.ReadFull(c, make([]byte, 1)); err == nil {
			t.Error("a stranger is answered")
		}
		c.Close()
	}
	silent, err := net.Dial("tcp", victim.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	r := bufio.NewReader(silent)
	if _, err := silent.Write([]byte("hello\n")); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err == nil && len(b) > 7 { // a TLS alert at most
		t.Errorf("%q to a stranger", b)
	}
	await(t, "two refusals", func() bool { return victim.Stats().Refused >= 2 })
	if len(victim.Stats().Peers) != 0 {
		t.Error("a stranger is known")
	}
}

// TestStrangersKeepNobodyOut shows that a node is let in while many connections wait that show no key, of which only so many are kept.
func TestStrangersKeepNobodyOut(t *testing.T) {
	keys := []Key{NewKey()}
	victim := start(t, Options{Name: "n1", Keys: keys}, 64)
	var strangers []net.Conn
	for range 3 * maxHandshakes {
		c, err := net.Dial("tcp", victim.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		strangers = append(strangers, c)
	}
	friend := start(t, Options{Name: "n2", Keys: keys, Join: []string{victim.GossipAddress().String()}}, 64)
	awaitStreams(t, victim, friend)
	for _, c := range strangers[:maxHandshakes] { // the oldest are closed
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("a stranger is kept")
		}
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
