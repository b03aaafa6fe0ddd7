package sqlite

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// A fileOp is something that SQLite does to one of its files.
type fileOp struct {
	kind string // "write", "sync", "truncate"
	file string // the base name
	at   int64  // offset of a write, size of a truncate
	data []byte // of a write; SQLite's memory
}

// A vfs is SQLite's usual layer to the operating system with a hand in between.
type vfs struct {
	name string
	// before is asked before each operation; what is not 0 is SQLite's error, and
	// the operation is not done. after is told of those that succeeded.
	before func(fileOp) int32
	after  func(fileOp)

	tls   *libc.TLS
	own   uintptr // our sqlite3_vfs
	base  lib.Tsqlite3_vfs
	funcs []any // keeps alive what C memory refers to
	mu    sync.Mutex
	files map[uintptr]*vfsFile // by sqlite3_file
}

type vfsFile struct {
	name    string
	base    lib.Tsqlite3_io_methods
	methods uintptr
}

// newVFS registers a layer of its own for the test.
func newVFS(t testing.TB, before func(fileOp) int32, after func(fileOp)) *vfs {
	t.Helper()
	v := &vfs{name: fmt.Sprintf("test-%p", t), before: before, after: after, tls: libc.NewTLS(), files: make(map[uintptr]*vfsFile)}
	if v.before == nil {
		v.before = func(fileOp) int32 { return 0 }
	}
	if v.after == nil {
		v.after = func(fileOp) {}
	}
	lib.Xsqlite3_initialize(v.tls)
	v.base = *(*lib.Tsqlite3_vfs)(cMemory(lib.Xsqlite3_vfs_find(v.tls, 0)))
	own := v.base
	own.FpNext = 0
	name, err := libc.CString(v.name)
	if err != nil {
		t.Fatal(err)
	}
	own.FzName = name
	own.FxOpen = cFunc(v, v.open)
	v.own = cCopy(v.tls, own)
	if rc := lib.Xsqlite3_vfs_register(v.tls, v.own, 0); rc != 0 {
		t.Fatal("vfs_register:", rc)
	}
	t.Cleanup(func() {
		lib.Xsqlite3_vfs_unregister(v.tls, v.own)
		libc.Xfree(v.tls, v.own)
		libc.Xfree(v.tls, name)
		v.tls.Close()
	})
	return v
}

// open opens a file by the usual layer and takes over what it does.
func (v *vfs) open(tls *libc.TLS, _, path, file uintptr, flags int32, out uintptr) int32 {
	rc := goFunc[func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32](v.base.FxOpen)(tls, v.own, path, file, flags, out)
	if rc != 0 || flags&(lib.SQLITE_OPEN_MAIN_DB|lib.SQLITE_OPEN_WAL) == 0 {
		return rc
	}
	head := (*lib.Tsqlite3_file)(cMemory(file))
	f := &vfsFile{name: filepath.Base(libc.GoString(path)), base: *(*lib.Tsqlite3_io_methods)(cMemory(head.FpMethods))}
	own := f.base
	own.FxWrite = cFunc(v, func(tls *libc.TLS, file, data uintptr, n int32, at int64) int32 {
		return v.do(fileOp{"write", f.name, at, unsafe.Slice((*byte)(cMemory(data)), n)}, func() int32 {
			return goFunc[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](f.base.FxWrite)(tls, file, data, n, at)
		})
	})
	own.FxTruncate = cFunc(v, func(tls *libc.TLS, file uintptr, size int64) int32 {
		return v.do(fileOp{"truncate", f.name, size, nil}, func() int32 {
			return goFunc[func(*libc.TLS, uintptr, int64) int32](f.base.FxTruncate)(tls, file, size)
		})
	})
	own.FxSync = cFunc(v, func(tls *libc.TLS, file uintptr, flags int32) int32 {
		return v.do(fileOp{"sync", f.name, 0, nil}, func() int32 {
			return goFunc[func(*libc.TLS, uintptr, int32) int32](f.base.FxSync)(tls, file, flags)
		})
	})
	own.FxClose = cFunc(v, func(tls *libc.TLS, file uintptr) int32 {
		rc := goFunc[func(*libc.TLS, uintptr) int32](f.base.FxClose)(tls, file)
		v.mu.Lock()
		defer v.mu.Unlock()
		delete(v.files, file)
		libc.Xfree(tls, f.methods)
		return rc
	})
	f.methods = cCopy(tls, own)
	head.FpMethods = f.methods
	v.mu.Lock()
	defer v.mu.Unlock()
	v.files[file] = f
	return rc
}

func (v *vfs) do(op fileOp, really func() int32) int32 {
	if rc := v.before(op); rc != 0 {
		return rc
	}
	rc := really()
	if rc == 0 {
		v.after(op)
	}
	return rc
}

// cFunc is a Go function as C memory refers to it; v keeps it alive.
func cFunc[F any](v *vfs, f F) uintptr {
	p := &struct{ f F }{f}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.funcs = append(v.funcs, p)
	return *(*uintptr)(unsafe.Pointer(p))
}

// goFunc is the reverse.
func goFunc[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&p)) }

// cCopy copies a struct into C memory.
func cCopy[T any](tls *libc.TLS, v T) uintptr {
	p := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(v)))
	*(*T)(cMemory(p)) = v
	return p
}

// cMemory is a pointer to C memory, which Go neither moves nor frees.
func cMemory(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }
