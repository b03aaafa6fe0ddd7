package sqlite3

import (
	"fmt"

	lib "modernc.org/sqlite/lib"
)

// An Error is what SQLite returned.
type Error struct {
	Code  int    // the extended result code
	Errno int    // of the operating system, 0 where it had no part
	Text  string // in SQLite's words
}

func (e *Error) Error() string { return fmt.Sprintf("sqlite: %s (%d)", e.Text, e.Code) }

// Full reports whether there was no room: on the disk, or below a limit.
func (e *Error) Full() bool { return e.Code&0xff == lib.SQLITE_FULL }

// Constraint reports whether a UNIQUE or PRIMARY KEY constraint was hurt.
func (e *Error) Constraint() bool { return e.Code&0xff == lib.SQLITE_CONSTRAINT }

// Corrupt reports whether the database is damaged.
func (e *Error) Corrupt() bool {
	return e.Code&0xff == lib.SQLITE_CORRUPT || e.Code&0xff == lib.SQLITE_NOTADB
}

// Temporary reports whether the operation may succeed later: no room, no
// memory, an I/O error, a lock, or an interruption.
func (e *Error) Temporary() bool {
	switch e.Code & 0xff {
	case lib.SQLITE_FULL, lib.SQLITE_NOMEM, lib.SQLITE_IOERR, lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_CANTOPEN, lib.SQLITE_INTERRUPT:
		return true
	}
	return false
}
