package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The feed is kept in partitions by time, of which there is always one for now.
const (
	// feedParts is how many partitions the retention is divided into: so much longer than that, at most, are rows kept.
	feedParts = 7
	// minFeedPart is the shortest time of a partition.
	minFeedPart = time.Second
	// feedAhead is how many partitions are made before their time.
	feedAhead = 2
	// feedLockTimeout bounds how long writers wait while a partition is dropped.
	feedLockTimeout = 100 * time.Millisecond
)

// extendFeed makes the partitions that are needed now and will be next. Writers do
// not wait for it: attaching a table that is empty locks nobody out.
func (t *tx) extendFeed() (more bool, err error) {
	var now time.Time
	var covered bool
	var before, after, last *time.Time // ends of partitions around now, and of the last one
	if err := t.rows(`SELECT n.now, EXISTS (SELECT FROM feed_parts WHERE since <= n.now AND until > n.now), (SELECT max(until) FROM feed_parts WHERE until <= n.now),
		(SELECT min(since) FROM feed_parts WHERE since > n.now), (SELECT max(until) FROM feed_parts) FROM (SELECT clock_timestamp() AS now) AS n`,
		func(r pgx.Rows) error { return r.Scan(&now, &covered, &before, &after, &last) }); err != nil {
		return false, err
	}
	part := max(t.s.o.FeedRetention/feedParts, minFeedPart).Truncate(time.Microsecond)
	if !covered {
		from := now.Truncate(time.Second)
		if before != nil && before.After(from) {
			from = *before
		}
		until := from.Add(part)
		if after != nil && after.Before(until) {
			until = *after
		}
		t.makePart(from, until)
		if last == nil || last.Before(until) {
			last = &until
		}
	}
	for from := *last; from.Before(now.Add(feedAhead * part)); from = from.Add(part) {
		t.makePart(from, from.Add(part))
	}
	return false, nil
}

// makePart queues the making of a partition.
func (t *tx) makePart(from, until time.Time) {
	const form = "2006-01-02 15:04:05.999999Z07:00"
	from, until = from.UTC(), until.UTC()
	name := from.Format("feed_20060102t150405.000000")
	name = strings.Replace(name, ".", "_", 1)
	t.exec(`CREATE TABLE ` + name + ` (LIKE feed INCLUDING ALL)`)
	t.exec(`ALTER TABLE feed ATTACH PARTITION ` + name + ` FOR VALUES FROM ('` + from.Format(form) + `') TO ('` + until.Format(form) + `')`)
	t.exec(`INSERT INTO feed_parts (name, since, until) VALUES ($1, $2, $3)`, name, from, until)
}

// trimFeed drops the oldest partition if all in it has passed its time. Where
// somebody looks at the feed for long, such as a dump, it is tried again at the next maintenance.
func (t *tx) trimFeed() (more bool, err error) {
	var name string
	if err := t.rows(`SELECT name FROM feed_parts WHERE until <= clock_timestamp() - $1 * interval '1 microsecond' ORDER BY until LIMIT 1`,
		func(r pgx.Rows) error { return r.Scan(&name) }, ago(t.s.o.FeedRetention)); err != nil || name == "" {
		return false, err
	}
	t.exec(`SELECT FROM store FOR UPDATE`) // before the feed, as others do
	t.exec(fmt.Sprintf(`SET LOCAL lock_timeout = %d`, feedLockTimeout.Milliseconds()))
	t.exec(`LOCK TABLE feed IN ACCESS EXCLUSIVE MODE`)
	t.exec(`UPDATE store SET feed_floor = lost.xid FROM (SELECT xid FROM ` + name + ` ORDER BY xid DESC LIMIT 1) AS lost WHERE feed_floor < lost.xid`)
	t.exec(`DROP TABLE ` + name)
	t.exec(`DELETE FROM feed_parts WHERE name = $1`, name)
	return true, nil
}

// noPart reports whether a row of the feed found no partition: those that were
// made ahead are used up, as no node was there for long, or the clock was set.
func noPart(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == stateCheck && pg.TableName == "feed"
}

// partFeed makes partitions at once.
func (s *Store) partFeed(ctx context.Context) error {
	return s.step(ctx, func(t *tx) error {
		_, err := t.extendFeed()
		return err
	})
}
