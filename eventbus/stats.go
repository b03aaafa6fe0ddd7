package eventbus

import "sync/atomic"

// Stats are figures of a bus since it was made.
type Stats struct {
	Published uint64 // events given to Publish
	Received  uint64 // events given to Receive
	Delivered uint64 // events handled without an error, counted for each listener
	Lost      uint64 // events dropped because a listener was too slow or had to start again, counted for each listener
	Errors    uint64 // calls that returned an error
	Panics    uint64 // calls that panicked
	Queued    int64  // events that wait in queues now
	Listeners int64  // listeners now, counted for each key
}

type counters struct {
	published, received, delivered, lost, errors, panics atomic.Uint64
	queued, listeners                                    atomic.Int64
}

// Stats returns the figures as they are now.
func (b *Bus) Stats() Stats {
	return Stats{
		Published: b.stats.published.Load(),
		Received:  b.stats.received.Load(),
		Delivered: b.stats.delivered.Load(),
		Lost:      b.stats.lost.Load(),
		Errors:    b.stats.errors.Load(),
		Panics:    b.stats.panics.Load(),
		Queued:    b.stats.queued.Load(),
		Listeners: b.stats.listeners.Load(),
	}
}
