package sqlite3

import (
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// A Stmt is a prepared statement of a Conn. It is used as
//
//	s.Start(args...)
//	defer s.Reset()
//	for { row, err := s.Step() ... s.Int(0) ... }
type Stmt struct {
	c    *Conn
	p    uintptr
	room uintptr // C memory that holds the bytes of the arguments
	size int     // of room
	err  error   // of Start, told by Step
}

// Start binds args to the parameters, from the first on. They may be int64,
// int, uint32, uint64 (below 2^63), bool, string, []byte (nil: NULL) and nil; bytes are copied.
func (s *Stmt) Start(args ...any) {
	s.err = s.bind(args)
}

func (s *Stmt) bind(args []any) error {
	need := 0
	for _, a := range args {
		switch v := a.(type) {
		case string:
			need += len(v)
		case []byte:
			need += len(v)
		}
	}
	if need > s.size || s.room == 0 {
		libc.Xfree(s.c.tls, s.room)
		s.size = max(2*need, 64)
		if s.room = libc.Xmalloc(s.c.tls, libc.Tsize_t(s.size)); s.room == 0 {
			s.size = 0
			return &Error{Code: lib.SQLITE_NOMEM, Text: "out of memory"}
		}
	}
	at := s.room
	for i, a := range args {
		var rc int32
		n := int32(i + 1)
		switch v := a.(type) {
		case nil:
			rc = lib.Xsqlite3_bind_null(s.c.tls, s.p, n)
		case int64:
			rc = lib.Xsqlite3_bind_int64(s.c.tls, s.p, n, v)
		case int:
			rc = lib.Xsqlite3_bind_int64(s.c.tls, s.p, n, int64(v))
		case uint32:
			rc = lib.Xsqlite3_bind_int64(s.c.tls, s.p, n, int64(v))
		case uint64:
			rc = lib.Xsqlite3_bind_int64(s.c.tls, s.p, n, int64(v))
		case bool:
			var b int64
			if v {
				b = 1
			}
			rc = lib.Xsqlite3_bind_int64(s.c.tls, s.p, n, b)
		case string:
			copy(bytesAt(at, len(v)), v)
			rc = lib.Xsqlite3_bind_text(s.c.tls, s.p, n, at, int32(len(v)), lib.SQLITE_STATIC)
			at += uintptr(len(v))
		case []byte:
			if v == nil {
				rc = lib.Xsqlite3_bind_null(s.c.tls, s.p, n)
				break
			}
			copy(bytesAt(at, len(v)), v)
			rc = lib.Xsqlite3_bind_blob(s.c.tls, s.p, n, at, int32(len(v)), lib.SQLITE_STATIC)
			at += uintptr(len(v))
		default:
			// Not with its type: then all arguments would have to live on the heap.
			return &Error{Code: lib.SQLITE_MISUSE, Text: "an argument of a type that cannot be bound"}
		}
		if rc != lib.SQLITE_OK {
			return s.c.fail(rc)
		}
	}
	return nil
}

// Step goes to the next row and reports whether there is one.
func (s *Stmt) Step() (bool, error) {
	if s.err != nil {
		return false, s.err
	}
	switch rc := lib.Xsqlite3_step(s.c.tls, s.p); rc {
	case lib.SQLITE_ROW:
		return true, nil
	case lib.SQLITE_DONE:
		return false, nil
	default:
		return false, s.c.fail(rc)
	}
}

// Reset ends the statement, so that it holds no snapshot and may be started
// again. Its arguments stay bound to memory of the statement's own.
func (s *Stmt) Reset() {
	lib.Xsqlite3_reset(s.c.tls, s.p)
}

// Int returns column i, counted from 0, as a number; NULL is 0.
func (s *Stmt) Int(i int) int64 { return lib.Xsqlite3_column_int64(s.c.tls, s.p, int32(i)) }

// Null reports whether column i is NULL.
func (s *Stmt) Null(i int) bool {
	return lib.Xsqlite3_column_type(s.c.tls, s.p, int32(i)) == lib.SQLITE_NULL
}

// Bytes returns column i, a text or a blob, in SQLite's own memory: it is valid
// until the next Step or Reset and must not be changed.
func (s *Stmt) Bytes(i int) []byte {
	p := lib.Xsqlite3_column_blob(s.c.tls, s.p, int32(i))
	n := lib.Xsqlite3_column_bytes(s.c.tls, s.p, int32(i))
	if p == 0 || n == 0 {
		return nil
	}
	return bytesAt(p, int(n))
}

// Text returns a copy of column i.
func (s *Stmt) Text(i int) string { return string(s.Bytes(i)) }

func (s *Stmt) finalize() {
	lib.Xsqlite3_finalize(s.c.tls, s.p)
	libc.Xfree(s.c.tls, s.room)
	s.p, s.room, s.size = 0, 0, 0
}

// bytesAt is C memory as a slice.
func bytesAt(p uintptr, n int) []byte { return unsafe.Slice((*byte)(pointer(p)), n) }

// pointer makes a pointer of an address in C memory, which Go's collector
// neither moves nor frees; go vet has no way to know that of a uintptr.
func pointer(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }
