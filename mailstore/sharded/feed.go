package sharded

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// A feedState says whether a shard's feed was to be had.
type feedState struct {
	mu    sync.Mutex
	after time.Time // it is not asked before
}

func (f *feedState) due(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !now.Before(f.after)
}

func (f *feedState) failed(until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.after = until
}

// A cursor has a part for each shard, in the order of the shards. An empty part is that of a shard that could not be asked: when it can be,
// nobody knows what was missed.
type cursor []mailstore.Cursor

// Between the parts, and between a shard's name and its part.
const (
	partEnd = ";"
	nameEnd = "="
)

func (s *Store) format(c cursor) mailstore.Cursor {
	var b strings.Builder
	for i, sh := range s.shards {
		b.WriteString(sh.Name + nameEnd + string(c[i]) + partEnd)
	}
	return mailstore.Cursor(b.String())
}

func (s *Store) parse(text mailstore.Cursor) (cursor, bool) {
	parts := strings.Split(string(text), partEnd)
	if len(parts) != len(s.shards)+1 || parts[len(s.shards)] != "" {
		return nil, false
	}
	c := make(cursor, len(s.shards))
	for i, sh := range s.shards {
		name, part, ok := strings.Cut(parts[i], nameEnd)
		if !ok || name != sh.Name {
			return nil, false
		}
		c[i] = mailstore.Cursor(part)
	}
	return c, true
}

// FeedEnd implements mailstore.Feed. Who asks for it begins anew, perhaps because a shard was restored: so does what is
// remembered of places.
func (s *Store) FeedEnd(ctx context.Context) (mailstore.Cursor, error) {
	s.routes.accounts.forgetAll()
	c := make(cursor, len(s.shards))
	errs := s.ask(ctx, func(int) bool { return true }, func(ctx context.Context, i int, feed mailstore.Feed) (err error) {
		c[i], err = feed.FeedEnd(ctx)
		return err
	})
	if err := everywhere(errs); err != nil {
		return "", err
	}
	return s.format(c), nil
}

// everywhere returns an error if every shard has one, or one has one that is not that it cannot be reached.
func everywhere(errs []error) error {
	away := 0
	for _, err := range errs {
		switch {
		case mailbox.KindOf(err) == mailbox.Unavailable:
			away++
		case err != nil:
			return err
		}
	}
	if away == len(errs) {
		return errors.Join(errs...)
	}
	return nil
}

// ask calls f for the shards that want chooses, all at a time, each for at most FeedTimeout. One that could not be reached lately
// is not asked.
func (s *Store) ask(ctx context.Context, want func(i int) bool, f func(ctx context.Context, i int, feed mailstore.Feed) error) []error {
	const op = "read feed"
	errs := make([]error, len(s.shards))
	var asking sync.WaitGroup
	for i, sh := range s.shards {
		if !want(i) {
			continue
		}
		if !sh.feed.due(time.Now()) {
			errs[i] = &mailbox.Error{Kind: mailbox.Unavailable, Op: op, Err: errors.New("shard " + sh.Name + " could not be reached a moment ago")}
			continue
		}
		asking.Go(func() {
			store, err := sh.get(op)
			if err == nil {
				ctx, cancel := context.WithTimeout(ctx, s.o.FeedTimeout)
				err = f(ctx, i, store)
				cancel()
			}
			if mailbox.KindOf(err) == mailbox.Unavailable && ctx.Err() == nil {
				s.o.Log.Warn().Err(err).Str("shard", sh.Name).Msg("cannot read the shard's feed; it is tried again")
				sh.feed.failed(time.Now().Add(s.o.RetryAfter))
			}
			errs[i] = err
		})
	}
	asking.Wait()
	return errs
}

// ReadFeed implements mailstore.Feed. What a shard that cannot be reached has to tell comes when it can be: its part of the cursor stays, and
// the others go on.
func (s *Store) ReadFeed(ctx context.Context, after mailstore.Cursor, limit int) ([]mailbox.Event, mailstore.Cursor, error) {
	lost := &mailbox.Error{Kind: mailbox.NonExistent, Op: "read feed", Text: "the feed does not reach back to that place"}
	c, ok := s.parse(after)
	if !ok {
		return nil, "", lost
	}
	var events []mailbox.Event
	failed := make([]error, len(s.shards))
	left := make([]bool, len(s.shards)) // may have more
	for i := range left {
		left[i] = true
	}
	// Each gets its share of the limit, until all are at their ends.
	for n := len(left); n > 0 && len(events) < limit; {
		room := limit - len(events)
		share := max(1, room/n)
		found := make([][]mailbox.Event, len(s.shards))
		next := make(cursor, len(s.shards))
		asked := 0
		errs := s.ask(ctx, func(i int) bool {
			if !left[i] || asked*share >= room {
				return false
			}
			asked++
			return true
		}, func(ctx context.Context, i int, feed mailstore.Feed) (err error) {
			if c[i] == "" {
				// It could not be asked when the cursor was made.
				if _, err := feed.FeedEnd(ctx); err != nil {
					return err
				}
				return lost
			}
			found[i], next[i], err = feed.ReadFeed(ctx, c[i], share)
			return err
		})
		n = 0
		for i := range s.shards {
			switch {
			case mailbox.KindOf(errs[i]) == mailbox.Unavailable:
				failed[i], left[i] = errs[i], false
			case errs[i] != nil:
				return nil, "", errs[i]
			case next[i] != "":
				events, c[i] = append(events, found[i]...), next[i]
				left[i] = len(found[i]) == share
			}
			if left[i] {
				n++
			}
		}
	}
	if err := everywhere(failed); err != nil {
		return nil, "", err
	}
	return events, s.format(c), nil
}
