package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/minio/minio-go/v7"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/mailbox"
)

// An opened blob keeps the piece that was read last: what reads a blob from
// beginning to end in small steps, or a part of it again and again, makes few requests.
type opened struct {
	s    *Store
	ctx  context.Context // of all requests
	id   blob.ID
	size int64
	once sync.Once

	mu    sync.Mutex
	at    int64  // where chunk begins
	chunk []byte // replaced, never written to
}

// first reads the beginning of a blob, and learns its size.
func (s *Store) first(ctx context.Context, o *opened) ([]byte, error) {
	b := make([]byte, s.o.Chunk)
	n, header, err := s.get(ctx, o.id, b, 0)
	if resp := minio.ToErrorResponse(err); resp.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return nil, s.empty(ctx, o.id) // it has no first byte
	}
	if err != nil {
		return nil, err
	}
	_, total, _ := strings.Cut(header.Get("Content-Range"), "/")
	if total == "" { // the range was not heeded: this is the whole
		total = header.Get("Content-Length")
	}
	if o.size, err = strconv.ParseInt(total, 10, 64); err != nil {
		return nil, fmt.Errorf("size of the blob: %w", err)
	}
	if int64(n) != min(o.size, int64(len(b))) {
		return nil, fmt.Errorf("%d bytes came of %d", n, o.size)
	}
	return b[:n:n], nil
}

// empty makes sure that a blob of which nothing can be read is empty.
func (s *Store) empty(ctx context.Context, id blob.ID) error {
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	info, err := s.core.Client.StatObject(ctx, s.o.Bucket, s.name(id), minio.StatObjectOptions{})
	if err == nil && info.Size != 0 {
		err = fmt.Errorf("nothing can be read of %d bytes", info.Size)
	}
	return err
}

// get fills b from a place in a blob, in one request, and returns how much
// there was.
func (s *Store) get(ctx context.Context, id blob.ID, b []byte, at int64) (int, http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	var opts minio.GetObjectOptions
	if err := opts.SetRange(at, at+int64(len(b))-1); err != nil {
		return 0, nil, err
	}
	body, _, header, err := s.core.GetObject(ctx, s.o.Bucket, s.name(id), opts)
	if err != nil {
		return 0, nil, err
	}
	defer body.Close()
	// What ends before its length has come is a failure; a length that is less than
	// asked for may be the blob's own.
	length, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
	if err != nil {
		return 0, nil, fmt.Errorf("length of the answer: %w", err)
	}
	n, err := io.ReadFull(body, b[:min(int64(len(b)), length)])
	if err == io.EOF && length > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, header, err
}

// Size implements blob.Blob.
func (o *opened) Size() int64 { return o.size }

// ReadAt implements blob.Blob.
func (o *opened) ReadAt(p []byte, off int64) (n int, err error) {
	const op = "read blob"
	if off < 0 {
		return 0, &mailbox.Error{Kind: mailbox.Other, Op: op, Err: errors.New("negative offset")}
	}
	for n < len(p) {
		at := off + int64(n)
		if at >= o.size {
			return n, io.EOF
		}
		o.mu.Lock()
		begin, chunk := o.at, o.chunk
		o.mu.Unlock()
		if at < begin || at >= begin+int64(len(chunk)) {
			if begin, chunk, err = o.fetch(at); err != nil {
				return n, failure(op, err)
			}
		}
		n += copy(p[n:], chunk[at-begin:])
	}
	return n, nil
}

// fetch reads the piece that begins at a place.
func (o *opened) fetch(at int64) (int64, []byte, error) {
	b := make([]byte, min(int64(o.s.o.Chunk), o.size-at))
	n, _, err := o.s.get(o.ctx, o.id, b, at)
	if err != nil {
		return 0, nil, err
	}
	if n != len(b) {
		return 0, nil, fmt.Errorf("%d bytes came of %d", n, len(b))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.at, o.chunk = at, b
	return at, b, nil
}

// Close implements blob.Blob. It may be called twice.
func (o *opened) Close() error {
	o.once.Do(func() { o.s.letGo(o.ctx, o.id) })
	return nil
}
