package upstream

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/starling-mail/starling/mailbox"
)

// A gate lets connections through to a server: so many in a time, and none while it is down, but
// for one now and then that finds out whether it is back.
type gate struct {
	interval   time.Duration // 0: any number
	burst      int
	wait       time.Duration
	min, max   time.Duration // of back-off
	mu         sync.Mutex
	next       time.Time // when all that were let through are spread out evenly
	failed     int       // in a row
	closedTill time.Time // after a failure
	probing    bool      // somebody finds out whether the server is back
}

var (
	errDown = errors.New("server could not be reached a moment ago")
	errBusy = errors.New("too many want to log in")
)

func unavailable(err error) error {
	return &mailbox.Error{Kind: mailbox.Unavailable, Op: "connect to upstream", Err: err}
}

// enter waits until the caller may connect. If it returns nil, leave must be called with what
// became of it.
func (g *gate) enter(ctx context.Context) error {
	d, err := g.reserve(time.Now())
	if err != nil || d <= 0 {
		return err
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		g.leave(ctx.Err(), false)
		return context.Cause(ctx)
	}
}

// reserve returns how long the caller has to wait.
func (g *gate) reserve(now time.Time) (time.Duration, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed > 0 && (g.probing || now.Before(g.closedTill)) {
		return 0, unavailable(errDown)
	}
	d := time.Duration(0)
	if g.interval > 0 {
		if g.next.Before(now) {
			g.next = now
		}
		if d = g.next.Sub(now) - time.Duration(g.burst-1)*g.interval; d > 0 {
			d += rand.N(g.interval) // those of other nodes were refused at the same time
		}
		if d > g.wait {
			return 0, unavailable(errBusy)
		}
		g.next = g.next.Add(g.interval)
	}
	g.probing = g.failed > 0
	return d, nil
}

// leave says that an attempt has ended. down says that err is the server's fault, so that others
// should not try for a while; any other error tells nothing.
func (g *gate) leave(err error, down bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.probing = false
	switch {
	case err == nil:
		g.failed = 0
	case down:
		// Half of the time is by chance, so that the nodes do not come back all at once.
		d := min(g.min<<min(g.failed, 20), g.max)
		if d <= 0 {
			d = g.max
		}
		g.closedTill = time.Now().Add(d/2 + rand.N(d/2+1))
		g.failed++
	}
}
