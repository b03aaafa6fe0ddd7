package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A stmt is a statement on its way to the server. Statements are prepared once
// for each connection, by their text, of which there are few.
type stmt struct {
	sql  string
	args []any
	scan func(pgx.Rows) error // called with each row; nil: rows are not looked at
}

// send sends statements in one go, so that they cost one round trip, and reads
// what they return. After the first error the server skips the rest. Without BEGIN among
// them, all are one transaction, committed if there is no error.
//
// With early set, the answer to the first statement does not wait for the rest.
//
// An error of the connection is a *connError; the connection is closed then.
func send(ctx context.Context, c *pgx.Conn, list []stmt, early bool) error {
	type bound struct {
		*pgconn.StatementDescription
		pgx.ExtendedQueryBuilder
	}
	ready := make([]bound, len(list))
	for i, st := range list {
		d, err := c.Prepare(ctx, st.sql, st.sql)
		if err != nil {
			return unsent{wireError(err)}
		}
		ready[i].StatementDescription = d
		if err := ready[i].Build(c.TypeMap(), d, st.args); err != nil {
			return fmt.Errorf("%.60q: %w", st.sql, err)
		}
	}
	p := c.PgConn().StartPipeline(ctx)
	for i, b := range ready {
		p.SendQueryStatement(b.StatementDescription, b.ParamValues, b.ParamFormats, b.ResultFormats)
		if i == 0 && early {
			p.SendFlushRequest()
		}
	}
	if err := p.Sync(); err != nil {
		return wireError(err)
	}
	first := receive(p, c, list)
	// After an error it still has to be learnt whether the connection is alive.
	if err := wireError(p.Close()); err != nil && (first == nil || severed(err) && !severed(first)) {
		first = err
	}
	return first
}

// unsent wraps an error from before the statements were sent.
type unsent struct{ error }

func (u unsent) Unwrap() error { return u.error }

// receive reads the results up to the first error.
func receive(p *pgconn.Pipeline, c *pgx.Conn, list []stmt) error {
	for _, st := range list {
		res, err := p.GetResults()
		if err != nil {
			return wireError(err)
		}
		reader, ok := res.(*pgconn.ResultReader)
		if !ok {
			return &connError{fmt.Errorf("a statement was answered with %T", res)}
		}
		rows := pgx.RowsFromResultReader(c.TypeMap(), reader)
		for rows.Next() {
			if st.scan == nil {
				continue
			}
			if err := st.scan(rows); err != nil {
				rows.Close()
				return err
			}
		}
		if err := rows.Err(); err != nil {
			return wireError(err)
		}
	}
	// The transaction's own end: an error of its commit comes here.
	res, err := p.GetResults()
	if err != nil {
		return wireError(err)
	}
	if _, ok := res.(*pgconn.PipelineSync); !ok {
		return &connError{fmt.Errorf("the end was answered with %T", res)}
	}
	return nil
}

// wireError marks what is no answer of the server as a failure of the
// connection.
func wireError(err error) error {
	if _, ok := errors.AsType[*pgconn.PgError](err); ok || err == nil {
		return err
	}
	if _, ok := errors.AsType[*connError](err); ok {
		return err
	}
	return &connError{err}
}
