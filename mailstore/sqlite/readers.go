package sqlite

import (
	"context"
	"errors"
	"sync"

	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
)

// readers are connections for reading; each is used by one caller at a time.
type readers struct {
	free chan *sqlite3.Conn
	n    int
	stop chan struct{}
	once sync.Once
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

// read runs f on one snapshot of the database.
func (s *Store) read(ctx context.Context, op string, f func(*sqlite3.Conn) error) error {
	if err := ctx.Err(); err != nil {
		return unavailable(op, err)
	}
	select {
	case <-s.readers.stop:
		return unavailable(op, errClosed)
	default:
	}
	var c *sqlite3.Conn
	select {
	case c = <-s.readers.free:
	case <-s.readers.stop:
		return unavailable(op, errClosed)
	case <-ctx.Done():
		return unavailable(op, ctx.Err())
	}
	defer func() { s.readers.free <- c }()
	if err := c.Exec("BEGIN"); err != nil {
		return failure(op, err)
	}
	err := f(c)
	if e := c.Exec("ROLLBACK"); err == nil && c.InTransaction() {
		err = e
	}
	return failure(op, err)
}
