package eventbus_test

import (
	"runtime"
	"testing"

	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/mailbox"
)

// BenchmarkPublish publishes one event to one of the keys of a busy node.
func BenchmarkPublish(b *testing.B) {
	const keys = 18_000
	bus := eventbus.New(eventbus.Options{Log: zerolog.Nop()})
	ids := make([]mailbox.ID, keys)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range ids {
		ids[i] = mailbox.NewID()
		bus.Listen(&eventbus.Listener{
			Name: "bench", Scope: eventbus.Mailbox, Delivery: eventbus.Sync,
			Handle: func([]mailbox.Event) error { return nil },
		}, eventbus.MailboxKey(ids[i]))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	events := make([][]mailbox.Event, 1024)
	for i := range events {
		events[i] = event(1, ids[i*17%keys])
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		bus.Publish(events[i%len(events)])
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/keys, "bytes/listener")
	runtime.KeepAlive(bus)
}
