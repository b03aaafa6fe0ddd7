package park

import (
	"sync"
	"time"
)

// spokes is the number of lists in the wheel. A deadline further away than one turn
// is looked at once a turn: half an hour is fourteen turns of DefaultTick.
const spokes = 512

// A wheel holds the deadlines of all parked Spots. Setting one allocates nothing.
// One runtime timer serves them all; it is set for the next list that is not
// empty, so an empty wheel sleeps.
//
// A wake-up leaves the Spot's deadline where it is, since the next Park nearly
// always sets another; when it comes first, the number tells that it is void.
type wheel struct {
	tick  time.Duration
	start time.Time // of tick 0

	mu     sync.Mutex
	now    uint32 // every list up to this tick has been looked at
	next   uint32 // tick that alarm is set for; 0 when it is not set
	size   int
	alarm  *time.Timer
	closed bool
	lists  [spokes]*Spot // doubly linked, the first has no prev
}

// A timer is a Spot's link in the wheel, guarded by the wheel's mutex.
type timer struct {
	next, prev *Spot
	due        uint32 // in ticks; 0 when not in the wheel
	number     uint32 // the Park to end
}

// set makes t the deadline of s for the Park of that number; the zero time means
// none. It reports false, and sets nothing, when t has passed.
func (w *wheel) set(s *Spot, number uint32, t time.Time) bool {
	if t.IsZero() {
		return true // one that may be left is void
	}
	if time.Until(t) <= 0 {
		return false
	}
	due := uint32((t.Sub(w.start) + w.tick - 1) / w.tick)
	w.mu.Lock()
	defer w.mu.Unlock()
	s.timer.number = number
	if s.timer.due == due || w.closed {
		return true
	}
	w.unlink(s)
	now := uint32(time.Since(w.start) / w.tick)
	if w.size == 0 {
		w.now = now
	}
	// now may be a tick later than when t was found to lie ahead.
	due = max(due, now+1)
	w.link(s, due)
	if at := now + 1 + (due-now-1)%spokes; w.next == 0 || at < w.next {
		w.ring(at)
	}
	return true
}

// drop takes s out of the wheel.
func (w *wheel) drop(s *Spot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unlink(s)
}

// ring sets the alarm. w.mu is held.
func (w *wheel) ring(at uint32) {
	w.next = at
	wait := time.Until(w.start.Add(time.Duration(at) * w.tick))
	if w.alarm == nil {
		w.alarm = time.AfterFunc(wait, w.turn)
	} else {
		w.alarm.Reset(wait)
	}
}

// turn ends the Parks whose deadlines have come.
func (w *wheel) turn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	now := uint32(time.Since(w.start) / w.tick)
	for range min(now-w.now, spokes) {
		w.now++
		for s := w.lists[w.now%spokes]; s != nil; {
			following := s.timer.next
			if s.timer.due <= now {
				w.unlink(s)
				s.fire(s.timer.number, Expired)
			}
			s = following
		}
	}
	w.now, w.next = now, 0
	if w.size == 0 {
		return
	}
	at := now + 1
	for w.lists[at%spokes] == nil {
		at++
	}
	w.ring(at)
}

func (w *wheel) link(s *Spot, due uint32) {
	first := &w.lists[due%spokes]
	s.timer.due, s.timer.prev, s.timer.next = due, nil, *first
	if *first != nil {
		(*first).timer.prev = s
	}
	*first = s
	w.size++
}

func (w *wheel) unlink(s *Spot) {
	t := &s.timer
	if t.due == 0 {
		return
	}
	if t.prev != nil {
		t.prev.timer.next = t.next
	} else {
		w.lists[t.due%spokes] = t.next
	}
	if t.next != nil {
		t.next.timer.prev = t.prev
	}
	t.due, t.prev, t.next = 0, nil, nil
	w.size--
}

func (w *wheel) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.alarm != nil {
		w.alarm.Stop()
	}
}
