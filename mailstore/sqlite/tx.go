package sqlite

import (
	"time"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/feedcodec"
	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
)

// A tx is one request's part of a transaction. It is used by the writer's
// goroutine while the request runs.
type tx struct {
	w      *writer
	c      *sqlite3.Conn
	s      *Store
	now    time.Time
	events []mailbox.Event
}

// exec runs a statement that changes something.
func (t *tx) exec(sql string, args ...any) error {
	t.w.dirty = true
	return t.c.Exec(sql, args...)
}

// row gives the first row to scan and reports whether there was one.
func (t *tx) row(sql string, scan func(*sqlite3.Stmt), args ...any) (bool, error) {
	return row(t.c, sql, scan, args...)
}

// rows gives each row to scan, which must not use the same SQL.
func (t *tx) rows(sql string, scan func(*sqlite3.Stmt) error, args ...any) error {
	return rows(t.c, sql, scan, args...)
}

func row(c *sqlite3.Conn, sql string, scan func(*sqlite3.Stmt), args ...any) (bool, error) {
	st, err := c.Prepare(sql)
	if err != nil {
		return false, err
	}
	st.Start(args...)
	defer st.Reset()
	ok, err := st.Step()
	if ok {
		scan(st)
	}
	return ok, err
}

func rows(c *sqlite3.Conn, sql string, scan func(*sqlite3.Stmt) error, args ...any) error {
	st, err := c.Prepare(sql)
	if err != nil {
		return err
	}
	st.Start(args...)
	defer st.Reset()
	for {
		if ok, err := st.Step(); err != nil || !ok {
			return err
		}
		if err := scan(st); err != nil {
			return err
		}
	}
}

// emit adds an event to the feed and to what is published after the commit.
func (t *tx) emit(e mailbox.Event) error {
	t.w.seq++
	if err := t.exec(`INSERT INTO feed (seq, at, event) VALUES (?, ?, ?)`, t.w.seq, t.now.UnixMicro(), feedcodec.Encode(e)); err != nil {
		return err
	}
	t.events = append(t.events, e)
	return nil
}
