package cluster

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/eventbus/codec"
	"github.com/starling-mail/starling/mailbox"
)

// BenchmarkPublishToReceive publishes on one of three nodes, at a rate or as fast as they go, and measures the time until the handlers
// of the other two are called. Each operation is one event.
func BenchmarkPublishToReceive(b *testing.B) {
	for _, c := range []codec.Codec{codec.MessagePack, codec.JSON} {
		for _, rate := range []int{1000, 10_000, 0} {
			b.Run(fmt.Sprintf("%s/%d", c, rate), func(b *testing.B) {
				publishToReceive(b, c, rate)
			})
		}
	}
}

func publishToReceive(b *testing.B, c codec.Codec, rate int) {
	all := startAll(b, 3, 1<<20, func(_ int, o *Options) { o.Codec = c })
	id := mailbox.NewID()
	var mu sync.Mutex
	var took []time.Duration
	var heard, lost atomic.Int64
	for _, m := range all[1:] {
		reg := m.bus.Listen(&eventbus.Listener{Scope: eventbus.Mailbox, Delivery: eventbus.Sync,
			Handle: func(events []mailbox.Event) error {
				now := time.Now().UnixNano()
				mu.Lock()
				for _, e := range events {
					took = append(took, time.Duration(now-e.Change.Counts.Size))
				}
				mu.Unlock()
				heard.Add(int64(len(events)))
				return nil
			},
			Lost: func() { lost.Add(1) },
		}, eventbus.MailboxKey(id))
		defer reg.Close()
	}
	const window = DefaultQueueLimit / 2 // as fast as they go, but no faster
	published := 0
	began := time.Now()
	for b.Loop() {
		published++
		if rate > 0 {
			if ahead := time.Until(began.Add(time.Duration(published) * time.Second / time.Duration(rate))); ahead > 0 {
				<-time.After(ahead)
			}
		} else {
			for int64(published)-heard.Load()/2 > window && lost.Load() == 0 {
				<-time.After(100 * time.Microsecond)
			}
		}
		e := change(id, mailbox.ModSeq(published))
		e.Change.Counts.Size = time.Now().UnixNano()
		all[0].bus.Publish([]mailbox.Event{e})
	}
	await(b, "everything", func() bool { return heard.Load() == 2*int64(published) || lost.Load() > 0 })
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "max-ms")
	b.ReportMetric(float64(2*published-len(took)), "lost")
}
