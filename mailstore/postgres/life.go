package postgres

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/mailbox"
)

// How far the numbers of mailboxes jump ahead: further than any gets between the last
// thing that a standby or a backup has and the moment when it takes over.
const (
	uidJump    = 1_000_000
	modseqJump = 1 << 32
	// jumpTimeout bounds the jump of all mailboxes.
	jumpTimeout = 10 * time.Minute
)

// lifeQuery tells one life of the database from another: it is another server
// or copy of its data, another timeline after a fail-over or a recovery to some time, or another
// table after a dump was restored.
const lifeQuery = `to_hex((SELECT system_identifier FROM pg_control_system())) || '-' ||
	ltrim(lower(substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)), '0') || '-' || to_hex('store'::regclass::oid::bigint)`

var (
	errStandby   = errors.New("the database is a standby")
	errOtherLife = errors.New("the database was restored or has failed over meanwhile")
)

// greet looks at each new connection before it is used. A standby is refused, as
// it may be behind; the first that finds the database in another life than it was has the numbers jump.
func (s *Store) greet(ctx context.Context, c *pgx.Conn) error {
	var standby bool
	// Without synchronous_commit PostgreSQL acknowledges what a crash may lose.
	if err := c.QueryRow(ctx, `SELECT pg_is_in_recovery(), set_config('synchronous_commit', CASE current_setting('synchronous_commit')
		WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)`).Scan(&standby, nil); err != nil {
		return err
	}
	if standby {
		return errStandby
	}
	var same, unknown bool
	var line int64
	err := c.QueryRow(ctx, `SELECT life = `+lifeQuery+` IS TRUE, life IS NULL, line FROM store`).Scan(&same, &unknown, &line)
	switch {
	case errors.Is(err, pgx.ErrNoRows): // identify is about to make it
		return nil
	case err != nil:
		return err
	case !same:
		if line, err = s.revive(ctx, c); err != nil {
			return err
		}
	}
	s.line.Store(uint64(line))
	return nil
}

// revive writes down the database's new life and lets the numbers of all
// mailboxes jump ahead. What was acknowledged since the backup, or by the server that failed, may be lost, but
// clients have seen it: neither a UID nor a ModSeq that was told may come again for something else.
//
//   - UIDNEXT and ModSeq jump. Changes since before are not known any more: the floor says so. All messages count as changed,
//     as any may have been another when it was told: base says so.
//   - It is another Line; ended says how far the one before it went.
//   - The feed begins anew. Its transactions may be another server's.
func (s *Store) revive(ctx context.Context, c *pgx.Conn) (line int64, err error) {
	id := mailbox.NewID()
	var same, unknown bool
	var boxes int64
	lock := []stmt{
		{sql: `begin`},
		{sql: `SET LOCAL statement_timeout = ` + strconv.FormatInt(jumpTimeout.Milliseconds(), 10)},
		{sql: `SET LOCAL lock_timeout = ` + strconv.FormatInt(jumpTimeout.Milliseconds(), 10)},
		{sql: `SELECT line FROM store FOR UPDATE`, scan: func(r pgx.Rows) error { return r.Scan(&line) }},
		// Perhaps another connection has done it meanwhile.
		{sql: `SELECT life = ` + lifeQuery + ` IS TRUE, life IS NULL FROM store`, scan: func(r pgx.Rows) error { return r.Scan(&same, &unknown) }},
	}
	if err := send(ctx, c, lock, false); err != nil {
		return 0, err
	}
	end := []stmt{{sql: `UPDATE store SET life = ` + lifeQuery}, {sql: `commit`}}
	switch {
	case same:
		end = end[1:]
	case !unknown:
		ended := line
		line = positive(id)
		end = append([]stmt{
			{sql: `UPDATE store SET line = $1, feed_floor = pg_current_xact_id()`, args: []any{line}},
			{sql: `TRUNCATE feed`},
			{sql: `WITH u AS (UPDATE mailboxes SET ended = modseq, ended_line = $4, uidnext = least(uidnext + $1, $2), modseq = modseq + $3, floor = modseq + $3, base = modseq + $3
				RETURNING 1) SELECT count(*) FROM u`, args: []any{int64(uidJump), int64(maxUID), int64(modseqJump), ended},
				scan: func(r pgx.Rows) error { return r.Scan(&boxes) }},
		}, end...)
	}
	if err := send(ctx, c, end, false); err != nil {
		return 0, err
	}
	if !same && !unknown {
		s.o.Log.Error().Int64("mailboxes", boxes).
			Msg("the database was restored from a backup or has failed over: UIDs and ModSeqs of all mailboxes have jumped ahead")
	}
	return line, nil
}
