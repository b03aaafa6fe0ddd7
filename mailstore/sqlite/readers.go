package sqlite

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
)

// readers are connections for reading; each is used by one caller at a time.
type readers struct {
	free chan *sqlite3.Conn
	n    int
	// How often, and for how long in all, a caller found none free.
	waits  atomic.Uint64
	waited atomic.Int64
	stop   chan struct{}
	once   sync.Once
}

func newReaders(s *Store) (*readers, error) {
	p := &readers{free: make(chan *sqlite3.Conn, s.o.Readers), stop: make(chan struct{})}
	for range s.o.Readers {
		c, err := s.connect(s.o.ReaderCache)
		if err == nil {
			err = c.Exec("PRAGMA query_only = ON")
		}
		if err != nil {
			return nil, errors.Join(err, p.close())
		}
		p.n++
		p.free <- c
	}
	return p, nil
}

// close waits for the reads in progress.
func (p *readers) close() error {
	var errs []error
	p.once.Do(func() {
		close(p.stop)
		for range p.n {
			errs = append(errs, (<-p.free).Close())
		}
	})
	return errors.Join(errs...)
}

// take waits for a connection that is free.
func (p *readers) take(ctx context.Context) (*sqlite3.Conn, error) {
	select {
	case c := <-p.free:
		return c, nil
	default:
	}
	p.waits.Add(1)
	start := time.Now()
	defer func() { p.waited.Add(int64(time.Since(start))) }()
	select {
	case c := <-p.free:
		return c, nil
	case <-p.stop:
		return nil, errClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// figures describes the connections.
func (p *readers) figures() mailstore.Pool {
	return mailstore.Pool{Open: p.n, Used: p.n - len(p.free), Max: p.n, Opened: uint64(p.n),
		Waits: p.waits.Load(), Waited: time.Duration(p.waited.Load())}
}

// read runs f on one snapshot of the database.
func (s *Store) read(ctx context.Context, op string, f func(*sqlite3.Conn) error) (err error) {
	defer func() { s.tally.Read(err) }()
	if err := ctx.Err(); err != nil {
		return unavailable(op, err)
	}
	select {
	case <-s.readers.stop:
		return unavailable(op, errClosed)
	default:
	}
	c, err := s.readers.take(ctx)
	if err != nil {
		return unavailable(op, err)
	}
	defer func() { s.readers.free <- c }()
	if err := c.Exec("BEGIN"); err != nil {
		return failure(op, err)
	}
	err = f(c)
	if e := c.Exec("ROLLBACK"); err == nil && c.InTransaction() {
		err = e
	}
	return failure(op, err)
}
