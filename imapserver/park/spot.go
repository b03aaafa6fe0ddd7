package park

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A Reason says what woke a Spot.
type Reason uint8

const (
	Readable Reason = iota + 1 // the client sent bytes or hung up: read to learn which
	Woken                      // Wake was called
	Expired                    // the deadline given to Park has passed
)

func (r Reason) String() string {
	switch r {
	case Readable:
		return "readable"
	case Woken:
		return "woken"
	case Expired:
		return "expired"
	}
	return "unknown"
}

// ErrBusy is returned by Switch when bytes of the old stream are still to be read.
var ErrBusy = errors.New("park: bytes of the old stream are unread")

// A Spot is the place where one connection waits. Wake and Close may be called by
// any goroutine at any time; everything else only by the owner.
type Spot struct {
	// state is the number of the latest Park in the upper half, the bits below in
	// the lower. Taking the parked bit away is what makes an owner, so whoever
	// succeeds in that, and nobody else, starts the goroutine. The number tells a
	// late event that was meant for an earlier Park from one for this.
	state atomic.Uint64

	lot  *Lot
	wake func(Reason)

	// mu orders what Park, Switch and Close do to the poller and the wheel, and
	// guards conn and ahead against Close. Wake does not take it.
	mu    sync.Mutex
	conn  net.Conn
	ahead *ahead // nil when the poller watches the socket
	slot  uint32 // place in the poller's table

	timer timer
}

const (
	parked uint64 = 1 << iota
	pending
	closed

	parkShift = 32
)

// attach begins to watch c.
func (s *Spot) attach(c net.Conn) {
	s.conn = c
	if s.lot.poller.add(s) != nil {
		s.ahead = newAhead(s, c)
	}
}

// Read reads what the client sent, like net.Conn.Read.
func (s *Spot) Read(p []byte) (int, error) {
	if s.ahead != nil {
		return s.ahead.Read(p)
	}
	return s.conn.Read(p)
}

// SetReadDeadline bounds the following Reads, which then fail with an error that
// is os.ErrDeadlineExceeded. The zero time means none.
func (s *Spot) SetReadDeadline(t time.Time) error {
	if s.ahead != nil {
		s.ahead.deadline = t
		return nil
	}
	return s.conn.SetReadDeadline(t)
}

// Buffered returns how many bytes were taken from the connection, but not yet read
// from the Spot. They would be missed by whoever reads from the connection itself
// next, as a TLS handshake in the middle of a stream does.
func (s *Spot) Buffered() int {
	if s.ahead != nil {
		return s.ahead.buffered()
	}
	return 0
}

// Switch makes the Spot read from and wait for c, a new layer over the old
// connection (COMPRESS). A wrapper that keeps its identity and its NetConn, as one
// for STARTTLS can, needs no Switch. It fails, and changes nothing, when bytes of
// the old stream have been read ahead or are being waited for.
func (s *Spot) Switch(c net.Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Load()&closed != 0 {
		return net.ErrClosed
	}
	if s.ahead != nil {
		if !s.ahead.quiet() {
			return ErrBusy
		}
		s.ahead = nil
	} else {
		s.lot.poller.remove(s)
	}
	s.attach(c)
	return nil
}

// Park gives up the ownership of the connection. wake is called once, on a
// goroutine of its own, perhaps before Park returns: touch nothing after it. It is
// called at once if Wake was called since the last wake-up and not seen by
// Pending. A zero deadline means none.
//
// On a closed Spot Park does nothing but report false: the caller is still the
// owner. A Spot that cannot be watched any more, because its connection or the Lot
// is closed, is woken at once as Readable.
func (s *Spot) Park(deadline time.Time) bool {
	s.mu.Lock() // a late Park must not undo what the next owner's Park has armed
	defer s.mu.Unlock()
	number := s.lot.parks.Add(1)
	for {
		old := s.state.Load()
		if old&closed != 0 {
			return false
		}
		if old&pending != 0 {
			if s.state.CompareAndSwap(old, old&^pending) {
				go s.wake(Woken)
				return true
			}
			continue
		}
		// Parked first, armed after: the event may come before arm returns.
		if s.state.CompareAndSwap(old, uint64(number)<<parkShift|parked) {
			break
		}
	}
	if s.ahead != nil {
		s.ahead.arm(number)
	} else if s.lot.poller.arm(s, number) != nil {
		s.fire(number, Readable)
	}
	if !s.lot.wheel.set(s, number, deadline) {
		s.fire(number, Expired)
	}
	return true
}

// Parked reports whether the connection has no owner just now. Any goroutine may ask; the answer may be old when it comes.
func (s *Spot) Parked() bool { return s.state.Load()&parked != 0 }

// fire ends the Park of that number, if it has not ended yet.
func (s *Spot) fire(number uint32, why Reason) {
	old := uint64(number)<<parkShift | parked
	if s.state.CompareAndSwap(old, old&^parked) {
		go s.wake(why)
	}
}

// Wake wakes the connection's owner-to-be, or, when it is not parked, is remembered
// until Pending or Park. Repeated calls count once. It never blocks, and never runs
// wake on the caller's goroutine.
func (s *Spot) Wake() {
	for {
		old := s.state.Load()
		switch {
		case old&(closed|pending) != 0:
			return
		case old&parked != 0:
			if s.state.CompareAndSwap(old, old&^parked) {
				go s.wake(Woken)
				return
			}
		default:
			if s.state.CompareAndSwap(old, old|pending) {
				return
			}
		}
	}
}

// Pending reports whether Wake was called since the last wake-up, and forgets it.
func (s *Spot) Pending() bool {
	for {
		old := s.state.Load()
		if old&pending == 0 {
			return false
		}
		if s.state.CompareAndSwap(old, old&^pending) {
			return true
		}
	}
}

// Close gives the Spot back. wake is not called any more, except by a wake-up that
// came first. It reports whether the connection was parked: then the caller is its
// owner now. If not, the owner is at work, and learns it from Park at the latest.
//
// Close the connection after its Spot, never before: a socket that is closed while it
// is parked wakes nobody. A goroutine that is blocked in Read ends with the connection.
func (s *Spot) Close() (wasParked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		old := s.state.Load()
		if old&closed != 0 {
			return false
		}
		if s.state.CompareAndSwap(old, closed) {
			wasParked = old&parked != 0
			break
		}
	}
	s.lot.wheel.drop(s)
	if s.ahead == nil {
		s.lot.poller.remove(s)
	}
	return wasParked
}
