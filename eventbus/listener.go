package eventbus

import (
	"slices"
	"sync/atomic"

	"github.com/starling-mail/starling/mailbox"
)

// Scope says which events a Listener is for.
type Scope uint8

// The scopes.
const (
	Mailbox     Scope = iota + 1 // those of the mailboxes whose MailboxKey it is registered on
	Account                      // those of the accounts whose AccountKey it is registered on, as owner or, for rights, as the user concerned
	Local                        // those that this node published: in a cluster, one node handles each
	Cluster                      // all, from whatever node, on this node once
	AllAccounts                  // all that are no Changes: what happened to accounts and to mailboxes as such, from whatever node, on this node once
)

// A Key is what a listener of the Mailbox or Account scope registers on.
type Key struct {
	scope Scope
	id    [16]byte
}

// Scope is whose listeners the key is for.
func (k Key) Scope() Scope { return k.scope }

// FNV-1a of 64 bits, here without the allocations of hash/fnv.
const (
	fnvOffset uint64 = 14695981039346656037
	fnvPrime  uint64 = 1099511628211
)

// Hash is a number that is the same on every node and in every version.
func (k Key) Hash() uint64 {
	h := (fnvOffset ^ uint64(k.scope)) * fnvPrime
	for _, b := range k.id {
		h = (h ^ uint64(b)) * fnvPrime
	}
	return h
}

// chosen says whether a node is sent events because somebody there listens to k. What the other scopes are for is sent to every node, or to
// none.
func (k Key) chosen() bool { return k.scope == Mailbox || k.scope == Account || k.scope == Cluster }

// MailboxKey is the key of all events of one mailbox.
func MailboxKey(id mailbox.ID) Key { return Key{Mailbox, id} }

// AccountKey is the key of all events of one account.
func AccountKey(id mailbox.AccountID) Key { return Key{Account, id} }

// scopeKey is the key under which the bus keeps the listeners of a scope without keys.
func scopeKey(s Scope) Key { return Key{scope: s} }

// A Listener takes events. It belongs to one Bus, must not be copied, and its fields must not change while it is registered.
type Listener struct {
	Name     string // for the log
	Scope    Scope
	Delivery Delivery // Sync or Async; counts where the bus is Mixed

	// Handle takes events in the order in which each publisher published them. The slice is valid until it returns; the events must
	// not be changed. An error is logged and counted, nothing more: nothing is repeated. So is a panic.
	Handle func(events []mailbox.Event) error

	// Lost, if set, is called instead of Handle when the listener was too slow and its queue was dropped, or when events of
	// other nodes were lost on their way. Whatever it missed is in the store by now; events that come later are handled after it.
	Lost func()

	// Compare, if set, is called instead of Lost when it is not even known that what the listener has was right: the store does not remember
	// what it missed, or is another one, restored from a backup. Many listeners are told at once.
	Compare func()

	queue atomic.Pointer[queue] // made for the first event that must wait
}

// An entry is a listener on a key.
type entry struct {
	l    *Listener
	refs atomic.Int32 // registrations; changed under Bus.mu
	key  Key
}

// listens says whether l is in entries.
func listens(entries []*entry, l *Listener) bool {
	return slices.ContainsFunc(entries, func(t *entry) bool { return t.l == l })
}

// A Registration is a Listener's being on some keys.
type Registration struct {
	bus     *Bus
	entries []*entry
	closed  atomic.Bool
}

// Listen registers l on keys; it is in force when Listen returns. Keys of another kind than l's scope mean nothing to it. The
// scopes Local, Cluster and AllAccounts take no keys. A listener that is on a key twice is called once, until both registrations are closed.
func (b *Bus) Listen(l *Listener, keys ...Key) *Registration {
	if l.Scope == Local || l.Scope == Cluster || l.Scope == AllAccounts {
		keys = []Key{scopeKey(l.Scope)}
	}
	r := &Registration{bus: b}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, k := range keys {
		if k.scope != l.Scope || slices.Contains(keys[:i], k) {
			continue
		}
		if r.entries == nil {
			r.entries = make([]*entry, 0, len(keys))
		}
		r.entries = append(r.entries, b.join(l, k))
	}
	return r
}

// join counts one more registration of l on k. The caller holds mu.
func (b *Bus) join(l *Listener, k Key) *entry {
	list := b.keyed[k]
	for _, t := range list {
		if t.l == l {
			t.refs.Add(1)
			return t
		}
	}
	t := &entry{l: l, key: k}
	t.refs.Store(1)
	b.keyed[k] = append(list[:len(list):len(list)], t)
	if len(list) == 0 {
		b.watch(k, true)
	}
	b.stats.listeners.Add(1)
	return t
}

// Close ends the registration. No call for its keys begins after it has returned; one in progress is not waited for, so a
// handler may close its own. Closing again does nothing.
func (r *Registration) Close() {
	if r.closed.Swap(true) {
		return
	}
	b := r.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range r.entries {
		if t.refs.Add(-1) > 0 {
			continue
		}
		b.stats.listeners.Add(-1)
		rest := make([]*entry, 0, len(b.keyed[t.key])-1)
		for _, u := range b.keyed[t.key] {
			if u != t {
				rest = append(rest, u)
			}
		}
		if len(rest) == 0 {
			delete(b.keyed, t.key)
			b.watch(t.key, false)
		} else {
			b.keyed[t.key] = rest
		}
	}
}
