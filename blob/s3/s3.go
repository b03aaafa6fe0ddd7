// Package s3 keeps blobs in a bucket of an S3-compatible object store, one
// object each.
//
// A blob that is deleted while this process has it open goes when it is closed. Other processes are not known here:
// whoever deletes must leave readers elsewhere time, as mailstore/postgres does.
//
// An upload that is interrupted by the end of the process leaves its parts behind, unseen. A lifecycle rule of the
// bucket (AbortIncompleteMultipartUpload) clears them away.
package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/mailbox"
)

// A Store keeps blobs in one bucket, below one prefix. Any number of Stores may
// share them.
type Store struct {
	o       Options
	core    minio.Core
	buffers sync.Pool // of *[]byte, PartSize long

	mu   sync.Mutex
	open map[blob.ID]*holding
}

// A holding says that a blob is open here.
type holding struct {
	readers int
	doomed  bool // it is deleted when the last reader has closed it
}

// Open returns the store in a bucket, and fails if the bucket cannot be reached
// or is not there.
func Open(ctx context.Context, o Options) (*Store, error) {
	const op = "open blobs"
	s := &Store{o: o.withDefaults(), open: make(map[blob.ID]*holding)}
	s.buffers.New = func() any {
		b := make([]byte, s.o.PartSize)
		return &b
	}
	var creds *credentials.Credentials
	if o.AccessKey != "" || o.SecretKey != "" {
		creds = credentials.NewStaticV4(o.AccessKey, o.SecretKey, "")
	} else {
		creds = credentials.NewIAM("")
	}
	options := &minio.Options{Creds: creds, Secure: !o.Insecure, Region: o.Region,
		Transport: timed{s.o.Transport, s.o.Timeout}, MaxRetries: s.o.Retries}
	if o.PathStyle {
		options.BucketLookup = minio.BucketLookupPath
	}
	client, err := minio.New(o.Endpoint, options)
	if err != nil {
		return nil, failure(op, err)
	}
	s.core = minio.Core{Client: client}
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	there, err := client.BucketExists(ctx, o.Bucket)
	if err != nil {
		return nil, failure(op, err)
	}
	if !there {
		return nil, &mailbox.Error{Kind: mailbox.NonExistent, Op: op, Err: fmt.Errorf("there is no bucket %q", o.Bucket)}
	}
	return s, nil
}

func (s *Store) name(id blob.ID) string { return s.o.Prefix + id.String() }

// Put implements blob.Store. A blob of up to Options.PartSize is one request.
func (s *Store) Put(ctx context.Context, id blob.ID, r io.Reader) (int64, error) {
	const op = "store blob"
	if err := ctx.Err(); err != nil {
		return 0, failure(op, err)
	}
	buf := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buf)
	src := &source{r: r}
	n, err := io.ReadFull(src, *buf)
	var info minio.UploadInfo
	switch {
	case src.err != nil && src.err != io.EOF:
		return 0, src.err
	case err != nil: // the whole is shorter
		info, err = s.core.Client.PutObject(ctx, s.o.Bucket, s.name(id), bytes.NewReader((*buf)[:n]), int64(n), minio.PutObjectOptions{})
	default:
		info, err = s.core.Client.PutObject(ctx, s.o.Bucket, s.name(id), io.MultiReader(bytes.NewReader(*buf), src), -1,
			minio.PutObjectOptions{PartSize: uint64(s.o.PartSize)})
	}
	if err == nil && info.Size != src.n {
		err = fmt.Errorf("%d of %d bytes were stored", info.Size, src.n)
	}
	if src.err != nil && src.err != io.EOF {
		err = src.err
	}
	if err == nil {
		return src.n, nil
	}
	s.undo(ctx, id)
	if err == src.err {
		return 0, err
	}
	return 0, failure(op, err)
}

// undo removes what a failed Put may have left. What cannot be removed now is an
// orphan, or parts that were never joined.
func (s *Store) undo(ctx context.Context, id blob.ID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.Timeout)
	defer cancel()
	_ = s.core.Client.RemoveIncompleteUpload(ctx, s.o.Bucket, s.name(id))
	_ = s.core.Client.RemoveObject(ctx, s.o.Bucket, s.name(id), minio.RemoveObjectOptions{})
}

// A source remembers how much was read and what ended it.
type source struct {
	r   io.Reader
	n   int64
	err error
}

func (s *source) Read(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(b)
	s.n += int64(n)
	s.err = err
	return n, err
}

// Open implements blob.Store. It reads the first Options.Chunk bytes, in one
// request.
func (s *Store) Open(ctx context.Context, id blob.ID) (blob.Blob, error) {
	const op = "open blob"
	if !s.hold(id) {
		return nil, &mailbox.Error{Kind: mailbox.NonExistent, Op: op, Err: errors.New("the blob is deleted")}
	}
	o := &opened{s: s, ctx: context.WithoutCancel(ctx), id: id}
	first, err := s.first(ctx, o)
	if err != nil {
		s.letGo(o.ctx, id)
		return nil, failure(op, err)
	}
	o.chunk = first
	return o, nil
}

// hold notes that a blob is open. It reports false if the blob is deleted.
func (s *Store) hold(id blob.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.open[id]
	switch {
	case h == nil:
		s.open[id] = &holding{readers: 1}
	case h.doomed:
		return false
	default:
		h.readers++
	}
	return true
}

// letGo ends what hold began, and deletes the blob if that has been asked for.
func (s *Store) letGo(ctx context.Context, id blob.ID) {
	s.mu.Lock()
	h := s.open[id]
	h.readers--
	last := h.readers == 0
	if last && !h.doomed {
		delete(s.open, id)
	}
	s.mu.Unlock()
	if last && h.doomed {
		// Until it is gone it stays among those that cannot be opened. If it cannot be
		// deleted it is an orphan.
		_ = s.remove(ctx, id)
		s.mu.Lock()
		delete(s.open, id)
		s.mu.Unlock()
	}
}

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, id blob.ID) error {
	s.mu.Lock()
	if h := s.open[id]; h != nil {
		h.doomed = true
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	return failure("delete blob", s.remove(ctx, id))
}

func (s *Store) remove(ctx context.Context, id blob.ID) error {
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	err := s.core.Client.RemoveObject(ctx, s.o.Bucket, s.name(id), minio.RemoveObjectOptions{})
	if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
		return nil
	}
	return err
}

// List implements blob.Store.
func (s *Store) List(ctx context.Context) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		for o := range s.core.Client.ListObjectsIter(ctx, s.o.Bucket, minio.ListObjectsOptions{Prefix: s.o.Prefix, Recursive: true}) {
			if o.Err != nil {
				yield(blob.Info{}, failure("list blobs", o.Err))
				return
			}
			id, err := blob.ParseID(strings.TrimPrefix(o.Key, s.o.Prefix))
			if err != nil || s.doomed(id) {
				continue // not ours, or deleted
			}
			if !yield(blob.Info{ID: id, Size: o.Size, Modified: o.LastModified}, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(blob.Info{}, failure("list blobs", err))
		}
	}
}

func (s *Store) doomed(id blob.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.open[id]
	return h != nil && h.doomed
}
