package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// bounded gives ctx the time of a transaction, unless it has a deadline: a
// database that does not answer must not keep anybody for ever.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, s.o.Timeout)
}

// read runs statements that only read, in one round trip. Each sees what is
// committed when it begins.
func (s *Store) read(ctx context.Context, op string, list []stmt) (err error) {
	defer func() { s.tally.Read(err) }()
	if err := ctx.Err(); err != nil {
		return unavailable(op, err)
	}
	if s.lanes.closed() {
		return unavailable(op, errClosed)
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	seen := false
	once := make([]stmt, len(list))
	for i, st := range list {
		once[i] = st
		if st.scan != nil {
			once[i].scan = func(r pgx.Rows) error {
				seen = true
				return st.scan(r)
			}
		}
	}
	run := func(c *pgx.Conn) error {
		err := send(ctx, c, once, false)
		if err != nil && !c.IsClosed() && c.PgConn().TxStatus() != 'I' {
			_ = c.PgConn().Exec(ctx, `rollback`).Close()
		}
		return err
	}
	err = s.session(ctx, run)
	if severed(err) && !seen && ctx.Err() == nil { // perhaps that of a server that is gone, and another is there
		err = s.session(ctx, run)
	}
	return failure(op, err)
}

// readAll runs statements that only read, on one snapshot, in one round trip.
func (s *Store) readAll(ctx context.Context, op string, list []stmt) error {
	all := make([]stmt, 0, len(list)+2)
	all = append(all, stmt{sql: `begin isolation level repeatable read read only`})
	all = append(all, list...)
	return s.read(ctx, op, append(all, stmt{sql: `commit`}))
}
