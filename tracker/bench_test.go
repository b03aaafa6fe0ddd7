package tracker

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/mailbox"
)

// discard is a Watcher like a parked session's: it has nothing to do.
type discard struct{}

func (discard) Changed() {}

// heap returns the bytes in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkMemory measures what it costs that somebody watches a mailbox and nothing happens: its tracker with the bus's share,
// and each View.
func BenchmarkMemory(b *testing.B) {
	const n = 5000
	open := func(b *testing.B, set *Set, box mailbox.ID) *View {
		v, err := set.Open(context.Background(), box, discard{})
		if err != nil {
			b.Fatal(err)
		}
		v.Select()
		return v
	}
	b.Run("Mailboxes", func(b *testing.B) {
		set, store := newSet(b)
		store.add(20, 0)
		views := make([]*View, n)
		ids := make([]mailbox.ID, n)
		for i := range ids {
			ids[i] = mailbox.NewID()
		}
		before := heap()
		for i := range views {
			views[i] = open(b, set, ids[i]) // the fake store serves any
		}
		used := heap() - before
		for b.Loop() { // there is nothing to time
		}
		b.ReportMetric(float64(used)/n, "bytes/watch")
		runtime.KeepAlive(views)
	})
	b.Run("ViewsOfOne", func(b *testing.B) {
		set, store := newSet(b)
		store.add(20, 0)
		views := make([]*View, n)
		before := heap()
		for i := range views {
			views[i] = open(b, set, store.box)
		}
		used := heap() - before
		for b.Loop() { // there is nothing to time
		}
		b.ReportMetric(float64(used)/n, "bytes/view")
		runtime.KeepAlive(views)
	})
}

// BenchmarkFanOut applies a change to a mailbox with many Views and tells all of them, then flushes one.
func BenchmarkFanOut(b *testing.B) {
	for _, n := range []int{1, 5000} {
		bus := eventbus.New(eventbus.Options{Log: zerolog.Nop()})
		var events []mailbox.Event
		store := newFakeStore(func(e []mailbox.Event) { events = e })
		set := New(Options{Store: store, Bus: bus, Log: zerolog.Nop()})
		store.add(10, 0)
		var one *View
		for range n {
			v, err := set.Open(b.Context(), store.box, discard{})
			if err != nil {
				b.Fatal(err)
			}
			v.Select()
			one = v
		}
		var u Update
		run := func(name string, next func()) {
			b.Run(fmt.Sprintf("%s/views=%d", name, n), func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					next()
					b.StartTimer()
					bus.Publish(events)
				}
			})
		}
		run("Append", func() { store.add(1, 0) })
		run("Flag", func() { store.flag([]imap.UID{5}, imap.FlagSeen) })
		run("Expunge", func() {
			store.add(1, 0)
			bus.Publish(events)
			for _, v := range one.t.views {
				if err := v.Flush(b.Context(), true, 10, &u); err != nil {
					b.Fatal(err)
				}
			}
			uids := store.uids()
			store.expunge(uids[len(uids)-1])
		})
		b.Run(fmt.Sprintf("Flush/views=%d", n), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				store.flag([]imap.UID{5}, imap.FlagSeen)
				bus.Publish(events)
				b.StartTimer()
				if err := one.Flush(b.Context(), true, 10, &u); err != nil || len(u.Flags) != 1 {
					b.Fatal(err, u.Flags)
				}
			}
		})
		set.Close()
		bus.Close(b.Context())
	}
}
