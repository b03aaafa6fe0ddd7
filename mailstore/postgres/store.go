// Package postgres keeps mail in PostgreSQL, for any number of nodes at once.
// Metadata and small bodies are in the database, large bodies in a blob store that all
// nodes share.
//
// The row of a mailbox is locked by each change, which gives the mailbox its
// one order; then, if usage changes, the row of its account. On one node the requests for a
// mailbox wait in a lane, and what waits together is committed together. A node that was
// the last to write to a mailbox knows its row, and appends in one round trip, on the
// condition that the row is still so.
//
// What was acknowledged is as durable as PostgreSQL's configuration makes it:
// with fsync on, which is the default, it outlives a crash of the server; to outlive the loss
// of the server it takes a synchronous standby.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/incoming"
)

// connectTimeout bounds one attempt to connect, unless the URL says otherwise.
const connectTimeout = 5 * time.Second

var errClosed = errors.New("the store is closed")

// A Store is a node's access to the database. It implements mailstore.Store
// and mailstore.UIDAdopter.
type Store struct {
	o        Options
	pool     *pgxpool.Pool
	system   [16]byte
	line     atomic.Uint64 // as the last connection that was made has found it
	blobs    *blob.Meter
	tally    mailstore.Tally
	codec    *incoming.Codec
	receiver *incoming.Receiver
	lanes    lanes
	known    known

	ctx  context.Context // of transactions; it ends when Close has waited for them
	end  context.CancelFunc
	stop context.CancelFunc // ends maintenance

	tasks sync.WaitGroup
	once  sync.Once
}

var (
	_ mailstore.Store      = (*Store)(nil)
	_ mailstore.UIDAdopter = (*Store)(nil)
	_ mailstore.Meter      = (*Store)(nil)
)

// Open connects to the database and brings its schema up to date; nodes that do
// so at once wait for each other.
func Open(ctx context.Context, o Options) (*Store, error) {
	const op = "open store"
	s := &Store{o: o.withDefaults(), stop: func() {}}
	s.ctx, s.end = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.open(ctx); err != nil {
		s.Close()
		return nil, failure(op, err)
	}
	maintain, stop := context.WithCancel(s.ctx)
	s.stop = stop
	s.tasks.Go(func() { s.maintain(maintain) })
	return s, nil
}

func (s *Store) open(ctx context.Context) (err error) {
	if s.o.Blobs == nil {
		return errors.New("there is no place for large bodies")
	}
	s.blobs = blob.NewMeter(s.o.Blobs)
	if s.codec, err = incoming.NewCodec(!s.o.Uncompress); err != nil {
		return err
	}
	s.receiver = incoming.NewReceiver(s.o.Inline, s.o.Message, s.blobs, s.codec)
	config, err := pgxpool.ParseConfig(s.o.URL)
	if err != nil {
		return err // it does not hold the password
	}
	s.configure(config)
	if err := migrate(ctx, config.ConnConfig); err != nil {
		return wireError(err)
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return err
	}
	if err := s.identify(ctx); err != nil {
		return err
	}
	if err := s.partFeed(ctx); err != nil {
		return err
	}
	return s.shareBlobs(ctx)
}

// configure sets what the store relies on.
func (s *Store) configure(c *pgxpool.Config) {
	c.MaxConns = int32(s.o.Connections)
	if c.ConnConfig.ConnectTimeout == 0 {
		c.ConnConfig.ConnectTimeout = connectTimeout
	}
	ms := fmt.Sprint(s.o.Timeout.Milliseconds())
	for name, value := range map[string]string{
		"application_name": "starling",
		// A node that is cut off must not hold locks for ever.
		"idle_in_transaction_session_timeout": ms,
		"lock_timeout":                        ms,
		"statement_timeout":                   ms,
		"tcp_user_timeout":                    ms,
		"tcp_keepalives_idle":                 "30",
		"tcp_keepalives_interval":             "10",
		"tcp_keepalives_count":                "3",
		// Every statement finds its rows by a key. That must not depend on how lately the
		// planner has counted rows.
		"enable_seqscan":   "off",
		"random_page_cost": "1.1",
		"plan_cache_mode":  "force_generic_plan",
		"jit":              "off",
	} {
		if _, ok := c.ConnConfig.RuntimeParams[name]; !ok {
			c.ConnConfig.RuntimeParams[name] = value
		}
	}
	c.AfterConnect = s.greet
}

