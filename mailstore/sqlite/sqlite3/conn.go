// Package sqlite3 is a thin layer over SQLite's C interface as modernc.org/sqlite
// carries it in Go. The store uses it instead of database/sql because it must see
// whether a transaction still stands after an error, which database/sql hides, and
// because reading a row costs about a third and no allocation, instead of seven
// (BenchmarkRows).
package sqlite3

import (
	"fmt"
	"sync"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// A Conn is one connection to a database. It and its statements may be used by
// one goroutine at a time; Interrupt alone may be called from any.
type Conn struct {
	tls   *libc.TLS
	db    uintptr
	live  sync.Mutex // held by Close and by Interrupt
	slot  uintptr    // room for a pointer that SQLite returns
	stmts map[string]*Stmt
}

// Open opens the database file at path, creating it if there is none. A vfs
// other than "" names the layer to the operating system, as one that a
// test registered.
func Open(path, vfs string) (*Conn, error) {
	c := &Conn{tls: libc.NewTLS(), stmts: make(map[string]*Stmt)}
	c.slot = libc.Xmalloc(c.tls, libc.Tsize_t(unsafe.Sizeof(uintptr(0))))
	if c.slot == 0 {
		c.tls.Close()
		return nil, &Error{Code: lib.SQLITE_NOMEM, Text: "out of memory"}
	}
	if err := c.open(path, vfs); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Conn) open(path, vfs string) error {
	name, err := libc.CString(path)
	if err != nil {
		return err
	}
	defer libc.Xfree(c.tls, name)
	var layer uintptr
	if vfs != "" {
		if layer, err = libc.CString(vfs); err != nil {
			return err
		}
		defer libc.Xfree(c.tls, layer)
	}
	*(*uintptr)(pointer(c.slot)) = 0
	// One goroutine at a time, so SQLite needs no mutex of its own.
	rc := lib.Xsqlite3_open_v2(c.tls, name, c.slot, lib.SQLITE_OPEN_READWRITE|lib.SQLITE_OPEN_CREATE|lib.SQLITE_OPEN_NOMUTEX, layer)
	c.db = *(*uintptr)(pointer(c.slot)) // set even where opening failed
	if rc != lib.SQLITE_OK {
		return c.fail(rc)
	}
	lib.Xsqlite3_extended_result_codes(c.tls, c.db, 1)
	return nil
}

// Close finalizes all statements and closes the connection. A transaction that
// stands is rolled back.
func (c *Conn) Close() error {
	for _, s := range c.stmts {
		s.finalize()
	}
	c.stmts = nil
	c.live.Lock()
	defer c.live.Unlock()
	var err error
	if c.db != 0 {
		if rc := lib.Xsqlite3_close_v2(c.tls, c.db); rc != lib.SQLITE_OK {
			err = c.fail(rc)
		}
		c.db = 0
	}
	libc.Xfree(c.tls, c.slot)
	c.tls.Close()
	return err
}

// Prepare returns the statement for a piece of SQL. It is prepared once and
// belongs to the connection.
func (c *Conn) Prepare(sql string) (*Stmt, error) {
	if s, ok := c.stmts[sql]; ok {
		return s, nil
	}
	text, err := libc.CString(sql)
	if err != nil {
		return nil, err
	}
	defer libc.Xfree(c.tls, text)
	*(*uintptr)(pointer(c.slot)) = 0
	rc := lib.Xsqlite3_prepare_v3(c.tls, c.db, text, -1, lib.SQLITE_PREPARE_PERSISTENT, c.slot, 0)
	if rc != lib.SQLITE_OK {
		return nil, fmt.Errorf("prepare %q: %w", sql, c.fail(rc))
	}
	s := &Stmt{c: c, p: *(*uintptr)(pointer(c.slot))}
	c.stmts[sql] = s
	return s, nil
}

// Exec prepares sql if need be, runs it with args (see Stmt.Start) to its end,
// and passes over its rows.
func (c *Conn) Exec(sql string, args ...any) error {
	s, err := c.Prepare(sql)
	if err != nil {
		return err
	}
	s.Start(args...)
	defer s.Reset()
	for {
		if row, err := s.Step(); err != nil || !row {
			return err
		}
	}
}

// Changes returns how many rows the last statement changed.
func (c *Conn) Changes() int64 { return lib.Xsqlite3_changes64(c.tls, c.db) }

// InTransaction reports whether a transaction stands. After some errors
// (full disk, I/O, memory) SQLite has rolled it back by itself.
func (c *Conn) InTransaction() bool { return lib.Xsqlite3_get_autocommit(c.tls, c.db) == 0 }

// Interrupt makes the statement that runs fail with SQLITE_INTERRUPT. After
// Close it does nothing.
func (c *Conn) Interrupt() {
	c.live.Lock()
	defer c.live.Unlock()
	if c.db == 0 {
		return
	}
	tls := libc.NewTLS() // c.tls belongs to the goroutine that is being interrupted
	defer tls.Close()
	lib.Xsqlite3_interrupt(tls, c.db)
}

// fail makes an Error of a result code.
func (c *Conn) fail(rc int32) error {
	e := &Error{Code: int(rc), Text: libc.GoString(lib.Xsqlite3_errstr(c.tls, rc))}
	if c.db != 0 {
		e.Errno = int(lib.Xsqlite3_system_errno(c.tls, c.db))
		if msg := libc.GoString(lib.Xsqlite3_errmsg(c.tls, c.db)); msg != e.Text {
			e.Text += ": " + msg
		}
	}
	return e
}
