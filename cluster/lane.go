package cluster

import (
	"bytes"
	"context"
	"sync/atomic"
	"time"

	"github.com/starling-mail/starling/eventbus/codec"
	"github.com/starling-mail/starling/mailbox"
)

const (
	// hold is how long what comes by gossip waits for the stream that should bring it too, and first.
	hold = 50 * time.Millisecond
	// laneQueue is how many broadcasts wait to be read, and how many to be told.
	laneQueue = 4096
)

// A lane tells events by gossip. They come out of order, late, twice or not at all; whatever a stream brings first is not told again.
type lane struct {
	node    *Node
	queue   broadcasts
	inbox   chan []byte
	number  atomic.Uint64 // of the last broadcast of this node
	seen    generations   // run's: broadcasts of all nodes
	waiting []held        // run's: in order of time

	received, told, missed, undecodable atomic.Uint64
}

// held is an event that waits for its stream.
type held struct {
	until time.Time
	event mailbox.Event
}

func newLane(n *Node) *lane {
	l := &lane{node: n, inbox: make(chan []byte, laneQueue)}
	l.queue.members = func() int {
		n.members.mu.Lock()
		defer n.members.mu.Unlock()
		return len(n.members.byName)
	}
	return l
}

// gossiped takes a broadcast from the network, which needs its bytes again.
func (l *lane) gossiped(b []byte) {
	if len(b) > maxBroadcast {
		l.undecodable.Add(1)
		return
	}
	select {
	case l.inbox <- bytes.Clone(b):
	default:
		l.missed.Add(1) // the feed has it
	}
}

// send queues events of this node.
func (l *lane) send(events []mailbox.Event) {
	for i := range events {
		if b, replace := newBroadcast(l.node.instance, l.number.Add(1), &events[i], l.queue.crowded()); b != nil {
			l.queue.put(b, replace)
		}
	}
}

// run reads what comes until ctx ends.
func (l *lane) run(ctx context.Context) {
	timer := time.NewTimer(hold)
	defer timer.Stop()
	for {
		select {
		case b := <-l.inbox:
			l.take(b)
		case <-timer.C:
			l.release(time.Now())
			next := hold
			if len(l.waiting) > 0 {
				next = max(time.Until(l.waiting[0].until), time.Millisecond)
			}
			timer.Reset(next)
		case <-ctx.Done():
			return
		}
	}
}

// take reads one broadcast, passes it on, and tells it unless a stream will.
func (l *lane) take(b []byte) {
	f, err := codec.Decode(b)
	if err != nil {
		l.undecodable.Add(1)
		l.node.letters.keep("gossip", err, b)
		return
	}
	l.received.Add(1)
	if f.Origin == l.node.instance || !l.seen.add([2]uint64{f.Origin, f.First}) || len(f.Events) != 1 {
		return
	}
	e := &f.Events[0]
	// Who got it passes it on: otherwise not everybody would get it.
	l.queue.put(asBroadcast(e, b), e.Change != nil && e.Change.Truncated)
	if !l.node.hears(f.Origin) {
		l.tell(f.Events)
	} else if len(l.waiting) < laneQueue {
		l.waiting = append(l.waiting, held{time.Now().Add(hold), *e})
	} else {
		l.missed.Add(1)
	}
}

// release tells what has waited long enough.
func (l *lane) release(now time.Time) {
	n := 0
	for n < len(l.waiting) && !l.waiting[n].until.After(now) {
		l.tell([]mailbox.Event{l.waiting[n].event})
		n++
	}
	if l.waiting = l.waiting[n:]; len(l.waiting) == 0 {
		l.waiting = nil
	}
}

func (l *lane) tell(events []mailbox.Event) {
	if events = l.node.recent.gossiped(events); len(events) > 0 {
		l.told.Add(uint64(len(events)))
		l.node.o.Receiver.Receive(events)
	}
}

// hears says whether a stream of an instance is open.
func (n *Node) hears(instance uint64) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for _, s := range n.senders {
		if s.instance.Load() == instance && s.open.Load() > 0 {
			return true
		}
	}
	return false
}

// generations is a set that forgets.
type generations struct{ young, old map[[2]uint64]struct{} }

// add returns false if v is in the set.
func (g *generations) add(v [2]uint64) bool {
	if _, ok := g.young[v]; ok {
		return false
	}
	if _, ok := g.old[v]; ok {
		return false
	}
	if g.young == nil || len(g.young) >= recentSize {
		g.young, g.old = make(map[[2]uint64]struct{}), g.young
	}
	g.young[v] = struct{}{}
	return true
}
