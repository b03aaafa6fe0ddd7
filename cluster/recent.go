package cluster

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/starling-mail/starling/mailbox"
)

// After how many events, or after which time, the older half of what recent remembers is forgotten.
const (
	recentSize = 32 << 10
	recentLife = 5 // repair intervals
)

// A recent remembers which events this node's listeners were told of, so that what comes by a stream and by the feed is told once. What
// it has forgotten is told again, which does no harm.
//
// A Change is known by its number. Other events have none, and equal ones may follow each other: of these it counts how often they
// came by the fast way, less how often by the feed. When both have brought all, that is 0. Where one of them does not bring an event, such
// as at a node's start, the count would be wrong for ever: that is why it is forgotten soon.
type recent struct {
	seed maphash.Seed
	life time.Duration

	mu         sync.Mutex
	young, old map[uint64]int32
	since      time.Time // young's beginning
}

func newRecent(life time.Duration) *recent {
	return &recent{seed: maphash.MakeSeed(), life: life, young: make(map[uint64]int32), since: time.Now()}
}

// A print is what tells events apart.
type print struct {
	kind          mailbox.EventKind
	mailbox       mailbox.ID
	account, user mailbox.AccountID
	line          uint64
	modseq        mailbox.ModSeq
	name, oldName string
}

// key returns what e is remembered by.
func (r *recent) key(e *mailbox.Event) uint64 {
	p := print{kind: e.Kind, mailbox: e.Mailbox, account: e.Account, user: e.User, name: e.Name, oldName: e.OldName}
	if e.Change != nil {
		p.line, p.modseq = e.Change.Line, e.Change.ModSeq
	}
	return maphash.Comparable(r.seed, p)
}

// quick notes events that came by a stream, or that this node published, and returns those that were not told yet. If that is not all,
// it is a new slice.
func (r *recent) quick(events []mailbox.Event) []mailbox.Event { return r.filter(events, 1) }

// fed does the same with events from the feed.
func (r *recent) fed(events []mailbox.Event) []mailbox.Event { return r.filter(events, -1) }

func (r *recent) filter(events []mailbox.Event, by int32) []mailbox.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); len(r.young) >= recentSize || now.Sub(r.since) >= r.life {
		r.young, r.old, r.since = make(map[uint64]int32), r.young, now
	}
	for i := range events {
		if r.note(&events[i], by) {
			continue
		}
		fresh := append([]mailbox.Event(nil), events[:i]...)
		for _, e := range events[i+1:] {
			if r.note(&e, by) {
				fresh = append(fresh, e)
			}
		}
		return fresh
	}
	return events
}

// lacks says whether any of events was not told yet. It notes nothing.
func (r *recent) lacks(events []mailbox.Event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range events {
		k := r.key(&events[i])
		if r.young[k]+r.old[k] <= 0 {
			return true
		}
	}
	return false
}

// gossiped does the same with events that came by gossip. What is no Change is told again unless a stream has just brought it: gossip repeats
// itself, so it must not be counted.
func (r *recent) gossiped(events []mailbox.Event) []mailbox.Event { return r.filter(events, 0) }

// note notes one event and returns true if it must be told. The caller holds mu.
func (r *recent) note(e *mailbox.Event, by int32) bool {
	k := r.key(e)
	n, known := r.young[k]
	if !known {
		n = r.old[k]
		delete(r.old, k)
	}
	var fresh bool
	switch {
	case e.Change != nil:
		fresh, n = n == 0, 1
	case by == 0:
		fresh = n == 0
	default:
		fresh = n*by >= 0 // it did not come the other way before
		n += by
	}
	if n == 0 {
		delete(r.young, k)
	} else {
		r.young[k] = n
	}
	return fresh
}

// forget forgets everything: numbers may mean other events than before.
func (r *recent) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.young)
	r.old = nil
}
