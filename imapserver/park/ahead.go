package park

import (
	"io"
	"os"
	"sync"
	"time"
)

// aheadSize is how much is read at once. It is small because it is kept while the
// connection waits.
const aheadSize = 1 << 10

// An ahead waits for a stream that only a blocked Read can wait for.
//
// It reads on demand: a goroutine runs while Read or Park waits for bytes, and ends
// with the Read that it is blocked in, however many times the owner gives up
// waiting, is woken otherwise, writes and parks again. So there is one reader, it
// never sees a time-out, and when bytes have come and the owner has them all, nobody
// reads: the owner may put another layer on the connection.
type ahead struct {
	spot     *Spot
	r        io.Reader
	deadline time.Time     // of Read; owner's
	came     chan struct{} // of capacity 1: something may have come

	mu      sync.Mutex
	reading bool   // a goroutine is in r.Read, and owns buf
	number  uint32 // the Park to end when it returns
	bytes   []byte // what came, of buf
	err     error  // what came after bytes, for ever
	buf     [aheadSize]byte
}

func newAhead(s *Spot, r io.Reader) *ahead {
	return &ahead{spot: s, r: r, came: make(chan struct{}, 1)}
}

// Read waits for bytes until the deadline.
func (a *ahead) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	var timeout <-chan time.Time
	for {
		if n, err := a.take(p); n > 0 || err != nil {
			return n, err
		}
		if timeout == nil && !a.deadline.IsZero() {
			t := time.NewTimer(time.Until(a.deadline))
			defer t.Stop()
			timeout = t.C
		}
		select {
		case <-a.came:
		case <-timeout:
			// What came at the last moment must not be left to the next Read:
			// the owner takes the deadline for "nothing there".
			if n, err := a.take(p); n > 0 || err != nil {
				return n, err
			}
			return 0, os.ErrDeadlineExceeded
		}
	}
}

// take hands over what came, or sees to it that something will come.
func (a *ahead) take(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.bytes) > 0 {
		n := copy(p, a.bytes)
		a.bytes = a.bytes[n:]
		return n, nil
	}
	if a.err == nil {
		a.start()
	}
	return 0, a.err
}

// arm ends the Park of that number when something comes.
func (a *ahead) arm(number uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.bytes) > 0 || a.err != nil {
		a.spot.fire(number, Readable)
		return
	}
	a.number = number
	a.start()
}

// start starts the reader, if there is none. a.mu is held.
func (a *ahead) start() {
	if !a.reading {
		a.reading = true
		go a.fill()
	}
}

func (a *ahead) fill() {
	var n int
	var err error
	for n == 0 && err == nil {
		n, err = a.r.Read(a.buf[:])
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reading, a.bytes, a.err = false, a.buf[:n], err
	a.spot.fire(a.number, Readable)
	select {
	case a.came <- struct{}{}:
	default:
	}
}

func (a *ahead) buffered() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.bytes)
}

// quiet reports whether nothing has been read ahead, nor is being waited for.
func (a *ahead) quiet() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.reading && len(a.bytes) == 0 && a.err == nil
}
