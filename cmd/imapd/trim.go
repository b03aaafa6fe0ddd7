package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// trimEvery is how often trim looks.
const trimEvery = 10 * time.Second

// trim gives memory back to the system when the server has become quiet, until ctx ends. A
// burst of logins leaves garbage that the next collection would find; with thousands of
// idle clients, which allocate nothing, that may be minutes away. A busy server
// collects often enough by itself and is left alone.
func trim(ctx context.Context) {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	var last, trimmed uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(samples)
		allocated, live := samples[0].Value.Uint64(), samples[1].Value.Uint64()
		quiet := allocated-last < live/16
		if last = allocated; quiet && allocated-trimmed > live/8 {
			debug.FreeOSMemory()
			trimmed = allocated
		}
	}
}
