package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A cut separates one node from all others, and while it lasts what they write to each other is lost.
type cut struct {
	node string
	on   atomic.Bool

	mu      sync.Mutex
	streams []Stream // of that node
}

var errCut = errors.New("cut off")

// between says whether nothing goes between two nodes.
func (c *cut) between(a, b string) bool { return c.on.Load() && (a == c.node) != (b == c.node) }

// wrap puts a cut between a node and its network.
func (c *cut) wrap(n Network) Network { return severed{n, n.(*wires).o.Name, c} }

// breakAll ends the streams of the node, as a longer cut would.
func (c *cut) breakAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.streams {
		s.Close()
	}
	c.streams = nil
}

// A severed is a node's network with a cut in it.
type severed struct {
	Network
	name string
	cut  *cut
}

func (s severed) Dial(ctx context.Context, to Member) (Stream, error) {
	if s.cut.between(s.name, to.Name) {
		return nil, errCut
	}
	c, err := s.Network.Dial(ctx, to)
	if err != nil {
		return nil, err
	}
	return s.stream(c, to.Name), nil
}

func (s severed) Gossip(ctx context.Context, d Delegate) error {
	return s.Network.Gossip(ctx, severedDelegate{d, s})
}

func (s severed) stream(c Stream, other string) Stream {
	s.cut.mu.Lock()
	defer s.cut.mu.Unlock()
	if s.name == s.cut.node {
		s.cut.streams = append(s.cut.streams, c)
	}
	return severedStream{c, s, other}
}

type severedDelegate struct {
	Delegate
	s severed
}

func (d severedDelegate) Serve(name string, c Stream) { d.Delegate.Serve(name, d.s.stream(c, name)) }

// A severedStream loses what is written while it is cut; each Write is a whole frame or answer.
type severedStream struct {
	Stream
	s     severed
	other string
}

func (c severedStream) Write(b []byte) (int, error) {
	if c.s.cut.between(c.s.name, c.other) {
		return len(b), nil
	}
	return c.Stream.Write(b)
}

// BenchmarkRepair cuts one of three nodes off from the others for half a second, in which 500 changes are committed on both sides, and measures how
// long it takes from the end of the cut until each node has heard of all; the feed, which goes on, has told some before. Then nothing more happens, or
// a change is committed on each side, which shows the gap. Where the streams are broken, they must be opened again first.
func BenchmarkRepair(b *testing.B) {
	for _, more := range []bool{false, true} {
		for _, broken := range []bool{false, true} {
			b.Run(fmt.Sprintf("changes go on=%v/streams broken=%v", more, broken), func(b *testing.B) { repairTime(b, broken, more) })
		}
	}
}

func repairTime(b *testing.B, broken, more bool) {
	c := &cut{node: "n03"}
	r := newRig(b, 3, benchBoxes, Options{Lanes: Streams}, func(int, int) bool { return true }, c.wrap)
	var list []time.Duration
	for b.Loop() {
		c.on.Store(true)
		for range 250 {
			r.commit(0)
			r.commit(2)
			<-time.After(2 * time.Millisecond)
		}
		if broken {
			c.breakAll()
		}
		c.on.Store(false)
		healed := time.Now()
		if more {
			r.commit(0)
			r.commit(2)
		}
		await(b, "everything", func() bool { return r.missing() == 0 })
		list = append(list, time.Since(healed))
		awaitStreams(b, r.all...)
	}
	slices.Sort(list)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(list[len(list)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(list[len(list)-1].Microseconds())/1000, "max-ms")
}
