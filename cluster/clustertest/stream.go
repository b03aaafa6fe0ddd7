package clustertest

import (
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// window is how many bytes are under way in one direction until a writer waits.
const window = 16 << 10

// A stream is a connection between two nodes. a opened it. All its fields are guarded by Network.mu.
type stream struct {
	net  *Network
	name string
	rnd  *rand.Rand
	a, b *half
}

// A half is one end of a stream, and what is on its way to it.
type half struct {
	stream *stream
	name   string // of the node
	end    *Endpoint
	other  *half
	cond   *sync.Cond

	flying  []segment // on their way here, the first one sent first
	landed  []byte    // here, unread
	eof     bool      // the other end's last byte was before
	last    time.Time // when the last one of flying is due
	held    bool      // the first one of flying was due when the link was not passable
	err     error     // why there is nothing more
	closed  bool      // by its owner
	readBy  time.Time
	writeBy time.Time
}

// A segment is bytes on their way; no bytes mean the end.
type segment struct{ bytes []byte }

// newStream connects two endpoints. The caller holds mu.
func (n *Network) newStream(from, to *Endpoint) *stream {
	pair := [2]string{from.name, to.name}
	n.serial[pair]++
	s := &stream{net: n, name: fmt.Sprintf("%s>%s#%d", from.name, to.name, n.serial[pair])}
	s.rnd = newRandom(n.seed, s.name)
	s.a = &half{stream: s, name: from.name, end: from, cond: sync.NewCond(&n.mu)}
	s.b = &half{stream: s, name: to.name, end: to, cond: sync.NewCond(&n.mu)}
	s.a.other, s.b.other = s.b, s.a
	n.streams = append(n.streams, s)
	return s
}

// reset ends both ends, each of which may still get some of what is on its way to it. The caller holds mu.
func (s *stream) reset(r *rand.Rand) {
	for _, h := range []*half{s.a, s.b} {
		if h.end.dead {
			continue
		}
		if len(h.flying) > 0 && r.IntN(2) == 0 {
			if b := h.flying[0].bytes; len(b) > 0 {
				h.landed = append(h.landed, b[:1+r.IntN(len(b))]...)
			}
		}
		h.fail(syscall.ECONNRESET)
	}
	s.forget()
}

// vanish ends one end without a word to the other. The caller holds mu.
func (s *stream) vanish(e *Endpoint) {
	for _, h := range []*half{s.a, s.b} {
		if h.end == e {
			h.fail(net.ErrClosed)
		}
	}
}

// forget takes s out of the open ones. The caller holds mu.
func (s *stream) forget() {
	s.net.streams = slices.DeleteFunc(s.net.streams, func(o *stream) bool { return o == s })
}

func (h *half) fail(err error) {
	if h.err == nil {
		h.err = err
	}
	h.flying = nil
	h.cond.Broadcast()
	h.other.cond.Broadcast()
}

// send puts bytes on their way to h. The caller holds mu.
func (h *half) send(b []byte) {
	s := h.stream
	now := time.Now()
	due := now.Add(between(s.rnd, s.net.quality.MinDelay, s.net.quality.MaxDelay))
	if !due.After(h.last) {
		due = h.last.Add(time.Nanosecond)
	}
	h.last = due
	h.flying = append(h.flying, segment{b})
	time.AfterFunc(due.Sub(now), h.land)
}

// land takes in the first one of flying, unless it is held.
func (h *half) land() {
	n := h.stream.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(h.flying) == 0 || h.held {
		return
	}
	if !n.passable(h.other.end, h.end) {
		h.held = true
		return
	}
	h.landFirst()
}

func (h *half) landFirst() {
	b := h.flying[0].bytes
	h.flying = h.flying[1:]
	if len(b) == 0 {
		h.eof = true
	}
	if h.stream.net.log.verbose {
		f := fnv.New64a()
		f.Write(b)
		h.stream.net.log.add("net", "stream %s to %s: %d bytes %x", h.stream.name, h.name, len(b), f.Sum64())
	}
	h.stream.net.log.sum(h.stream.name+h.name, b)
	h.landed = append(h.landed, b...)
	h.cond.Broadcast()
}

// release lets go on what was held. What was due meanwhile comes a moment later. The caller holds mu.
func (h *half) release() {
	n := h.stream.net
	if !h.held || !n.passable(h.other.end, h.end) {
		return
	}
	h.held = false
	wait := between(h.stream.rnd, n.quality.MinDelay, n.quality.MaxDelay)
	for i := range h.flying {
		time.AfterFunc(wait+time.Duration(i), h.land)
	}
	if due := time.Now().Add(wait + time.Duration(len(h.flying))); due.After(h.last) {
		h.last = due
	}
}

func past(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

// wait waits until something happens or the deadline has come. The caller holds mu.
func (h *half) wait(deadline time.Time) {
	if !deadline.IsZero() {
		defer time.AfterFunc(time.Until(deadline), h.cond.Broadcast).Stop()
	}
	h.cond.Wait()
}

// Read implements net.Conn.
func (h *half) Read(p []byte) (int, error) {
	n := h.stream.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		switch {
		case h.closed:
			return 0, net.ErrClosed
		case past(h.readBy):
			return 0, os.ErrDeadlineExceeded
		case len(h.landed) > 0 && !h.end.frozen:
			got := copy(p, h.landed)
			h.landed = h.landed[got:]
			h.other.cond.Broadcast()
			return got, nil
		case h.err != nil:
			return 0, h.err
		case h.eof:
			return 0, io.EOF
		}
		h.wait(h.readBy)
	}
}

// Write implements net.Conn.
func (h *half) Write(p []byte) (int, error) {
	n := h.stream.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		switch {
		case h.closed:
			return 0, net.ErrClosed
		case h.err != nil:
			return 0, h.err
		case past(h.writeBy):
			return 0, os.ErrDeadlineExceeded
		case !h.end.frozen && h.other.waiting() < window:
			if !h.other.end.dead {
				h.other.send(slices.Clone(p))
			}
			return len(p), nil
		}
		h.wait(h.writeBy)
	}
}

