package tracker

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// DefaultGapWait is how long a missing Change is waited for before the store is asked, unless Options say otherwise.
const DefaultGapWait = 50 * time.Millisecond

// DefaultBudget is the memory for what nobody watches, in bytes, unless Options say otherwise.
const DefaultBudget = 64 << 20

// DefaultCompareRate is how many mailboxes a second are compared with the store, unless Options say otherwise.
const DefaultCompareRate = 500

// A Source is what trackers need of a mailstore.Store, which see.
type Source interface {
	Snapshot(ctx context.Context, box mailbox.ID) (*mailstore.Snapshot, error)
	ChangesSince(ctx context.Context, box mailbox.ID, since mailbox.ModSeq) (*mailbox.Change, bool, error)
	ClaimRecent(ctx context.Context, box mailbox.ID, upTo imap.UID) (imap.UID, error)
	Page(ctx context.Context, box mailbox.ID, uids imap.UIDSet, fields mailstore.Fields, limit int, p *mailstore.Page) error
}

// Options of a Set.
type Options struct {
	Store   Source
	Bus     *eventbus.Bus
	GapWait time.Duration // 0: DefaultGapWait
	// Budget is the memory in bytes for trackers of mailboxes that nobody watches any more, and for flag caches of all. What was not used
	// for longest goes first. 0: DefaultBudget.
	Budget int64
	// CompareRate is how many mailboxes a second are read from the store at most when all that are watched must be compared with it. 0: DefaultCompareRate.
	CompareRate int
	Log         zerolog.Logger
}

// A Watcher is who must be told that there may be news for a View.
type Watcher interface {
	// Changed is called after a change that the View has not been told, without any lock held, from any goroutine, by one
	// that the change's author waits for: it must be quick and must not block. It may be called with no news, and once
	// more after the View was closed.
	Changed()
}

// A Set holds the trackers of a node. Its methods may be called from any goroutine.
type Set struct {
	Options
	background background
	seed       uint64       // of this node's random pauses
	repairs    atomic.Int32 // mailboxes that are being brought up to date
	comparison comparison
	counters   counters

	mu       sync.Mutex
	trackers map[mailbox.ID]*tracker
	lru      lru
}

// New returns a Set without trackers. The caller closes it.
func New(o Options) *Set {
	if o.GapWait == 0 {
		o.GapWait = DefaultGapWait
	}
	if o.Budget == 0 {
		o.Budget = DefaultBudget
	}
	if o.CompareRate <= 0 {
		o.CompareRate = DefaultCompareRate
	}
	var seed [8]byte
	rand.Read(seed[:])
	s := &Set{Options: o, seed: binary.BigEndian.Uint64(seed[:]), trackers: make(map[mailbox.ID]*tracker)}
	s.background.start()
	return s
}

// Close ends all repairs and stops listening. Views that are still open answer from what they know.
func (s *Set) Close() {
	s.background.stop()
	s.mu.Lock()
	all := s.trackers
	s.trackers = nil
	s.mu.Unlock()
	for _, t := range all {
		t.registration.Close()
	}
}

// Open returns a View of a mailbox for w. Nothing that commits from now on is missed: the tracker listens before it loads, and looks once
// more when all other nodes know that it listens (P3). The caller closes the View. Errors are the store's: kind NonExistent where there is no such mailbox.
func (s *Set) Open(ctx context.Context, box mailbox.ID, w Watcher) (*View, error) {
	for {
		t, err := s.acquire(box)
		if err != nil {
			return nil, err
		}
		if t.ended() != nil {
			// It stayed from a mailbox that was deleted or renumbered. A new one knows what is there now.
			s.forget(t)
			s.release(t)
			continue
		}
		announced := t.unannounced()
		if err := t.ready(ctx, 0, 0); err != nil {
			s.release(t)
			return nil, err
		}
		t.findUnseen(ctx)
		v := t.attach(w)
		t.lookAgain(announced)
		return v, nil
	}
}

// acquire returns the tracker of a mailbox and counts one more user.
func (s *Set) acquire(box mailbox.ID) (*tracker, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trackers == nil {
		return nil, &mailbox.Error{Kind: mailbox.Unavailable, Op: "open mailbox", Text: "shutting down"}
	}
	t := s.trackers[box]
	if t == nil {
		t = newTracker(s, box)
		s.trackers[box] = t
	}
	t.users++
	return t, nil
}

// release counts one user less. A tracker without users stays, and listens on, as long as there is room for it.
func (s *Set) release(t *tracker) {
	idle, cache, useful := t.weight()
	s.mu.Lock()
	t.users--
	last := t.users == 0
	s.mu.Unlock()
	switch {
	case useful:
		s.weigh(t, idle, cache)
	case last:
		s.forget(t)
	}
}

// forget removes a tracker that is of no more use.
func (s *Set) forget(t *tracker) {
	s.mu.Lock()
	if s.trackers[t.box] == t {
		delete(s.trackers, t.box)
		s.lru.remove(t)
	}
	s.mu.Unlock()
	t.registration.Close()
}

// weigh notes that t was used and how many bytes it takes without users and what its cache takes, and makes room.
func (s *Set) weigh(t *tracker, idle, cache int64) {
	s.mu.Lock()
	if s.trackers[t.box] == t {
		if t.users == 0 {
			cache = idle
		}
		s.lru.use(t, cache)
	}
	var unused, watched []*tracker
	for s.lru.bytes > s.Budget {
		v := s.lru.last
		s.lru.remove(v)
		if v.users == 0 {
			delete(s.trackers, v.box)
			unused = append(unused, v)
		} else {
			watched = append(watched, v)
		}
	}
	s.mu.Unlock()
	for _, v := range unused {
		v.registration.Close()
	}
	for _, v := range watched {
		v.dropCache()
	}
}
