package cluster

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/starling-mail/starling/eventbus"
)

// maxLog is how many toggles are remembered for nodes that have not been told of them. One that is further behind is told everything anew.
const maxLog = 32 << 10

// An interest is what this node listens to and which other nodes know of it.
type interest struct {
	linger, wait time.Duration
	set          bucketSet // changed under mu

	mu       sync.Mutex
	keys     map[uint32]int32     // listened to, in each bucket
	leaving  map[uint32]time.Time // buckets without a key, and since when
	log      []toggle             // the last ones; that of number is the last of them
	number   uint64               // of toggles so far
	audience []*audience
	waiting  []*announced
}

// An audience is another node that is told.
type audience struct {
	wake func() // lets the peer that writes to it look for something to tell; does not wait

	// Guarded by interest.mu.
	begun bool   // it was told something on this stream
	told  uint64 // the toggle that it was told last
	knows uint64 // the toggle up to which it has answered, on this stream or one before
}

// An announced waits until everybody knows a toggle.
type announced struct {
	number uint64
	timer  *time.Timer
	done   chan struct{}
}

func newInterest(linger, wait time.Duration) *interest {
	return &interest{linger: linger, wait: wait, keys: make(map[uint32]int32), leaving: make(map[uint32]time.Time)}
}

// watch notes that a key is listened to, or no more.
func (i *interest) watch(k eventbus.Key, on bool) {
	b := bucketOf(k)
	i.mu.Lock()
	defer i.mu.Unlock()
	if !on {
		if i.keys[b]--; i.keys[b] == 0 {
			delete(i.keys, b)
			i.leaving[b] = time.Now()
		}
		return
	}
	i.keys[b]++
	delete(i.leaving, b)
	i.toggle(b, true)
}

// toggle puts a bucket in or out and lets everybody be told. The caller holds mu.
func (i *interest) toggle(b uint32, on bool) {
	if !i.set.put(b, on) {
		return
	}
	if len(i.log) == maxLog {
		i.log = append(i.log[:0], i.log[maxLog/2:]...)
	}
	i.log = append(i.log, newToggle(b, on))
	i.number++
	for _, a := range i.audience {
		a.wake()
	}
}

// run takes out the buckets that nobody has listened to for a while, until ctx ends. Clients that come back at once make no difference
// to the other nodes.
func (i *interest) run(ctx context.Context) {
	tick := time.NewTicker(max(i.linger/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			i.clear(now.Add(-i.linger))
		case <-ctx.Done():
			return
		}
	}
}

// clear takes out the buckets that nobody has listened to since before a time.
func (i *interest) clear(before time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, b := range slices.Sorted(maps.Keys(i.leaving)) {
		if i.leaving[b].Before(before) {
			delete(i.leaving, b)
			i.toggle(b, false)
		}
	}
}

// join adds another node to those that are told.
func (i *interest) join(a *audience) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.audience = append(i.audience, a)
}

// leave takes it out again.
func (i *interest) leave(a *audience) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.audience = slices.DeleteFunc(i.audience, func(other *audience) bool { return other == a })
	i.settle()
}

// begin is called when a stream to a has been opened: whatever was told on one before is void there.
func (i *interest) begin(a *audience) {
	i.mu.Lock()
	defer i.mu.Unlock()
	a.begun = false
}

// next returns what a is to be told now: nothing, everything in parts, or what has changed since it was told last.
func (i *interest) next(a *audience) []announcement {
	i.mu.Lock()
	defer i.mu.Unlock()
	if a.begun && a.told == i.number {
		return nil
	}
	behind := i.number - a.told
	if !a.begun || behind > uint64(len(i.log)) {
		a.begun, a.told = true, i.number
		return i.whole()
	}
	if behind > maxToggles {
		behind = maxToggles
	}
	at := len(i.log) - int(i.number-a.told)
	a.told += behind
	return []announcement{{number: a.told, toggles: last(i.log[at : at+int(behind)])}}
}

// last returns the last toggle of each bucket, ascending.
func last(log []toggle) []toggle {
	list := slices.Clone(log)
	slices.SortStableFunc(list, func(a, b toggle) int { return cmp.Compare(a.bucket(), b.bucket()) })
	kept := list[:0]
	for n, t := range list {
		if n+1 == len(list) || list[n+1].bucket() != t.bucket() {
			kept = append(kept, t)
		}
	}
	return kept
}

// whole returns everything that is listened to. The caller holds mu.
func (i *interest) whole() []announcement {
	parts := []announcement{{number: i.number, whole: true}}
	for b := range i.set.all() {
		part := &parts[len(parts)-1]
		if len(part.toggles) == maxToggles {
			part.more = true
			parts = append(parts, announcement{number: i.number, whole: true})
			part = &parts[len(parts)-1]
		}
		part.toggles = append(part.toggles, newToggle(b, true))
	}
	return parts
}

// answered notes that a knows everything up to a toggle.
func (i *interest) answered(a *audience, number uint64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if number > i.number { // it makes that up
		return
	}
	a.knows = max(a.knows, number)
	i.settle()
}

// announced returns a channel that is closed when everybody knows what is listened to now, or after some time; nil if they know.
func (i *interest) announced() <-chan struct{} {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.known() >= i.number {
		return nil
	}
	w := &announced{number: i.number, done: make(chan struct{})}
	w.timer = time.AfterFunc(i.wait, func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.end(func(other *announced) bool { return other == w })
	})
	i.waiting = append(i.waiting, w)
	return w.done
}

// known returns the toggle up to which everybody knows everything.
func (i *interest) known() uint64 {
	number := i.number
	for _, a := range i.audience {
		number = min(number, a.knows)
	}
	return number
}

// settle ends the waiting for what everybody knows. The caller holds mu.
func (i *interest) settle() {
	known := i.known()
	i.end(func(w *announced) bool { return w.number <= known })
}

// end ends some of the waiting. The caller holds mu.
func (i *interest) end(which func(*announced) bool) {
	i.waiting = slices.DeleteFunc(i.waiting, func(w *announced) bool {
		if !which(w) {
			return false
		}
		w.timer.Stop()
		close(w.done)
		return true
	})
}
