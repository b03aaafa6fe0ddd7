package clustertest

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Log notes what happens, for people and for comparing two runs.
type Log struct {
	verbose bool
	start   time.Time

	mu    sync.Mutex
	lines []string
	sums  map[string]uint64
	over  bool // what comes now is only the end
}

func newLog(verbose bool) *Log {
	return &Log{verbose: verbose, start: time.Now(), sums: make(map[string]uint64)}
}

// add notes a line, if anybody will read it.
func (l *Log) add(who, format string, args ...any) {
	if !l.verbose {
		return
	}
	text := fmt.Sprintf(format, args...)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf("%12.6f %-4s %s", float64(time.Since(l.start))/float64(time.Millisecond), who, text))
}

// sum notes that some bytes went a way at this moment. The order of what goes one way counts, that between ways does not.
func (l *Log) sum(way string, b []byte) {
	at := time.Since(l.start)
	h := fnv.New64a()
	h.Write(b)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return
	}
	l.sums[way] = (l.sums[way]*0x100000001b3 ^ h.Sum64()) + uint64(at)
}

// end says that what comes from now on does not count.
func (l *Log) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
}

// Sum is one number for all that was noted.
func (l *Log) Sum() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := fnv.New64a()
	for _, way := range slices.Sorted(maps.Keys(l.sums)) {
		fmt.Fprintf(h, "%s %x\n", way, l.sums[way])
	}
	return fmt.Sprintf("%016x", h.Sum64())
}

// String is the whole log.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}
