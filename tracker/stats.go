package tracker

import "sync/atomic"

// Stats are figures of a Set since it was made.
type Stats struct {
	Trackers int   // mailboxes that are followed now, those that nobody watches included
	Views    int64 // now
	Bytes    int64 // of the budget that is in use now

	Gaps    uint64 // Changes that came while one before them was missing
	Lost    uint64 // times that the bus had dropped events of a mailbox
	Loads   uint64 // mailboxes read from the store for the first time
	Repairs uint64 // times that the store was asked for the Changes that are missing
	Resyncs uint64 // times that a mailbox had to be compared with the store as a whole
	Failed  uint64 // times that the store could not be read
	SetBack uint64 // mailboxes whose store had lost what clients were told: they got BYE. Somebody should look.
}

type counters struct {
	views                                         atomic.Int64
	gaps, lost, loads, repairs, resyncs, failures atomic.Uint64
	setBack                                       atomic.Uint64
}

// Stats returns the figures as they are now.
func (s *Set) Stats() Stats {
	s.mu.Lock()
	out := Stats{Trackers: len(s.trackers), Bytes: s.lru.bytes}
	s.mu.Unlock()
	n := &s.counters
	out.Views = n.views.Load()
	out.Gaps, out.Lost, out.Loads = n.gaps.Load(), n.lost.Load(), n.loads.Load()
	out.Repairs, out.Resyncs, out.Failed = n.repairs.Load(), n.resyncs.Load(), n.failures.Load()
	out.SetBack = n.setBack.Load()
	return out
}
