package latency

import (
	"sync"
	"testing"
	"time"
)

func TestBuckets(t *testing.T) {
	var h Histogram
	for _, d := range []time.Duration{0, 100 * time.Microsecond, 100*time.Microsecond + 1, 30 * time.Second, time.Hour} {
		h.Observe(d)
	}
	s := h.Snapshot()
	if s.Count() != 5 || s.Sum != time.Hour+30*time.Second+200*time.Microsecond+1 {
		t.Errorf("%d durations, %v in all", s.Count(), s.Sum)
	}
	want := map[time.Duration]uint64{100 * time.Microsecond: 2, 250 * time.Microsecond: 3, 5 * time.Second: 3, 30 * time.Second: 4}
	last := time.Duration(-1)
	s.Cumulative(func(bound time.Duration, count uint64) {
		if bound <= last {
			t.Errorf("%v comes after %v", bound, last)
		}
		last = bound
		if n, ok := want[bound]; ok && n != count {
			t.Errorf("%d durations up to %v, want %d", count, bound, n)
		}
	})
}

func TestConcurrent(t *testing.T) {
	var h Histogram
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 1000 {
				h.Observe(time.Duration(i) * time.Millisecond)
			}
		})
	}
	all.Wait()
	if n := h.Snapshot().Count(); n != 4000 {
		t.Errorf("%d durations counted, want 4000", n)
	}
}

func TestObserveTakesNoMemory(t *testing.T) {
	var h Histogram
	if n := testing.AllocsPerRun(100, func() { h.Observe(time.Minute) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