// identify reads who this store is, or decides it.
func (s *Store) identify(ctx context.Context) error {
	id, line := mailbox.NewID(), mailbox.NewID()
	var system []byte
	var number int64
	var fsync string
	var is membership
	if err := s.session(ctx, func(c *pgx.Conn) error {
		return send(ctx, c, []stmt{
			{sql: `INSERT INTO store (one, system, line, life) SELECT 1, $1, $2, ` + lifeQuery + ` WHERE NOT EXISTS (SELECT FROM store) ON CONFLICT DO NOTHING`,
				args: []any{id[:], positive(line)}},
			{sql: `SELECT system, line, shard, directory, current_setting('fsync') FROM store`, scan: func(r pgx.Rows) error {
				return r.Scan(&system, &number, &is.shard, &is.directory, &fsync)
			}},
		}, false)
	}); err != nil {
		return err
	}
	copy(s.system[:], system)
	s.line.Store(uint64(number))
	if fsync != "on" {
		s.o.Log.Warn().Msg("PostgreSQL runs with fsync off: a crash may lose acknowledged mail")
	}
	return s.belong(ctx, is)
}

// positive makes a positive number of a random id.
func positive(id mailbox.ID) int64 {
	var n uint64
	for _, b := range id[:8] {
		n = n<<8 | uint64(b)
	}
	return int64(n>>1 | 1)
}

// acquire takes a connection that the server has not closed, as far as is known
// without asking it.
func (s *Store) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	for {
		c, err := s.pool.Acquire(ctx)
		if err != nil {
			return nil, wireError(err)
		}
		//lint:ignore SA1019 Ping costs the round trip that this saves; what CheckConn misses is found and retried like any lost connection
		if c.Conn().PgConn().CheckConn() == nil {
			return c, nil
		}
		c.Conn().Close(ctx)
		c.Release()
	}
}

// session runs f with a connection of its own.
func (s *Store) session(ctx context.Context, f func(*pgx.Conn) error) error {
	c, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	// Release closes a connection that is broken or left in a transaction.
	defer c.Release()
	return f(c.Conn())
}

// Ready implements mailstore.Store: it asks the database whether it takes
// writes.
func (s *Store) Ready(ctx context.Context) error {
	const op = "ready"
	if s.lanes.closed() {
		return unavailable(op, errClosed)
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	var readOnly string
	err := s.session(ctx, func(c *pgx.Conn) error {
		return send(ctx, c, []stmt{{sql: `SELECT current_setting('transaction_read_only')`, scan: func(r pgx.Rows) error { return r.Scan(&readOnly) }}}, false)
	})
	switch {
	case err != nil:
		return unavailable(op, err)
	case readOnly != "off":
		return unavailable(op, errors.New("the database is read-only"))
	}
	return nil
}

// Stats implements mailstore.Meter.
func (s *Store) Stats() mailstore.Stats {
	out := s.tally.Stats()
	p := s.pool.Stat()
	out.Waiting = s.lanes.waiting()
	out.Pool = mailstore.Pool{Open: int(p.TotalConns()), Used: int(p.AcquiredConns()), Max: int(p.MaxConns()),
		Opened: uint64(p.NewConnsCount()), Waits: uint64(p.EmptyAcquireCount()), Waited: p.EmptyAcquireWaitTime()}
	return out
}

// Blobs returns figures of the large bodies' store.
func (s *Store) Blobs() blob.Stats { return s.blobs.Stats() }

// Close implements mailstore.Store. It may be called twice.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.stop()
		s.lanes.close()
		s.tasks.Wait()
		s.end()
		if s.pool != nil {
			s.pool.Close()
		}
		if s.codec != nil {
			s.codec.Close()
		}
	})
	return nil
}
