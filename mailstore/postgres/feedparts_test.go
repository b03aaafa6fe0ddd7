package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/feedcodec"
)

// parts lists the partitions of the feed that there are, the first one first.
func parts(t *testing.T, s *Store) (names []string) {
	t.Helper()
	rows, err := s.pool.Query(t.Context(), `SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		LEFT JOIN feed_parts p ON p.name = c.relname WHERE i.inhparent = 'feed'::regclass ORDER BY p.until, c.relname`)
	if err != nil {
		t.Fatal(err)
	}
	names, err = pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestFeedMigration divides a feed into partitions while somebody writes to it:
// nothing is lost, and the order stays.
func TestFeedMigration(t *testing.T) {
	url := database(t)
	exec(t, url, `DROP SCHEMA public CASCADE`)
	exec(t, url, `CREATE SCHEMA public`)
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	db, p, err := schema(config)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := p.UpTo(t.Context(), feedMigration-1); err != nil {
		t.Fatal(err)
	}
	system := mailbox.NewID()
	exec(t, url, `INSERT INTO store (one, system, line, life) SELECT 1, $1, 1, `+lifeQuery, system[:])
	ctx, stop := context.WithCancel(t.Context())
	begun := make(chan struct{})
	var wg sync.WaitGroup
	var last [2]int
	for w := range last {
		wg.Go(func() {
			c, err := pgx.ConnectConfig(context.Background(), config)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close(context.Background())
			for ctx.Err() == nil {
				e := mailbox.Event{Kind: mailbox.EventSubscribed, Name: fmt.Sprint(w, "-", last[w])}
				if _, err := c.Exec(context.Background(), `INSERT INTO feed (event) VALUES ($1)`, feedcodec.Encode(e)); err != nil {
					t.Error(err)
					return
				}
				if last[w]++; last[w] == 50 && w == 0 {
					close(begun)
				}
			}
		})
	}
	<-begun
	s := open(t, Options{URL: url})
	stop()
	wg.Wait()
	if names := parts(t, s); len(names) < 2 || names[0] != "feed_first" {
		t.Errorf("partitions %v", names)
	}
	end, err := s.FeedEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at, _ := parsePlace(end)
	at.seen = view{xmax: 1}
	events, _, err := s.ReadFeed(t.Context(), at.cursor(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var next [2]int
	for _, e := range events {
		var w, n int
		if _, err := fmt.Sscanf(e.Name, "%d-%d", &w, &n); err != nil || n != next[w] {
			t.Fatalf("event %q, want %d of writer %d", e.Name, next[w], w)
		}
		next[w]++
	}
	if next != last {
		t.Errorf("%v events are there, %v were written", next, last)
	}
}

// feedMigration is the number of the migration that divides the feed.
const feedMigration = 5

// TestFeedParts trims the feed by partitions: not while somebody looks at it for
// long, and then at once, so that cursors from before are refused and later ones are not.
func TestFeedParts(t *testing.T) {
	s := open(t, Options{MaintainEvery: time.Hour, FeedRetention: 7 * 24 * time.Hour})
	_, inbox := addAccount(t, s, "ada")
	first, err := s.FeedEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	add(t, s, inbox, mail(1, 100))
	names := parts(t, s)
	if len(names) != feedAhead+1 {
		t.Fatalf("partitions %v, want %d", names, feedAhead+1)
	}
	maintain := func() {
		t.Helper()
		if err := s.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	maintain()
	if now := parts(t, s); strings.Join(now, " ") != strings.Join(names, " ") {
		t.Errorf("maintenance without need made %v of %v", now, names)
	}
	exec(t, s.o.URL, `CREATE TABLE feed_old (LIKE feed INCLUDING ALL)`)
	exec(t, s.o.URL, `ALTER TABLE feed ATTACH PARTITION feed_old FOR VALUES FROM (MINVALUE) TO ('2026-01-02')`)
	exec(t, s.o.URL, `INSERT INTO feed_parts VALUES ('feed_old', '-infinity', '2026-01-02')`)
	exec(t, s.o.URL, `INSERT INTO feed (at, event) VALUES ('2026-01-01', $1)`, feedcodec.Encode(mailbox.Event{Kind: mailbox.EventQuotaChanged}))
	c, err := pgx.Connect(t.Context(), s.o.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(t.Context(), `BEGIN; SELECT count(*) FROM feed`); err != nil {
		t.Fatal(err)
	}
	maintain()
	if now := parts(t, s); now[0] != "feed_old" {
		t.Errorf("trimmed under somebody's eyes: %v", now)
	}
	if _, err := c.Exec(t.Context(), `COMMIT`); err != nil {
		t.Fatal(err)
	}
	maintain()
	if now := parts(t, s); now[0] != names[0] {
		t.Errorf("not trimmed: %v", now)
	}
	if _, _, err := s.ReadFeed(t.Context(), first, 10); mailbox.KindOf(err) != mailbox.NonExistent {
		t.Errorf("a cursor from before: %v", err)
	}
	// There is no partition for now: it is made when a row comes.
	for _, known := range []bool{true, false} {
		last, err := s.FeedEnd(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !known {
			s.known.forget(inbox)
		}
		add(t, s, inbox, mail(2, 100))
		if events, _, err := s.ReadFeed(t.Context(), last, 10); err != nil || len(events) != 1 {
			t.Errorf("%d events, %v", len(events), err)
		}
		for _, name := range parts(t, s) {
			exec(t, s.o.URL, `DELETE FROM feed_parts WHERE name = $1`, name)
			exec(t, s.o.URL, `DROP TABLE `+name)
		}
	}
	if list := check(t, s, false); len(list) > 0 {
		t.Errorf("%+v", list)
	}
}

// TestFeedPlan wants the feed to be read by its index, in each partition.
func TestFeedPlan(t *testing.T) {
	s := open(t, Options{MaintainEvery: time.Hour})
	_, inbox := addAccount(t, s, "ada")
	for n := range 20 {
		add(t, s, inbox, mail(n, 100))
	}
	query := strings.NewReplacer("$1", "'9'", "$2", "'{3,4}'", "$3", "'99'", "$4", "'{5}'", "$5", "0", "$6", "100").Replace(feedRows)
	for _, sql := range []string{query, feedQuery} {
		if err := s.session(t.Context(), func(c *pgx.Conn) error {
			rows, err := c.Query(t.Context(), `EXPLAIN `+sql)
			if err != nil {
				return err
			}
			plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if text := strings.Join(plan, "\n"); strings.Contains(text, "Seq Scan on feed") || strings.Count(text, "Index") < feedAhead {
				t.Errorf("%s\nis done so:\n%s", sql, text)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	}
}
