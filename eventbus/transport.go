package eventbus

import (
	"bytes"
	"cmp"
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

// A Selective Transport brings only what is listened to: it tells the other nodes what that is, and they send nothing else. A Bus
// has one at most.
type Selective interface {
	Transport

	// Watch says that somebody listens to k now, or that nobody does any more. Of the scopes without keys, Cluster comes here, which is
	// listened to by whoever takes everything. Events of other kinds than EventChanged come to every node, whoever listens. Watch is called with the
	// Bus locked, so that the last call is the one that holds: it takes note, and does not wait or call the Bus.
	Watch(k Key, on bool)

	// Announced returns a channel that is closed when every other node knows what Watch has said so far, or has had enough time to
	// learn it; nil if there is nothing to wait for.
	Announced() <-chan struct{}
}

// A Receiver takes what a Transport brings from other nodes. *Bus is one.
type Receiver interface {
	// Receive takes events of other nodes: those of one node in the order in which it sent them. They may come twice or
	// out of order where a network makes them. It keeps no reference to the slice; the Changes are immutable.
	Receive(events []mailbox.Event)

	// Lost says that events may have been lost: of the keys, or, without any, of all.
	Lost(keys ...Key)

	// Compare says that anything may have been lost, and that the store does not remember what, or has become another one.
	Compare()
}

// Connect gives t everything that is published from now on, until disconnect is called; a Send in progress is not waited for. A Selective one
// is told what is listened to, now and later.
func (b *Bus) Connect(t Transport) (disconnect func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	link := &t // tells one connection from another of the same Transport
	b.links = append(b.links[:len(b.links):len(b.links)], link)
	if s, ok := t.(Selective); ok {
		for k := range b.keyed {
			if k.chosen() {
				s.Watch(k, true)
			}
		}
	}
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.links = slices.DeleteFunc(slices.Clone(b.links), func(l *Transport) bool { return l == link })
	}
}

// watch tells the Selective Transports that a key is listened to, or no more. The caller holds mu.
func (b *Bus) watch(k Key, on bool) {
	if !k.chosen() {
		return
	}
	for _, t := range b.links {
		if s, ok := (*t).(Selective); ok {
			s.Watch(k, on)
		}
	}
}

// Announced returns a channel that is closed when all other nodes send what they publish for r's keys, or have had enough time to begin;
// nil if they do so already. What they committed before is not told. So who registers, loads, and has loaded before this channel is closed, must then look once
// more.
func (r *Registration) Announced() <-chan struct{} {
	r.bus.mu.RLock()
	links := r.bus.links
	r.bus.mu.RUnlock()
	for _, t := range links {
		if s, ok := (*t).(Selective); ok {
			return s.Announced()
		}
	}
	return nil
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

// Receive implements Receiver: it serves all listeners but the local ones. On a
// closed bus it does nothing.
func (b *Bus) Receive(events []mailbox.Event) {
	if !b.work.enter() {
		return
	}
	defer b.work.leave()
	b.stats.received.Add(uint64(len(events)))
	b.deliver(without(events, idle))
}

// Lost implements Receiver: the listeners on the keys, or all but the local ones, and those without keys in any case, are
// told so and drop what waits for them. An async listener is told by the goroutine that serves it.
func (b *Bus) Lost(keys ...Key) { b.lost(keys, false) }

// Compare implements Receiver: all listeners but the local ones are told, by Compare or Lost, and drop what waits for them.
func (b *Bus) Compare() { b.lost(nil, true) }

func (b *Bus) lost(keys []Key, all bool) {
	if !b.work.enter() {
		return
	}
	defer b.work.leave()
	for _, t := range b.affected(keys) {
		switch {
		case t.refs.Load() == 0: // closed since
		case b.sync(t.l):
			b.tellLost(t.l, all)
		default:
			b.enqueueLost(t, all)
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
		// Who is told first asks the store first: the same each time, so that simulations can be repeated.
		slices.SortFunc(keys, func(a, b Key) int { return cmp.Or(cmp.Compare(a.scope, b.scope), bytes.Compare(a.id[:], b.id[:])) })
	} else {
		keys = append(slices.Clone(keys), scopeKey(Cluster), scopeKey(AllAccounts))
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
