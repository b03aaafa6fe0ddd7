package conn

import (
	"fmt"
	"io"
	"math"
	"sync"
)

const (
	bufferSize = 16 << 10 // while a command is in progress
	spotSize   = 64       // while nothing is expected soon
)

// A buffers is a pool of read buffers, for all connections of a Dialer.
type buffers struct{ pool sync.Pool }

func (b *buffers) get() *[bufferSize]byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p
	}
	return new([bufferSize]byte)
}

func (b *buffers) put(p *[bufferSize]byte) { b.pool.Put(p) }

// A reader reads a server's responses octet by octet.
//
// Errors stay: after the first one every method returns zeroes and reads nothing, so
// that the grammar needs to look at err only where it ends. Loops end because no
// class of characters has the octet 0.
type reader struct {
	src    io.Reader // nil where buf is all there is
	pool   *buffers
	limits *Limits
	err    error

	buf      []byte // of pool, or nothing
	from     *[bufferSize]byte
	pos, end int // of what is unread in buf

	base   int64 // octets that came before buf
	limit  int64 // of base: where the current response must have ended
	skip   int64 // octets that may still be thrown away in the operation
	memory int   // octets that the results of the operation may still take

	literal  *Literal // that is open
	scratch  []byte   // for values that are looked at and forgotten
	words    words
	keywords keywordSets

	waiting bool // in IDLE: octets may be long in coming
	spot    [spotSize]byte
}

// text returns a reader of s alone, for what was held before it could be understood.
func (r *reader) text(s []byte) *reader {
	return &reader{limits: r.limits, buf: s, end: len(s), limit: math.MaxInt64, skip: int64(len(s)), memory: math.MaxInt}
}

// begin allows the next operation its share of memory and patience.
func (r *reader) begin() {
	r.skip, r.memory = r.limits.Skip, r.limits.Memory
}

// response begins the next response.
func (r *reader) response() {
	r.limit = r.base + int64(r.pos) + r.limits.Response
	if r.waiting {
		r.begin()
	}
}

// release gives the buffer back if nothing is in it.
func (r *reader) release() {
	if r.from != nil && r.pos == r.end {
		r.base += int64(r.end)
		r.pos, r.end = 0, 0
		r.pool.put(r.from)
		r.from, r.buf = nil, nil
	}
	r.scratch = nil
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.pos = r.end
}

// syntax is a fault of the server's.
func (r *reader) syntax(format string, args ...any) {
	r.fail(&ProtocolError{Msg: fmt.Sprintf(format, args...)})
}

// fill gets more octets into the empty buffer.
func (r *reader) fill() bool {
	switch {
	case r.err != nil:
		return false
	case r.src == nil:
		return false
	case r.base+int64(r.end) >= r.limit:
		r.syntax("response of more than %d octets", r.limits.Response)
		return false
	}
	r.base += int64(r.end)
	r.pos, r.end = 0, 0
	if r.waiting {
		r.release()
	}
	if r.from == nil {
		n := 0
		if r.waiting {
			if n = r.read(r.spot[:]); n == 0 {
				return false
			}
		}
		r.from = r.pool.get()
		r.buf = r.from[:]
		if r.end = copy(r.buf, r.spot[:n]); n > 0 {
			return true
		}
	}
	r.end = r.read(r.buf)
	return r.end > 0
}

// read reads from the server, at least one octet unless it fails.
func (r *reader) read(p []byte) int {
	for range 100 {
		n, err := r.src.Read(p)
		if n > 0 {
			return n // an error comes again
		}
		if err != nil {
			r.fail(&NetworkError{Op: "read", Err: err})
			return 0
		}
	}
	r.fail(&NetworkError{Op: "read", Err: io.ErrNoProgress})
	return 0
}

// peek returns the next octet, or 0 after an error and at the end of a text.
func (r *reader) peek() byte {
	if r.pos == r.end && !r.fill() {
		return 0
	}
	return r.buf[r.pos]
}

// next returns the next octet and goes past it.
func (r *reader) next() byte {
	c := r.peek()
	if r.pos < r.end {
		r.pos++
	}
	return c
}

// unread returns what is in the buffer, at least one octet unless there was an error.
func (r *reader) unread() []byte {
	if r.pos == r.end && !r.fill() && r.err == nil {
		r.syntax("value ends early")
	}
	return r.buf[r.pos:r.end]
}

// accept goes past c if it is next.
func (r *reader) accept(c byte) bool {
	if r.peek() == c && r.pos < r.end {
		r.pos++
		return true
	}
	return false
}

// expect goes past c, which must be next.
func (r *reader) expect(c byte) {
	if !r.accept(c) {
		r.syntax("expected %q", c)
	}
}

// hold takes n octets of the operation's share of memory and reports whether there
// were as many.
func (r *reader) hold(n int) bool {
	if n > r.memory {
		return false
	}
	r.memory -= n
	return true
}

// allow lets the current response have n octets more.
func (r *reader) allow(n int64) {
	if n > math.MaxInt64-r.limit {
		n = math.MaxInt64 - r.limit
	}
	r.limit += n
}

// discard throws n octets away that do not count for the length of the response.
func (r *reader) discard(n int64) {
	r.allow(n)
	r.drop(n)
}

// drop throws n octets away.
func (r *reader) drop(n int64) {
	if n > r.skip {
		r.syntax("more than %d octets that nobody asked for", r.limits.Skip)
		return
	}
	r.skip -= n
	for n > 0 && r.err == nil {
		k := min(int64(len(r.unread())), n)
		r.pos += int(k)
		n -= k
	}
}
