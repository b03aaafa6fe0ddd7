package sharded

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"sync"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/mailbox"
)

// A spool keeps the bytes of large messages that are on their way in until it is known to which
// shard they go. They are in files without a name, which end with the process. It is a blob.Store that loses
// everything with a crash: nothing in it has been acknowledged.
type spool struct {
	dir   string
	mu    sync.Mutex
	files map[blob.ID]*spooled
}

// A spooled file is closed when it is neither in the spool nor open.
type spooled struct {
	*os.File
	size  int64
	users int
}

func newSpool(dir string) *spool { return &spool{dir: dir, files: make(map[blob.ID]*spooled)} }

// Put implements blob.Store.
func (s *spool) Put(_ context.Context, id blob.ID, r io.Reader) (int64, error) {
	f, err := os.CreateTemp(s.dir, "message-")
	if err != nil {
		return 0, spoolError(err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return 0, spoolError(err)
	}
	n, err := io.Copy(f, r)
	if err != nil {
		f.Close()
		if _, ours := errors.AsType[*fs.PathError](err); ours {
			err = spoolError(err)
		}
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[id] = &spooled{File: f, size: n, users: 1}
	return n, nil
}

func spoolError(err error) error {
	return &mailbox.Error{Kind: mailbox.Unavailable, Op: "receive", Err: err}
}

// Open implements blob.Store.
func (s *spool) Open(_ context.Context, id blob.ID) (blob.Blob, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[id]
	if f == nil {
		return nil, &mailbox.Error{Kind: mailbox.NonExistent, Op: "open draft"}
	}
	f.users++
	return &opened{f, s}, nil
}

// Delete implements blob.Store.
func (s *spool) Delete(_ context.Context, id blob.ID) error {
	s.mu.Lock()
	f := s.files[id]
	delete(s.files, id)
	s.mu.Unlock()
	if f == nil {
		return nil
	}
	return s.release(f)
}

// List implements blob.Store: nothing is ever forgotten here.
func (s *spool) List(context.Context) iter.Seq2[blob.Info, error] {
	return func(func(blob.Info, error) bool) {}
}

func (s *spool) release(f *spooled) error {
	s.mu.Lock()
	f.users--
	last := f.users == 0
	s.mu.Unlock()
	if last {
		return f.Close()
	}
	return nil
}

type opened struct {
	*spooled
	spool *spool
}

func (o *opened) Size() int64  { return o.size }
func (o *opened) Close() error { return o.spool.release(o.spooled) }