// waiting counts the bytes that are under way to h or were not read by it. The caller holds mu.
func (h *half) waiting() int {
	bytes := len(h.landed)
	for _, s := range h.flying {
		bytes += len(s.bytes)
	}
	return bytes
}

// CloseWrite implements cluster.Stream.
func (h *half) CloseWrite() error {
	n := h.stream.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if h.closed || h.err != nil {
		return net.ErrClosed
	}
	h.other.send(nil)
	return nil
}

// Close implements net.Conn.
func (h *half) Close() error {
	n := h.stream.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if h.closed {
		return nil
	}
	h.closed = true
	h.cond.Broadcast()
	h.other.cond.Broadcast()
	switch {
	case h.other.closed:
		h.stream.forget()
	case h.err == nil && !h.end.dead && !h.other.end.dead:
		h.other.send(nil)
	}
	return nil
}

// LocalAddr implements net.Conn.
func (h *half) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(h.end.address) }

// RemoteAddr implements net.Conn.
func (h *half) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(h.other.end.address) }

// SetDeadline implements net.Conn.
func (h *half) SetDeadline(t time.Time) error { return h.deadlines(t, &h.readBy, &h.writeBy) }

// SetReadDeadline implements net.Conn.
func (h *half) SetReadDeadline(t time.Time) error { return h.deadlines(t, &h.readBy) }

// SetWriteDeadline implements net.Conn.
func (h *half) SetWriteDeadline(t time.Time) error { return h.deadlines(t, &h.writeBy) }

func (h *half) deadlines(t time.Time, which ...*time.Time) error {
	h.stream.net.mu.Lock()
	defer h.stream.net.mu.Unlock()
	if h.closed {
		return net.ErrClosed
	}
	for _, w := range which {
		*w = t
	}
	h.cond.Broadcast()
	return nil
}
