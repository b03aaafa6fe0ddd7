// Package latency counts durations in a few fixed buckets. To count one takes neither a lock nor memory, so that it can be done for
// every command of every client; whoever shows the figures takes a Snapshot.
package latency

import (
	"sync/atomic"
	"time"
)

// bounds are the upper limits of the buckets, each included; beyond the last there is one more.
var bounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, time.Second, 5 * time.Second, 30 * time.Second,
}

// A Histogram counts durations. The zero value is ready for use, by any number of goroutines.
type Histogram struct {
	counts [len(bounds) + 1]atomic.Uint64
	sum    atomic.Int64
}

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) {
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// A Snapshot is what a Histogram has counted. What is observed while it is taken may be in its Sum alone.
type Snapshot struct {
	Counts [len(bounds) + 1]uint64 // durations in each bucket; the last one has those above all bounds
	Sum    time.Duration           // of all
}

// Snapshot returns the counts as they are now.
func (h *Histogram) Snapshot() (s Snapshot) {
	for i := range h.counts {
		s.Counts[i] = h.counts[i].Load()
	}
	s.Sum = time.Duration(h.sum.Load())
	return s
}

// Count returns how many durations were counted.
func (s Snapshot) Count() (n uint64) {
	for _, c := range s.Counts {
		n += c
	}
	return n
}

// Cumulative calls f with the upper bound of each bucket but the last, in order, and how many durations were no longer than it.
func (s Snapshot) Cumulative(f func(bound time.Duration, count uint64)) {
	var n uint64
	for i, b := range bounds {
		n += s.Counts[i]
		f(b, n)
	}
}
