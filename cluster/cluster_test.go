package cluster

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/eventbus/codec"
	"github.com/starling-mail/starling/eventbus/eventbustest"
	"github.com/starling-mail/starling/mailbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// await waits until what happens has happened.
func await(t testing.TB, what string, happened func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.After(time.Minute) // on a machine that has much else to do
	for !happened() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s: does not happen", what)
		}
	}
}

// testLog writes to the standard error if STARLING_TEST_LOG is set.
func testLog() zerolog.Logger {
	if os.Getenv("STARLING_TEST_LOG") == "" {
		return zerolog.Nop()
	}
	return zerolog.New(os.Stderr).With().Timestamp().Logger()
}

// A member is a node with its bus.
type member struct {
	*Node
	bus  *eventbus.Bus
	stop func() // closes the node; again does nothing
	kill func() // closes it without a word to others
}

// start starts a node with a bus. It is closed when t ends. wrap may put something between the node and its network.
func start(t testing.TB, o Options, queue int, wrap ...func(Network) Network) *member {
	t.Helper()
	bus := eventbus.New(eventbus.Options{QueueLimit: queue, Log: zerolog.Nop()})
	if o.Cluster == "" {
		o.Cluster = "test"
	}
	if o.Gossip == "" {
		o.Gossip, o.Stream = "127.0.0.1:0", "127.0.0.1:0"
	}
	if o.Lanes == 0 {
		o.Lanes = Streams // alone in order
	}
	o.Profile, o.Receiver, o.Log, o.Version = Local, bus, testLog(), "test"
	if o.RejoinInterval == 0 {
		o.RejoinInterval = 50 * time.Millisecond
	}
	n, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wrap {
		n.network = w(n.network)
	}
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	disconnect := bus.Connect(n)
	m := &member{Node: n, bus: bus}
	end := func(ctx context.Context) {
		disconnect()
		if err := n.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	m.stop = func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		end(ctx)
	}
	m.kill = func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		end(ctx)
	}
	t.Cleanup(func() {
		m.stop()
		if err := bus.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return m
}

// startAll starts nodes that join the first one and waits until all have streams to all.
func startAll(t testing.TB, count, queue int, configure func(i int, o *Options)) []*member {
	t.Helper()
	keys := []Key{NewKey()}
	var all []*member
	for i := range count {
		o := Options{Name: fmt.Sprintf("n%d", i+1), Keys: keys}
		if i > 0 {
			o.Join = []string{all[0].GossipAddress().String()}
		}
		if configure != nil {
			configure(i, &o)
		}
		all = append(all, start(t, o, queue))
	}
	awaitStreams(t, all...)
	return all
}

// awaitStreams waits until each has a stream to each other.
func awaitStreams(t testing.TB, all ...*member) {
	t.Helper()
	await(t, "streams between all", func() bool {
		for _, m := range all {
			s := m.Stats()
			if open(s) != len(all)-1 || s.Members != len(all) {
				return false
			}
		}
		return true
	})
}

// open counts the nodes that there are streams to and from.
func open(s Stats) (n int) {
	for _, p := range s.Peers {
		if p.Connected && p.Receiving {
			n++
		}
	}
	return n
}

// TestBuses runs the bus's suite over three nodes with memberlist and streams.
func TestBuses(t *testing.T) {
	for _, c := range []codec.Codec{codec.MessagePack, codec.JSON} {
		t.Run(c.String(), func(t *testing.T) {
			eventbustest.Run(t, func(t *testing.T) eventbustest.Buses {
				b := eventbustest.Buses{Queue: 64}
				for _, m := range startAll(t, 3, b.Queue, func(_ int, o *Options) { o.Codec = c }) {
					b.Nodes = append(b.Nodes, m.bus)
				}
				return b
			})
		})
	}
}

func change(id mailbox.ID, m mailbox.ModSeq) mailbox.Event {
	return mailbox.ChangeEvent(&mailbox.Change{Mailbox: id, Prev: m - 1, ModSeq: m})
}

// wires returns n's network.
func (n *Node) wires() *wires { return n.network.(*wires) }
