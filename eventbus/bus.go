package eventbus

import (
	"context"
	"sync"

	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/mailbox"
)

// Delivery says whether a listener is called by the publisher or by a goroutine of the bus.
type Delivery uint8

// The ways of delivery.
const (
	// Mixed: each listener's own wish holds. As a listener's wish it means Async.
	Mixed Delivery = iota
	// Sync: the publisher calls Handle and waits for it. Calls from several publishers may overlap.
	Sync
	// Async: a goroutine calls Handle, with all that has been queued, one call at a time. It lives while there is something queued.
	Async
)

// DefaultQueueLimit is how many events are queued for one async listener unless Options say otherwise.
const DefaultQueueLimit = 1024

// Options of a Bus.
type Options struct {
	Delivery   Delivery // for all listeners, unless Mixed
	QueueLimit int      // events queued for one async listener before it loses them; 0: DefaultQueueLimit
	Log        zerolog.Logger
}

// A Bus serves the listeners of one node. Its methods may be called from any goroutine, handlers included.
type Bus struct {
	delivery Delivery
	limit    int
	log      zerolog.Logger
	stats    counters

	mu sync.RWMutex
	// Both the map and its slices: a slice is never changed once it is in the map, so that publishers need no lock while they call.
	keyed map[Key][]*entry
	links []*Transport // the slice is never changed either

	work gate
}

// New returns a bus without listeners.
func New(o Options) *Bus {
	if o.QueueLimit <= 0 {
		o.QueueLimit = DefaultQueueLimit
	}
	return &Bus{delivery: o.Delivery, limit: o.QueueLimit, log: o.Log, keyed: make(map[Key][]*entry)}
}

// Publish gives what this node's store committed to the Transports, which do not wait, and serves this node's listeners; it is a
// mailstore.Publish. It keeps no reference to the slice, but listeners share the Changes, which are immutable. On a
// closed bus it does nothing.
func (b *Bus) Publish(events []mailbox.Event) {
	if !b.work.enter() {
		return
	}
	defer b.work.leave()
	b.stats.published.Add(uint64(len(events)))
	events = without(events, idle)
	b.send(events)
	b.deliver(events)
	b.deliverTo(b.entries(scopeKey(Local)), events)
}

// deliver serves everybody who does not care where the events were published. All of them change something.
func (b *Bus) deliver(events []mailbox.Event) {
	for i := range events {
		b.deliverKeyed(events[i : i+1])
	}
	b.deliverTo(b.entries(scopeKey(Cluster)), events)
	if all := b.entries(scopeKey(AllAccounts)); len(all) > 0 {
		b.deliverTo(all, without(events, func(e *mailbox.Event) bool { return e.Kind == mailbox.EventChanged }))
	}
}

// deliverKeyed serves the listeners on the keys of one event, each once.
func (b *Bus) deliverKeyed(event []mailbox.Event) {
	e := &event[0]
	if !e.Mailbox.IsZero() {
		b.deliverTo(b.entries(MailboxKey(e.Mailbox)), event)
	}
	owner := b.entries(AccountKey(e.Account))
	b.deliverTo(owner, event)
	if e.User.IsZero() || e.User == e.Account {
		return
	}
	for _, t := range b.entries(AccountKey(e.User)) {
		if !listens(owner, t.l) {
			b.deliverTo([]*entry{t}, event)
		}
	}
}

// deliverTo gives events to each of the entries.
func (b *Bus) deliverTo(entries []*entry, events []mailbox.Event) {
	if len(events) == 0 {
		return
	}
	for _, t := range entries {
		switch {
		case t.refs.Load() == 0: // closed since
		case b.sync(t.l):
			b.call(t.l, events)
		default:
			b.enqueue(t, events)
		}
	}
}

// sync says whether l is served by the publisher.
func (b *Bus) sync(l *Listener) bool {
	if b.delivery != Mixed {
		return b.delivery == Sync
	}
	return l.Delivery == Sync
}

// entries returns who listens on a key.
func (b *Bus) entries(k Key) []*entry {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.keyed[k]
}

// without returns events without those that drop is true of. It copies only if there are such.
func without(events []mailbox.Event, drop func(*mailbox.Event) bool) []mailbox.Event {
	for i := range events {
		if !drop(&events[i]) {
			continue
		}
		kept := append([]mailbox.Event(nil), events[:i]...)
		for _, e := range events[i+1:] {
			if !drop(&e) {
				kept = append(kept, e)
			}
		}
		return kept
	}
	return events
}

// idle says whether e is a Change that changes nothing.
func idle(e *mailbox.Event) bool {
	return e.Kind == mailbox.EventChanged && (e.Change == nil || e.Change.ModSeq <= e.Change.Prev)
}

// Close stops taking events and waits until the queued ones are handled, or until ctx ends: then it returns its cause.
// It must not be called by a handler.
func (b *Bus) Close(ctx context.Context) error {
	select {
	case <-b.work.shut():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
