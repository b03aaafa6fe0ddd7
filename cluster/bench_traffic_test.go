package cluster

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// A meter is a Network that counts what goes over it, before it is encrypted.
type meter struct {
	Network
	m *metered
}

// metered is what went over the networks of all nodes, in bytes.
type metered struct{ streams, gossip atomic.Int64 }

func (m *metered) wrap(n Network) Network { return meter{n, m} }

func (m meter) Dial(ctx context.Context, to Member) (Stream, error) {
	s, err := m.Network.Dial(ctx, to)
	if err != nil {
		return nil, err
	}
	return meteredStream{s, m.m}, nil
}

func (m meter) Gossip(ctx context.Context, d Delegate) error {
	return m.Network.Gossip(ctx, meteredGossip{d, m.m})
}

type meteredStream struct {
	Stream
	m *metered
}

func (s meteredStream) Write(b []byte) (int, error) {
	s.m.streams.Add(int64(len(b)))
	return s.Stream.Write(b)
}

type meteredGossip struct {
	Delegate
	m *metered
}

func (g meteredGossip) Broadcasts(overhead, limit int) [][]byte {
	list := g.Delegate.Broadcasts(overhead, limit)
	for _, b := range list {
		g.m.gossip.Add(int64(len(b) + overhead))
	}
	return list
}

// BenchmarkTraffic counts the bytes that one change costs each node, before encryption: each of 1,000 mailboxes is open on two nodes, and changed on all in
// turn, 2,000 times a second together. Heartbeats, what gossip says of members, and answers are not counted.
func BenchmarkTraffic(b *testing.B) {
	for _, nodes := range []int{3, 10, 30} {
		for _, interest := range []bool{false, true} {
			for _, lanes := range []Lanes{Streams, Streams | Broadcasts} {
				name := map[bool]string{false: "broadcast", true: "interest"}[interest]
				b.Run(fmt.Sprintf("nodes=%d/mode=%s/gossip=%v", nodes, name, lanes.has(Broadcasts)), func(b *testing.B) {
					var m metered
					r := newRig(b, nodes, 1000, Options{Lanes: lanes, Interest: interest},
						func(box, node int) bool { return node == box%nodes || node == (box+1)%nodes }, m.wrap)
					idle := func(over time.Duration) int64 { // heartbeats
						before := m.streams.Load()
						<-time.After(over)
						return m.streams.Load() - before
					}
					const second = time.Second
					beats := idle(second)
					streams, gossip, used := m.streams.Load(), m.gossip.Load(), cpu(b)
					began := time.Now()
					for b.Loop() {
						r.pace(began, r.published, 2000)
						r.commit(r.published / 7 % nodes)
					}
					await(b, "everything", func() bool { return r.missing() == 0 })
					took := time.Since(began)
					used = cpu(b) - used
					share := float64(r.published * nodes)
					b.ReportMetric(0, "ns/op")
					b.ReportMetric(max(0, float64(m.streams.Load()-streams)-float64(beats)*took.Seconds())/share, "stream-B/event/node")
					b.ReportMetric(float64(m.gossip.Load()-gossip)/share, "gossip-B/event/node")
					b.ReportMetric(float64(used.Nanoseconds())/1000/float64(r.published), "cpu-us/event")
				})
			}
		}
	}
}
