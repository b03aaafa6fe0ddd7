package cluster

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/mailbox"
)

// coalesce is how long a reading of the feed waits for further losses to be repaired by it too.
const coalesce = 20 * time.Millisecond

// grace is how long what only the feed has waits to be told: who has committed it is about to publish it, and this may have come between.
const grace = 20 * time.Millisecond

// A repair reads the store's feed, every so often and when something was lost, and gives what is there to the receiver.
//
// Whatever was committed before a reading began is told at its end: by the streams or by the reading. The cursor moves only
// after the events it passes are told.
type repair struct {
	feed     Feed
	receiver eventbus.Receiver
	recent   *recent
	listened func(*mailbox.Event) bool // whether somebody here listens to it, or may; nil: always
	every    time.Duration
	log      zerolog.Logger
	wanted   chan struct{} // has an item when something was lost

	cursor string // run's, after begin

	reads, events, reloads atomic.Uint64
	last                   atomic.Pointer[time.Time] // when the feed was read to its end
}

func newRepair(f Feed, r eventbus.Receiver, told *recent, every time.Duration, log zerolog.Logger) *repair {
	return &repair{feed: f, receiver: r, recent: told, every: every, log: log, wanted: make(chan struct{}, 1)}
}

// begin finds the end of the feed.
func (r *repair) begin(ctx context.Context) (err error) {
	r.cursor, err = r.feed.End(ctx)
	r.ended()
	return err
}

// now asks for a reading. Those asked for while one is about to begin are one.
func (r *repair) now() {
	select {
	case r.wanted <- struct{}{}:
	default:
	}
}

// run reads until ctx ends.
func (r *repair) run(ctx context.Context) {
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	for {
		if !r.wait(ctx, tick.C) {
			return
		}
		if err := r.read(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn().Err(err).Msg("cannot read the feed; it is tried again")
		}
	}
}

// wait returns when it is time to read, or false when ctx ends.
func (r *repair) wait(ctx context.Context, tick <-chan time.Time) bool {
	select {
	case <-tick: // before wanted, if both are there after a slow reading: it is for both
	default:
		select {
		case <-tick:
		case <-r.wanted:
			select {
			case <-time.After(coalesce):
			case <-ctx.Done():
				return false
			}
		case <-ctx.Done():
			return false
		}
	}
	// What was asked for up to here is in this reading.
	select {
	case <-r.wanted:
	default:
	}
	return ctx.Err() == nil
}

// read reads the feed to its end.
func (r *repair) read(ctx context.Context) error {
	r.reads.Add(1)
	for {
		events, cursor, err := r.feed.Read(ctx, r.cursor, feedPage)
		if mailbox.KindOf(err) == mailbox.NonExistent {
			return r.reload(ctx)
		}
		if err != nil {
			return err
		}
		full := len(events) == feedPage
		events = r.chosen(events)
		if r.recent.lacks(events) {
			select {
			case <-time.After(grace):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if missing := r.recent.fed(events); len(missing) > 0 {
			r.receiver.Receive(missing)
			r.events.Add(uint64(len(missing)))
		}
		r.cursor = cursor
		if !full {
			r.ended()
			return nil
		}
	}
}

// chosen returns those of events that somebody here listens to. The others did not come another way either, which is no loss: who begins to listen now loads
// what they have done.
func (r *repair) chosen(events []mailbox.Event) []mailbox.Event {
	if r.listened == nil {
		return events
	}
	var list []mailbox.Event
	for i := range events {
		if r.listened(&events[i]) {
			list = append(list, events[i])
		}
	}
	return list
}

// reload lets everybody compare with the store what they have, because the feed does not say what happened. The cursor is taken before: what comes after it
// may be told twice, but nothing is missed.
func (r *repair) reload(ctx context.Context) error {
	cursor, err := r.feed.End(ctx)
	if err != nil {
		return err
	}
	r.cursor = cursor
	r.recent.forget()
	r.reloads.Add(1)
	r.log.Warn().Msg("the feed does not reach back to where this node was: everything is compared with the store")
	r.receiver.Compare()
	r.ended()
	return nil
}

// ended notes that the feed was read to its end.
func (r *repair) ended() {
	now := time.Now()
	r.last.Store(&now)
}

// age is how long ago the feed was read to its end; 0 before it was.
func (r *repair) age() time.Duration {
	if at := r.last.Load(); at != nil {
		return time.Since(*at)
	}
	return 0
}
