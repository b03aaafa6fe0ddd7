package clustertest

import (
	"flag"
	"os"
	"runtime"
	"strings"
	"testing"
)

var (
	seeds = flag.Int("seeds", 0, "how many seeds to run; 0: as many as an ordinary test run has")
	first = flag.Uint64("first", 1, "the first of them")

	failures = flag.Int("failures", 3, "stop after so many that fail")
)

func TestMain(m *testing.M) {
	flag.Parse()
	// One simulation uses one processor, and then the scheduler does the same each time.
	runtime.GOMAXPROCS(1)
	os.Exit(m.Run())
}

// TestReplay shows that a seed does the same each time, to the byte and the nanosecond.
func TestReplay(t *testing.T) {
	if raced {
		t.Skip("the race detector lets goroutines go on in any order")
	}
	const count = 40
	for seed := *first; seed < *first+count; seed++ {
		if a := Run(t, seed, false); Replay(t, seed, a.Sum).Sum != a.Sum {
			t.Errorf("seed %d does something else each time", seed)
		}
	}
}

// TestSeeds runs the simulation. A seed that fails is shown with its log, and what it takes to run it again.
func TestSeeds(t *testing.T) {
	count := *seeds
	switch {
	case count > 0:
	case raced || testing.Short():
		count = 100
	default:
		count = 2000
	}
	failed := 0
	for seed := *first; seed < *first+uint64(count) && failed < *failures; seed++ {
		r := Run(t, seed, false)
		if len(r.Failures) == 0 {
			continue
		}
		failed++
		again := Replay(t, seed, r.Sum)
		t.Errorf("%s\n%s\nReplay: go test ./cluster/clustertest -run TestSeeds -first %d -seeds 1 -v\nThe log (its sum is %s, and was %s):\n%s",
			r.Plan, strings.Join(r.Failures, "\n"), seed, again.Sum, r.Sum, again.Log)
	}
}
