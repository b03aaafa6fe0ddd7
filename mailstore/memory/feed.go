package memory

import (
	"context"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/feedcodec"
)

// An entry is one event of the feed.
type entry struct {
	at    time.Time
	event []byte // as feedcodec writes it: whoever reads has a copy
}

// end is how many events there ever were.
func (w *World) end() uint64 { return w.floor + uint64(len(w.feed)) }

// cursor names the place after the first n events of this world.
func (w *World) cursor(n uint64) mailstore.Cursor {
	return mailstore.Cursor(hex.EncodeToString(w.system[:]) + "." + strconv.FormatUint(n, 16))
}

// place reads what cursor wrote. It is false if the feed does not reach back to
// there.
func (w *World) place(c mailstore.Cursor) (n uint64, ok bool) {
	_, text, _ := strings.Cut(string(c), ".")
	n, err := strconv.ParseUint(text, 16, 64)
	return n, err == nil && w.cursor(n) == c && w.floor <= n && n <= w.end()
}

// FeedEnd implements mailstore.Feed.
func (s *Store) FeedEnd(ctx context.Context) (c mailstore.Cursor, err error) {
	err = s.read(ctx, "FeedEnd", func(w *World) error {
		c = w.cursor(w.end())
		return nil
	})
	return c, err
}

// ReadFeed implements mailstore.Feed. Changes too large for the feed come
// Truncated.
func (s *Store) ReadFeed(ctx context.Context, after mailstore.Cursor, limit int) ([]mailbox.Event, mailstore.Cursor, error) {
	const op = "ReadFeed"
	var events []mailbox.Event
	var next mailstore.Cursor
	err := s.read(ctx, op, func(w *World) error {
		n, ok := w.place(after)
		if !ok {
			return refuse(mailbox.NonExistent, op, "the feed does not reach back to that place")
		}
		rest := w.feed[n-w.floor:]
		for _, en := range rest[:min(limit, len(rest))] {
			e, err := feedcodec.Decode(en.event)
			if err != nil {
				return &mailbox.Error{Kind: mailbox.Corrupt, Op: op, Err: err}
			}
			events = append(events, e)
		}
		next = w.cursor(n + uint64(len(events)))
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return events, next, nil
}

// Maintain trims the feed and the expunge logs to what Options keep of them, for
// all nodes. Nobody else does it.
func (s *Store) Maintain(ctx context.Context) error {
	return s.write(ctx, "Maintain", func(t *tx) error {
		before := t.now.Add(-t.w.o.FeedRetention)
		n := 0
		for n < len(t.w.feed) && t.w.feed[n].at.Before(before) {
			n++
		}
		t.w.feed = slices.Delete(t.w.feed, 0, n)
		t.w.floor += uint64(n)

		before = t.now.Add(-t.w.o.ExpungeRetention)
		for _, b := range t.w.boxes {
			n := 0
			for n < len(b.expunged) && b.expunged[n].at.Before(before) {
				b.floor = b.expunged[n].modseq
				n++
			}
			b.expunged = slices.Delete(b.expunged, 0, n)
		}
		return nil
	})
}
