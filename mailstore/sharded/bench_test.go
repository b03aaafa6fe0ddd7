package sharded

import (
	"context"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/postgres"
)

// BenchmarkMove moves an account of 20,000 messages of 4 KiB to and fro, on servers with fsync on, while a client sets flags in it without a pause. It reports
// how many messages are copied a second, for how long the locks were held that writers wait for, and the client's longest wait.
func BenchmarkMove(b *testing.B) {
	const count, size = 20_000, 4096
	var list []Shard
	for _, name := range []string{"a", "b"} {
		server := start(b)
		b.Cleanup(func() { server.Close() })
		list = append(list, Shard{Name: name, Postgres: postgres.Options{URL: server.URL("postgres"), Blobs: blobs(b)}})
	}
	s := open(b, Options{Shards: list})
	accounts, boxes := spread(b, s, "a")
	addMany(b, s, boxes[0], count, size)
	ctx, stop := context.WithCancel(b.Context())
	var longest time.Duration
	done := make(chan error, 1)
	go func() {
		var err error
		for n := 0; err == nil && ctx.Err() == nil; n++ {
			began := time.Now()
			uid := imap.UID(n%count + 1)
			_, err = s.UpdateFlags(context.WithoutCancel(ctx), boxes[0], imap.UIDSet{{Start: uid, Stop: uid}},
				mailstore.FlagUpdate{Op: imap.StoreFlagsSet, Flags: mailbox.NewFlags(imap.Flag([]string{"A", "B"}[n/count%2]))})
			longest = max(longest, time.Since(began))
		}
		done <- err
	}()
	var paused time.Duration
	moves := 0
	for b.Loop() {
		to := []string{"b", "a"}[moves%2]
		if err := s.MoveAccount(b.Context(), accounts[0], to, func(r mailstore.MoveReport) { paused = max(paused, r.Paused) }); err != nil {
			b.Fatal(err)
		}
		moves++
	}
	perSecond := float64(count*moves) / b.Elapsed().Seconds()
	stop()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(perSecond, "messages/s")
	b.ReportMetric(float64(paused.Milliseconds()), "locked-ms")
	b.ReportMetric(float64(longest.Milliseconds()), "wait-ms")
}
