package postgres

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/starling-mail/starling/mailbox"
)

// groupLen is how many requests for a mailbox are committed together, at most.
const groupLen = 64

// The states of a request.
const (
	waiting int32 = iota
	begun         // its outcome is the database's
	dropped       // its caller left before it began
)

// A request is a caller's wish to write.
type request struct {
	op string
	// boxes are locked, in the database and on this node, as is the account on this
	// node if it is set.
	boxes   []mailbox.ID
	account mailbox.AccountID
	charges bool // usage or owners of bodies change: the account's row is locked too
	reads   bool // it needs rows that are not known: no guess
	// run does the work. It may be called again, from the start, after a failure. Its
	// reads come before its writes.
	run func(*tx) error

	state atomic.Int32
	done  chan error // holds one

	// Owned by the lane's goroutine.
	err    error
	events []mailbox.Event
}

// keys are the lanes that a request goes through, in the order in which they
// are entered.
func (r *request) keys() []laneKey {
	keys := make([]laneKey, 0, 3)
	for _, id := range r.boxes {
		keys = append(keys, laneKey(id))
	}
	if !r.account.IsZero() {
		keys = append(keys, laneKey(r.account))
	}
	slices.SortFunc(keys, func(a, b laneKey) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(keys)
}

// alone reports whether r cannot be committed together with others.
func (r *request) alone() bool { return len(r.boxes) != 1 || !r.account.IsZero() }

// A laneKey is the id of a mailbox or an account.
type laneKey [16]byte

// lanes put the requests of this node that must not overtake each other behind
// each other: so what one node commits to a mailbox is published in order, no connection waits for a
// lock that its own node holds, and what waits is committed together.
type lanes struct {
	mu      sync.Mutex
	m       map[laneKey][]*item // those with a goroutine; what waits for it
	ended   bool
	working sync.WaitGroup // goroutines of lanes
}

// An item waits in a lane: a request, or a visit, by which a request that
// belongs to several lanes holds this one.
type item struct {
	r     *request
	visit *visit
}

type visit struct {
	arrived chan struct{} // closed by the lane
	leave   chan struct{} // closed by the visitor
}

func (l *lanes) closed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

// waiting is how many requests no goroutine has taken yet.
func (l *lanes) waiting() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, queue := range l.m {
		n += len(queue)
	}
	return n
}

// close waits for all that has been let in.
func (l *lanes) close() {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	l.working.Wait()
}

// put lets an item in. Visits come from lanes that are working, so they are let
// in until all is done.
func (s *Store) put(key laneKey, it *item) bool {
	l := &s.lanes
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended && it.visit == nil {
		return false
	}
	queue, working := l.m[key]
	if l.m == nil {
		l.m = make(map[laneKey][]*item)
	}
	l.m[key] = append(queue, it)
	if !working {
		l.working.Go(func() { s.work(key) })
	}
	return true
}

// take returns what comes next in a lane: one item, or requests that can be
// committed together. Where nothing waits the lane ends.
func (l *lanes) take(key laneKey) []*item {
	l.mu.Lock()
	defer l.mu.Unlock()
	queue := l.m[key]
	if len(queue) == 0 {
		delete(l.m, key)
		return nil
	}
	n := 0
	for n < len(queue) && n < groupLen && queue[n].visit == nil && !queue[n].r.alone() {
		n++
	}
	n = max(n, 1)
	l.m[key] = queue[n:]
	return queue[:n:n]
}

// work is the goroutine of a lane.
func (s *Store) work(key laneKey) {
	for {
		next := s.lanes.take(key)
		if next == nil {
			return
		}
		if v := next[0].visit; v != nil {
			close(v.arrived)
			<-v.leave
			continue
		}
		var group []*request
		for _, it := range next {
			if it.r.state.CompareAndSwap(waiting, begun) {
				group = append(group, it.r)
			}
		}
		if len(group) > 0 {
			s.serve(group)
		}
	}
}

// serve commits a group, publishes its events and replies.
func (s *Store) serve(group []*request) {
	// The first lane is this one; the others are visited in order, so that no two
	// requests wait for each other.
	for _, key := range group[0].keys()[min(1, len(group[0].keys())):] {
		v := &visit{arrived: make(chan struct{}), leave: make(chan struct{})}
		s.put(key, &item{visit: v})
		<-v.arrived
		defer close(v.leave)
	}
	start := time.Now()
	s.commitGroup(group)
	s.tally.Committed(start)
	var events []mailbox.Event
	for _, r := range group {
		if r.err == nil {
			events = append(events, r.events...)
		}
	}
	if len(events) > 0 {
		s.o.Publish(events)
	}
	for _, r := range group {
		r.done <- r.err
	}
}

// write has a request executed in a transaction and waits until it is
// committed. What run writes to may be read only if there is no error.
func (s *Store) write(ctx context.Context, r *request) (err error) {
	defer func() { s.tally.Wrote(err) }()
	if err := ctx.Err(); err != nil {
		return unavailable(r.op, err)
	}
	r.done = make(chan error, 1)
	keys := r.keys()
	if len(keys) == 0 {
		keys = []laneKey{laneKey(mailbox.NewID())} // a lane of its own
	}
	if !s.put(keys[0], &item{r: r}) {
		return unavailable(r.op, errClosed)
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		if r.state.CompareAndSwap(waiting, dropped) {
			return unavailable(r.op, ctx.Err())
		}
		return unknown(r.op, errors.Join(errors.New("the caller did not wait for the outcome"), ctx.Err()))
	}
}
