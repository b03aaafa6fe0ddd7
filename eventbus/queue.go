package eventbus

import (
	"sync"

	"github.com/starling-mail/starling/mailbox"
)

// A queue holds what an async listener has not handled yet. A goroutine works on it while it is not empty.
type queue struct {
	mu      sync.Mutex
	waiting []item
	lost    bool // events were dropped and the listener has not been told
	all     bool // with lost: it must compare everything
	working bool
}

// An item is an event with the entry that it came for: if that is closed by the time, it is not handled.
type item struct {
	event mailbox.Event
	to    *entry
}

// enqueue queues events for t, or drops all that is queued if there is no room.
func (b *Bus) enqueue(t *entry, events []mailbox.Event) {
	q := t.l.line()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lost || len(q.waiting)+len(events) > b.limit {
		b.stats.lost.Add(uint64(len(events)))
		b.drop(q)
	} else {
		for _, e := range events {
			q.waiting = append(q.waiting, item{e, t})
		}
		b.stats.queued.Add(int64(len(events)))
	}
	b.serve(t.l, q)
}

// enqueueLost lets t be told that it lost events, some or all.
func (b *Bus) enqueueLost(t *entry, all bool) {
	q := t.l.line()
	q.mu.Lock()
	defer q.mu.Unlock()
	b.drop(q)
	q.all = q.all || all
	b.serve(t.l, q)
}

// line returns l's queue.
func (l *Listener) line() *queue {
	if q := l.queue.Load(); q != nil {
		return q
	}
	l.queue.CompareAndSwap(nil, new(queue))
	return l.queue.Load()
}

// drop empties q and notes that its listener must be told. The caller holds q.mu.
func (b *Bus) drop(q *queue) {
	b.stats.lost.Add(uint64(len(q.waiting)))
	b.stats.queued.Add(-int64(len(q.waiting)))
	q.waiting, q.lost = nil, true
}

// serve starts the goroutine that works on q, unless there is one. The caller holds q.mu.
func (b *Bus) serve(l *Listener, q *queue) {
	if !q.working {
		q.working = true
		b.work.fork()
		go b.drain(l, q)
	}
}

// drain calls l until its queue is empty.
func (b *Bus) drain(l *Listener, q *queue) {
	defer b.work.leave()
	var events []mailbox.Event
	for {
		q.mu.Lock()
		waiting, lost, all := q.waiting, q.lost, q.all
		q.waiting, q.lost, q.all = nil, false, false
		if len(waiting) == 0 && !lost {
			q.working = false
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()

		b.stats.queued.Add(-int64(len(waiting)))
		if lost {
			b.tellLost(l, all)
		}
		events = events[:0]
		for _, it := range waiting {
			if it.to.refs.Load() > 0 {
				events = append(events, it.event)
			}
		}
		if len(events) > 0 {
			b.call(l, events)
		}
	}
}
