package sqlite

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/feedcodec"
	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
)

// A place is what a Cursor says: a row of the feed, and its time, by which a
// store that was restored from a backup and went on differently is told from the one
// that the cursor is of.
type place struct {
	system [16]byte
	seq    int64
	at     int64
}

func (p place) cursor() mailstore.Cursor {
	return mailstore.Cursor(fmt.Sprintf("%x.%x.%x", p.system, p.seq, p.at))
}

func parsePlace(c mailstore.Cursor) (p place, ok bool) {
	var system string
	n, err := fmt.Sscanf(string(c), "%32s.%x.%x", &system, &p.seq, &p.at)
	if err != nil || n != 3 {
		return p, false
	}
	_, err = hex.Decode(p.system[:], []byte(system))
	return p, err == nil && p.cursor() == c
}

// feedEnd reads the feed's last place; the floor if it is empty.
func (s *Store) feedEnd(c *sqlite3.Conn) (place, error) {
	p := place{system: s.system}
	_, err := row(c, `SELECT seq, at FROM (SELECT seq, at FROM feed ORDER BY seq DESC LIMIT 1) UNION ALL SELECT feed_floor, feed_floor_at FROM store LIMIT 1`,
		func(r *sqlite3.Stmt) { p.seq, p.at = r.Int(0), r.Int(1) })
	return p, err
}

// FeedEnd implements mailstore.Feed.
func (s *Store) FeedEnd(ctx context.Context) (mailstore.Cursor, error) {
	var p place
	err := s.read(ctx, "read feed", func(c *sqlite3.Conn) (err error) {
		p, err = s.feedEnd(c)
		return err
	})
	return p.cursor(), err
}

// ReadFeed implements mailstore.Feed. Changes too large for the feed come
// Truncated.
func (s *Store) ReadFeed(ctx context.Context, after mailstore.Cursor, limit int) ([]mailbox.Event, mailstore.Cursor, error) {
	const op = "read feed"
	lost := refuse(mailbox.NonExistent, op, "the feed does not reach back to that place")
	p, ok := parsePlace(after)
	if !ok || p.system != s.system {
		return nil, "", lost
	}
	var events []mailbox.Event
	err := s.read(ctx, op, func(c *sqlite3.Conn) error {
		known, err := row(c, `SELECT 1 FROM feed WHERE seq = ?1 AND at = ?2 UNION ALL SELECT 1 FROM store WHERE feed_floor = ?1 AND feed_floor_at = ?2`,
			func(*sqlite3.Stmt) {}, p.seq, p.at)
		if err != nil {
			return err
		}
		if !known {
			return lost
		}
		return rows(c, `SELECT seq, at, event FROM feed WHERE seq > ? ORDER BY seq LIMIT ?`, func(r *sqlite3.Stmt) error {
			e, err := feedcodec.Decode(r.Bytes(2))
			if err != nil {
				return &mailbox.Error{Kind: mailbox.Corrupt, Op: op, Err: err}
			}
			events = append(events, e)
			p.seq, p.at = r.Int(0), r.Int(1)
			return nil
		}, p.seq, limit)
	})
	if err != nil {
		return nil, "", err
	}
	return events, p.cursor(), nil
}
