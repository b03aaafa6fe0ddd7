package eventbus

import (
	"slices"

	"github.com/starling-mail/starling/mailbox"
)

// A Transport carries what this node published to the buses of other nodes.
type Transport interface {
	// Send takes events in the order in which they were published, by one publisher or several. It is called between commit and reply, so
	// it must not wait for a network or for other nodes: what it has no room for it drops, and it sees to it that
	// the receivers are told. It keeps no reference to the slice; the Changes are immutable.
	Send(events []mailbox.Event)
}

// A Receiver takes what a Transport brings from other nodes. *Bus is one.
type Receiver interface {
	// Receive takes events of other nodes: those of one node in the order in which it sent them. They may come twice or
	// out of order where a network makes them. It keeps no reference to the slice; the Changes are immutable.
	Receive(events []mailbox.Event)

	// Lost says that events may have been lost: of the keys, or, without any, of all.
	Lost(keys ...Key)
}

// Connect gives t everything that is published from now on, until disconnect is called; a Send in progress is not waited for.
func (b *Bus) Connect(t Transport) (disconnect func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	link := &t // tells one connection from another of the same Transport
	b.links = append(b.links[:len(b.links):len(b.links)], link)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.links = slices.DeleteFunc(slices.Clone(b.links), func(l *Transport) bool { return l == link })
	}
}

// send gives events to the Transports.
func (b *Bus) send(events []mailbox.Event) {
	if len(events) == 0 {
		return
	}
	b.mu.RLock()
	links := b.links
	b.mu.RUnlock()
	for _, t := range links {
		(*t).Send(events)
	}
}

// Receive implements Receiver: it serves the listeners on mailboxes and accounts and those of the cluster, not the local ones. On a
// closed bus it does nothing.
func (b *Bus) Receive(events []mailbox.Event) {
	if !b.work.enter() {
		return
	}
	defer b.work.leave()
	b.stats.received.Add(uint64(len(events)))
	b.deliver(significant(events))
}

// Lost implements Receiver: the listeners on the keys, or all but the local ones, and those of the cluster in any case, are
// told so and drop what waits for them. An async listener is told by the goroutine that serves it.
func (b *Bus) Lost(keys ...Key) {
	if !b.work.enter() {
		return
	}
	defer b.work.leave()
	for _, t := range b.affected(keys) {
		switch {
		case t.refs.Load() == 0: // closed since
		case b.sync(t.l):
			b.tellLost(t.l)
		default:
			b.enqueueLost(t)
		}
	}
}

// affected returns an entry of each listener that a loss concerns.
func (b *Bus) affected(keys []Key) []*entry {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if len(keys) == 0 {
		for k := range b.keyed {
			keys = append(keys, k)
		}
	} else {
		keys = append(slices.Clone(keys), scopeKey(Cluster))
	}
	seen := make(map[*Listener]bool)
	var list []*entry
	for _, k := range keys {
		if k == scopeKey(Local) {
			continue
		}
		for _, t := range b.keyed[k] {
			if !seen[t.l] {
				seen[t.l] = true
				list = append(list, t)
			}
		}
	}
	return list
}
