package memory

import (
	"bytes"
	"context"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/mailbox"
)

// blobs holds the large drafts until they are discarded; the messages that were made of
// them share their bytes. It implements blob.Store.
type blobs struct {
	mu sync.Mutex
	m  map[blob.ID]kept
}

type kept struct {
	data     []byte // never changed
	modified time.Time
}

// Put implements blob.Store.
func (b *blobs) Put(_ context.Context, id blob.ID, r io.Reader) (int64, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.m[id] = kept{data, time.Now()}
	return int64(len(data)), nil
}

// bytes returns a blob's bytes, which must not be changed.
func (b *blobs) bytes(id blob.ID) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.m[id].data
}

// Open implements blob.Store.
func (b *blobs) Open(_ context.Context, id blob.ID) (blob.Blob, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k, ok := b.m[id]
	if !ok {
		return nil, refuse(mailbox.NonExistent, "open blob", "")
	}
	return body{bytes.NewReader(k.data)}, nil
}

// Delete implements blob.Store.
func (b *blobs) Delete(_ context.Context, id blob.ID) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.m, id)
	return nil
}

// List implements blob.Store.
func (b *blobs) List(context.Context) iter.Seq2[blob.Info, error] {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []blob.Info
	for id, k := range b.m {
		list = append(list, blob.Info{ID: id, Size: int64(len(k.data)), Modified: k.modified})
	}
	return func(yield func(blob.Info, error) bool) {
		for _, i := range list {
			if !yield(i, nil) {
				return
			}
		}
	}
}

// A body is a message's bytes, or a blob's.
type body struct{ *bytes.Reader }

// Close implements io.Closer.
func (body) Close() error { return nil }
