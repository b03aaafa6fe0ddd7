package cluster

import (
	"sync"

	"github.com/starling-mail/starling/eventbus/codec"
)

// A queue holds the events that one receiver has not been sent, in their encoded form. Every event put into it has a number, the
// ones that are dropped too: so the receiver sees that they are missing.
type queue struct {
	limit, limitBytes int
	ready             chan struct{} // has an item when there may be something to send

	mu      sync.Mutex
	waiting [][]byte
	bytes   int
	next    uint64 // number of the first one waiting, or of the next to come
	mark    bool   // events were dropped, and nothing was taken since: the receiver must learn the number anyway
	dropped uint64
}

func newQueue(limit, limitBytes int) *queue {
	return &queue{limit: limit, limitBytes: limitBytes, ready: make(chan struct{}, 1)}
}

// put adds events, or drops them with all that is waiting if there is no room. It keeps the slices' contents.
func (q *queue) put(events [][]byte) {
	size := 0
	for _, e := range events {
		size += len(e)
	}
	q.mu.Lock()
	if len(q.waiting)+len(events) > q.limit || q.bytes+size > q.limitBytes {
		q.drop(len(events))
	} else {
		q.waiting = append(q.waiting, events...)
		q.bytes += size
	}
	q.mu.Unlock()
	q.wake()
}

// skip gives numbers to n events that cannot be sent.
func (q *queue) skip(n int) {
	q.mu.Lock()
	q.drop(n)
	q.mu.Unlock()
	q.wake()
}

// drop empties the queue and gives numbers to n more. The caller holds mu.
func (q *queue) drop(n int) {
	n += len(q.waiting)
	q.next += uint64(n)
	q.dropped += uint64(n)
	q.waiting, q.bytes, q.mark = nil, 0, true
}

func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// take removes as many events as go into a frame of about size bytes, and returns them with the number of the first. It returns
// false if there is nothing to send, not even a number.
func (q *queue) take(size int) (first uint64, events [][]byte, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := codec.Fits(q.waiting, size)
	events, q.waiting = q.waiting[:n:n], q.waiting[n:]
	for _, e := range events {
		q.bytes -= len(e)
	}
	first, ok = q.next, n > 0 || q.mark
	q.next += uint64(n)
	q.mark = false
	if len(q.waiting) == 0 {
		q.waiting = nil // the events that are gone must not stay in memory
	}
	return first, events, ok
}

// number returns the number of the next event to be sent.
func (q *queue) number() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.next
}

// figures returns how many events wait and how many were dropped.
func (q *queue) figures() (waiting int, dropped uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting), q.dropped
}
