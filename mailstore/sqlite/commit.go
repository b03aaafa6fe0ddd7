package sqlite

import (
	"errors"
	"time"

	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
)

// begin starts a transaction, with a new connection if the last one had to be
// given up.
func (w *writer) begin() error {
	if w.c == nil {
		if time.Since(w.tried) < reopenEvery {
			return unavailable("write", w.trouble())
		}
		if err := w.reopen(); err != nil {
			return unavailable("write", err)
		}
	}
	w.dirty, w.start = false, w.seq
	if err := w.c.Exec("BEGIN IMMEDIATE"); err != nil {
		return w.abandon(err)
	}
	return nil
}

// abandon gives the transaction up. Nothing of it was committed.
func (w *writer) abandon(cause error) error {
	if w.c.InTransaction() {
		if err := w.c.Exec("ROLLBACK"); err != nil {
			w.give(errors.Join(cause, err))
			return unavailable("write", cause)
		}
	}
	if err := w.position(); err != nil {
		w.give(errors.Join(cause, err))
	}
	return failure("write", cause)
}

// commit makes the transaction durable, or finds out whether it is.
func (w *writer) commit() error {
	// What tells later whether this was committed: the feed's last row or, for what
	// makes no event, a counter.
	seq, commits := w.seq, w.commits
	if w.dirty && seq == w.start {
		commits++
		if err := w.c.Exec(`UPDATE store SET commits = ?`, commits); err != nil {
			return w.abandon(err)
		}
	}
	err := w.c.Exec("COMMIT")
	if err == nil {
		w.commits = commits
		return nil
	}
	if db, ok := errors.AsType[*sqlite3.Error](err); ok && db.Full() {
		// The last frame was not written, so there is no commit mark.
		return w.abandon(err)
	}
	// After a failed write or fsync nobody knows what the disk holds: the commit
	// mark may be in the log although SQLite says it failed, and the system may
	// have marked pages as written that were not. A full checkpoint writes
	// everything that counts anew, and drops the rest; then the database tells.
	w.give(err)
	if e := w.reopen(); e != nil {
		return unknown("commit", errors.Join(err, e))
	}
	if w.dirty && w.seq == seq && w.commits == commits {
		return nil
	}
	return unavailable("commit", err)
}

// give closes the connection, which is not to be trusted any more.
func (w *writer) give(cause error) {
	w.s.o.Log.Error().Err(cause).Msg("mail database failed")
	cause = errors.Join(cause, w.c.Close())
	w.c = nil
	w.broken.Store(&cause)
}

// reopen connects again and makes sure that what is committed is on disk.
func (w *writer) reopen() (err error) {
	w.tried = time.Now()
	defer func() {
		if err != nil {
			w.broken.Store(&err)
		}
	}()
	if err := w.open(); err != nil {
		return err
	}
	if err := w.checkpoint(); err != nil {
		err = errors.Join(err, w.c.Close())
		w.c = nil
		return err
	}
	w.broken.Store(nil)
	w.s.o.Log.Info().Msg("mail database works again")
	return nil
}

// checkpoint moves the whole log into the database file, synced, and empties
// the log.
func (w *writer) checkpoint() error {
	st, err := w.c.Prepare("PRAGMA wal_checkpoint(TRUNCATE)")
	if err != nil {
		return err
	}
	st.Start()
	defer st.Reset()
	row, err := st.Step()
	if err != nil {
		return err
	}
	if !row || st.Int(0) != 0 {
		return errors.New("the log could not be emptied: a reader holds it")
	}
	return nil
}
