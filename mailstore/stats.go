package mailstore

import (
	"sync/atomic"
	"time"

	"github.com/starling-mail/starling/latency"
	"github.com/starling-mail/starling/mailbox"
)

// A Meter is a Store that keeps figures of its work, as those of this module do.
type Meter interface {
	Stats() Stats
}

// Stats are figures of a Store since it was opened.
type Stats struct {
	Commits latency.Snapshot // transactions that wrote, from their beginning until it was known what came of them; each serves one request or more
	Writes  uint64           // requests that were committed
	Waiting int              // requests that wait now for a transaction
	// Errors are requests to the database, to read or to write, that failed, by mailbox.Kind. Many kinds are no fault of the
	// store's, such as that of a name that is taken.
	Errors [mailbox.Unknown + 1]uint64
	Pool   Pool
}

// A Pool describes the connections to a database.
type Pool struct {
	Open, Used, Max int           // now
	Opened          uint64        // connections
	Waits           uint64        // times that none was free
	Waited          time.Duration // in all
}

// A Tally is where a Store counts what its Stats say. Its methods may be called from any number of goroutines.
type Tally struct {
	commits latency.Histogram
	writes  atomic.Uint64
	errors  [mailbox.Unknown + 1]atomic.Uint64
}

// Committed counts a transaction that wrote, whatever came of it, since it began.
func (t *Tally) Committed(since time.Time) { t.commits.Observe(time.Since(since)) }

// Wrote counts a request to write that ended with err.
func (t *Tally) Wrote(err error) {
	if err == nil {
		t.writes.Add(1)
	}
	t.Read(err)
}

// Read counts a request to read that ended with err.
func (t *Tally) Read(err error) {
	if err != nil {
		t.errors[mailbox.KindOf(err)].Add(1)
	}
}

// Stats returns the figures as they are now, but for Waiting and Pool.
func (t *Tally) Stats() Stats {
	s := Stats{Commits: t.commits.Snapshot(), Writes: t.writes.Load()}
	for i := range t.errors {
		s.Errors[i] = t.errors[i].Load()
	}
	return s
}
