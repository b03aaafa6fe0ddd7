// Package fs keeps blobs as files: blobs/ab/cdef..., 256 folders, each blob
// written under a temporary name, synced, renamed, and its folder synced.
package fs

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"sync"
	"syscall"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/mailbox"
)

// A Store keeps blobs below one folder, which is its own.
type Store struct {
	files    Files
	incoming string // folder of this Store's unfinished blobs

	mu     sync.Mutex
	shards map[string]bool // folders that are known to exist durably
}

// incoming is the folder of unfinished blobs, or how its name begins.
const incoming = "incoming"

// Open returns the store in the folder of files, OS(folder) in service. What
// was left unfinished there by a process that died is removed, so only one Store may use a folder.
func Open(files Files) (*Store, error) { return openAs(files, incoming) }

// OpenShared is Open for one of several nodes that share the folder, each by a name
// of its own, which can be that of a file.
func OpenShared(files Files, node string) (*Store, error) {
	return openAs(files, incoming+"-"+node)
}

func openAs(files Files, incoming string) (*Store, error) {
	s := &Store{files: files, incoming: incoming, shards: make(map[string]bool)}
	if err := s.folder(incoming); err != nil {
		return nil, failure("open blobs", err)
	}
	left, err := files.ReadDir(incoming)
	if err != nil {
		return nil, failure("open blobs", err)
	}
	for _, e := range left {
		if err := files.Remove(path.Join(incoming, e.Name())); err != nil {
			return nil, failure("open blobs", err)
		}
	}
	return s, nil
}

// folder makes a folder durably; doing so once is enough.
func (s *Store) folder(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shards[name] {
		return nil
	}
	if err := s.files.Mkdir(name); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := s.files.SyncDir("."); err != nil {
		return err
	}
	s.shards[name] = true
	return nil
}

// place returns the folder and the file of a blob.
func place(id blob.ID) (dir, file string) {
	name := id.String()
	return name[:2], path.Join(name[:2], name[2:])
}

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, id blob.ID, r io.Reader) (n int64, err error) {
	const op = "store blob"
	dir, file := place(id)
	if err := s.folder(dir); err != nil {
		return 0, failure(op, err)
	}
	tmp := path.Join(s.incoming, id.String())
	f, err := s.files.Create(tmp)
	if err != nil {
		return 0, failure(op, err)
	}
	w := &writer{ctx: ctx, f: f}
	n, err = io.Copy(w, r)
	switch {
	case w.err != nil:
		err = failure(op, w.err)
	case err == nil:
		if err = f.Sync(); err != nil {
			err = failure(op, err)
		}
	}
	if e := f.Close(); err == nil && e != nil {
		err = failure(op, e)
	}
	if err == nil {
		if e := s.publish(tmp, dir, file); e != nil {
			err = failure(op, e)
		}
	}
	if err != nil {
		s.files.Remove(tmp) // may be gone already; Open removes it at last
		return 0, err
	}
	return n, nil
}

// publish gives a synced file its name, durably.
func (s *Store) publish(tmp, dir, file string) error {
	if err := s.files.Rename(tmp, file); err != nil {
		return err
	}
	if err := s.files.SyncDir(dir); err != nil {
		s.files.Remove(file)
		return err
	}
	return nil
}

// A writer tells errors of the file from those of the reader, and stops when
// ctx ends.
type writer struct {
	ctx context.Context
	f   File
	err error
}

func (w *writer) Write(b []byte) (n int, err error) {
	if err = w.ctx.Err(); err == nil {
		n, err = w.f.Write(b)
	}
	w.err = err
	return n, err
}

// Open implements blob.Store.
func (s *Store) Open(_ context.Context, id blob.ID) (blob.Blob, error) {
	const op = "open blob"
	_, file := place(id)
	f, err := s.files.Open(file)
	if err != nil {
		return nil, failure(op, err)
	}
	size, err := f.Size()
	if err != nil {
		f.Close()
		return nil, failure(op, err)
	}
	return &opened{f, size}, nil
}

type opened struct {
	File
	size int64
}

func (o *opened) Size() int64 { return o.size }

// Delete implements blob.Store. A deletion that a power loss undoes leaves a
// blob without an owner, which is found by a check; so no folder is synced.
func (s *Store) Delete(_ context.Context, id blob.ID) error {
	_, file := place(id)
	if err := s.files.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failure("delete blob", err)
	}
	return nil
}

// List implements blob.Store.
func (s *Store) List(ctx context.Context) iter.Seq2[blob.Info, error] {
	const op = "list blobs"
	return func(yield func(blob.Info, error) bool) {
		for i := range 256 {
			dir := hex.EncodeToString([]byte{byte(i)})
			entries, err := s.files.ReadDir(dir)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(blob.Info{}, failure(op, err))
				return
			}
			for _, e := range entries {
				id, err := blob.ParseID(dir + e.Name())
				if err != nil {
					continue // not ours
				}
				fi, err := e.Info()
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err != nil {
					yield(blob.Info{}, failure(op, err))
					return
				}
				if !yield(blob.Info{ID: id, Size: fi.Size(), Modified: fi.ModTime()}, nil) {
					return
				}
			}
		}
	}
}

// failure gives an error of the file system its kind.
func failure(op string, err error) error {
	kind := mailbox.Other
	text := ""
	switch {
	case errors.Is(err, fs.ErrNotExist):
		kind = mailbox.NonExistent
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		kind, text = mailbox.Unavailable, "the disk is full"
	case errors.Is(err, syscall.EIO), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		kind = mailbox.Unavailable
	}
	return &mailbox.Error{Kind: kind, Op: op, Text: text, Err: fmt.Errorf("blob/fs: %w", err)}
}
