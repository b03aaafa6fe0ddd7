package imapserver

import (
	"context"
	"time"

	"github.com/emersion/go-imap/v2"
)

// DrainOptions say how fast clients are sent away.
type DrainOptions struct {
	Group int           // connections told BYE at once, at least 1
	Every time.Duration // between groups, more than 0
}

// errDrained ends connections of a node that is drained. The client finds another one.
var errDrained = &byeError{code: imap.ResponseCodeUnavailable, text: "this server is being taken out of service, connect again"}

// Drain says BYE to all clients, group by group, so that they do not come to other nodes all at once: first to those that wait, parked, then
// to those with a command in progress, each when that has its answer. It returns nil when nobody is left, or the error of ctx, and
// calls report with how many are left whenever it has told a group, and at the end.
//
// New clients are still accepted, and sent away in their turn: end Serve before. Those told go, even if ctx ends.
func (s *Server) Drain(ctx context.Context, o DrainOptions, report func(left int)) error {
	tick := time.NewTicker(o.Every)
	defer tick.Stop()
	for {
		told, left := s.sendAway(o.Group)
		if told > 0 || left == 0 {
			report(left)
		}
		if left == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// sendAway has up to limit connections end that were not told to before: parked ones, or others if there are none. It returns how many that
// were, and how many there are in all.
func (s *Server) sendAway(limit int) (told, left int) {
	arriving := int(s.arriving.Load()) // before: who has arrived since is counted twice, not missed
	s.mu.Lock()
	defer s.mu.Unlock()
	var parked, working []*conn
	for c := range s.conns {
		switch {
		case c.leaving.Load():
		case c.spot.Parked():
			parked = append(parked, c)
		default:
			working = append(working, c)
		}
	}
	group := parked
	if len(group) == 0 {
		group = working
	}
	group = group[:min(limit, len(group))]
	for _, c := range group {
		c.leaving.Store(true) // before it wakes
		c.spot.Wake()
	}
	return len(group), len(s.conns) + arriving
}
