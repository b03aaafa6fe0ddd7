package park

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// DefaultTick is the precision of deadlines, unless NewLot is told otherwise.
const DefaultTick = 250 * time.Millisecond

// A Lot holds waiting connections. A server needs one. Its methods may be called
// by any goroutine.
type Lot struct {
	poller poller
	wheel  wheel
	parks  atomic.Uint32 // numbers every Park of every Spot: see Spot.state
}

// NewLot returns an empty Lot. Deadlines are rounded up to whole ticks; 0 stands
// for DefaultTick. A Lot costs no goroutine and no descriptor before its first
// socket.
func NewLot(tick time.Duration) *Lot {
	if tick <= 0 {
		tick = DefaultTick
	}
	l := &Lot{}
	l.wheel.tick = tick
	l.wheel.start = time.Now()
	return l
}

// Close stops the Lot, and returns when its own goroutine has ended. Close every
// Spot first: one that is still parked is then woken by Wake only, neither by its
// client nor by time.
func (l *Lot) Close() error {
	l.wheel.close()
	return l.poller.close()
}

// Spot returns a Spot for c, not parked: the caller is the owner. wake is what a
// wake-up runs, on a goroutine of its own.
//
// c is watched as a socket if it is one (a syscall.Conn), or wraps one and says so
// by a method NetConn() net.Conn, as *tls.Conn does. A wrapper that must not see
// time-outs, or keeps bytes that a Read until the deadline would not bring out,
// returns nil there. No other goroutine may read from c.
func (l *Lot) Spot(c net.Conn, wake func(Reason)) *Spot {
	s := &Spot{lot: l, wake: wake}
	s.attach(c)
	return s
}

// socketOf finds the socket below c, or nil.
func socketOf(c net.Conn) syscall.Conn {
	for {
		switch t := c.(type) {
		case syscall.Conn:
			return t
		case interface{ NetConn() net.Conn }:
			c = t.NetConn()
		default: // nil too
			return nil
		}
	}
}
