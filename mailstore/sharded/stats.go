package sharded

import (
	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/mailstore"
)

var _ mailstore.Meter = (*Store)(nil)

// Stats implements mailstore.Meter: the sums over the shards.
func (s *Store) Stats() (sum mailstore.Stats) {
	for _, sh := range s.shards {
		store := sh.store.Load()
		if store == nil {
			continue
		}
		one := store.Stats()
		for i, n := range one.Commits.Counts {
			sum.Commits.Counts[i] += n
		}
		sum.Commits.Sum += one.Commits.Sum
		sum.Writes += one.Writes
		sum.Waiting += one.Waiting
		for i, n := range one.Errors {
			sum.Errors[i] += n
		}
		p, q := &sum.Pool, one.Pool
		*p = mailstore.Pool{Open: p.Open + q.Open, Used: p.Used + q.Used, Max: p.Max + q.Max,
			Opened: p.Opened + q.Opened, Waits: p.Waits + q.Waits, Waited: p.Waited + q.Waited}
	}
	return sum
}

// Blobs returns the sums of the figures of the shards' large bodies.
func (s *Store) Blobs() (sum blob.Stats) {
	for _, sh := range s.shards {
		store := sh.store.Load()
		if store == nil {
			continue
		}
		b := store.Blobs()
		sum.Puts, sum.Opens, sum.Deletes, sum.Errors = sum.Puts+b.Puts, sum.Opens+b.Opens, sum.Deletes+b.Deletes, sum.Errors+b.Errors
		sum.WrittenBytes, sum.ReadBytes = sum.WrittenBytes+b.WrittenBytes, sum.ReadBytes+b.ReadBytes
	}
	return sum
}
