package postgres

import (
	"context"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/feedcodec"
)

// A feedState is where the feed stands at a snapshot.
type feedState struct {
	life  string
	floor uint64 // the highest transaction that has lost rows
	next  uint64 // no transaction from this one on is seen
	now   view
}

// feedQuery reads a feedState.
const feedQuery = `SELECT pg_current_snapshot()::text, ` + lifeQuery + `,
	feed_floor::text,
	coalesce((SELECT xid FROM feed ORDER BY xid DESC LIMIT 1), '0'::xid8)::text FROM store`

func (f *feedState) scan(r pgx.Rows) error {
	var snapshot, floor, last string
	if err := r.Scan(&snapshot, &f.life, &floor, &last); err != nil {
		return err
	}
	var numbers [3]uint64
	xmax, _, _ := strings.Cut(snapshot[strings.IndexByte(snapshot, ':')+1:], ":")
	for i, text := range []string{floor, last, xmax} {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return err
		}
		numbers[i] = n
	}
	f.floor, f.next = numbers[0], numbers[2]
	var err error
	f.now, err = viewOf(snapshot, max(numbers[0], numbers[1]))
	return err
}

// feedRows reads the rows that one view does not see and another does. An index
// on each partition finds them.
const feedRows = `SELECT seq, event FROM ((SELECT * FROM feed WHERE xid >= $1::text::xid8 OFFSET 0)
		UNION ALL (SELECT * FROM feed WHERE xid = ANY($2::text[]::xid8[]) OFFSET 0)) AS f
	WHERE xid < $3::text::xid8 AND xid <> ALL($4::text[]::xid8[]) AND seq > $5 ORDER BY seq LIMIT $6`

// FeedEnd implements mailstore.Feed.
func (s *Store) FeedEnd(ctx context.Context) (mailstore.Cursor, error) {
	var f feedState
	if err := s.readAll(ctx, "read feed", []stmt{{sql: feedQuery, scan: f.scan}}); err != nil {
		return "", err
	}
	return place{system: s.system, life: f.life, seen: f.now}.cursor(), nil
}

// ReadFeed implements mailstore.Feed. Changes too large for the feed come
// Truncated.
//
// Transactions commit in another order than their rows are numbered in, so a
// number is no cursor. A cursor is the view up to which all is read. What has become visible since
// is read in the order of the numbers: they are drawn with the mailbox locked, so that
// is each mailbox's own order.
func (s *Store) ReadFeed(ctx context.Context, after mailstore.Cursor, limit int) ([]mailbox.Event, mailstore.Cursor, error) {
	const op = "read feed"
	lost := refuse(mailbox.NonExistent, op, "the feed does not reach back to that place")
	p, ok := parsePlace(after)
	if !ok || p.system != s.system {
		return nil, "", lost
	}
	until := everything
	if p.until != nil {
		until = *p.until
	}
	var f feedState
	var events []mailbox.Event
	more := false
	last := p.seq
	seenMax, seenRunning := p.seen.args()
	untilMax, untilRunning := until.args()
	if err := s.readAll(ctx, op, []stmt{
		{sql: feedQuery, scan: f.scan},
		{sql: feedRows, args: []any{seenMax, seenRunning, untilMax, untilRunning, p.seq, int64(limit) + 1}, scan: func(r pgx.Rows) error {
			if more = len(events) == limit; more {
				return nil
			}
			var b []byte
			if err := r.Scan(&last, &b); err != nil {
				return err
			}
			e, err := feedcodec.Decode(b)
			if err != nil {
				return corrupt(op, err)
			}
			events = append(events, e)
			return nil
		}},
	}); err != nil {
		return nil, "", err
	}
	if p.life != f.life || p.seen.xmax > f.next || f.floor >= p.seen.first() {
		return nil, "", lost
	}
	switch {
	case len(events) == 0 && p.until == nil:
		return nil, after, nil
	case p.until == nil:
		p.until = &f.now
	}
	p.seq = last
	if !more {
		p.seen, p.until, p.seq = *p.until, nil, 0
	}
	return events, p.cursor(), nil
}
