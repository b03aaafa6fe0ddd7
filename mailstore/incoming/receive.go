// Package incoming takes messages in for the back ends that keep mail
// themselves: it streams the bytes into memory or into a blob while their structure, their
// hash and their thread are worked out, so that the transaction has only to store.
package incoming

import (
	"bytes"
	"context"
	"crypto/sha256"
	"hash"
	"io"
	"sync"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/message"
)

// A Receiver makes Drafts. Its methods may be called from any number of
// goroutines.
type Receiver struct {
	inline int
	limits message.Limits
	blobs  blob.Store
	codec  *Codec
	work   sync.Pool // of *work

	mu      sync.Mutex
	pending map[blob.ID]bool // blobs of drafts that no message owns yet
}

// work is what receiving one message needs for its time only.
type work struct {
	parser *message.Parser
	hash   hash.Hash
	buf    []byte
}

// NewReceiver returns a Receiver that keeps messages of up to inline bytes (at
// most MaxInline) in memory, packed by codec, and puts larger ones into blobs.
func NewReceiver(inline int, limits message.Limits, blobs blob.Store, codec *Codec) *Receiver {
	rc := &Receiver{inline: inline, limits: limits, blobs: blobs, codec: codec, pending: make(map[blob.ID]bool)}
	rc.work.New = func() any {
		return &work{parser: message.NewParser(limits), hash: sha256.New(), buf: make([]byte, inline+1)}
	}
	return rc
}

// Receive reads a message from src to its end. Beyond limit bytes it fails
// with kind TooBig; an error of src is returned as it is.
func (rc *Receiver) Receive(ctx context.Context, src io.Reader, limit int64) (*Draft, error) {
	w := rc.work.Get().(*work)
	defer rc.work.Put(w)
	w.parser.Reset()
	w.hash.Reset()
	in := &tap{ctx: ctx, src: src, left: limit, parser: w.parser, hash: w.hash}

	d := &Draft{rc: rc}
	n, err := io.ReadFull(in, w.buf)
	switch {
	case err == nil: // more than fits inline
		d.Blob = blob.NewID()
		rc.track(d.Blob, true)
		if _, err := rc.blobs.Put(ctx, d.Blob, io.MultiReader(bytes.NewReader(w.buf), in)); err != nil {
			rc.track(d.Blob, false)
			return nil, err
		}
	case in.err == io.EOF:
		d.Data, d.Encoding = rc.codec.Pack(w.buf[:n])
	default:
		return nil, err
	}
	d.learn(w)
	return d, nil
}

// track notes that a blob belongs to a draft, or no longer does.
func (rc *Receiver) track(id blob.ID, pending bool) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	if pending {
		rc.pending[id] = true
	} else {
		delete(rc.pending, id)
	}
}

// Pending reports whether a blob belongs to a draft in progress: it has an
// owner although no message has it.
func (rc *Receiver) Pending(id blob.ID) bool {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return rc.pending[id]
}

// A tap shows what is read from src to the parser and to the hash.
type tap struct {
	ctx    context.Context
	src    io.Reader
	left   int64 // bytes that may still come
	err    error // what src ended with
	parser *message.Parser
	hash   hash.Hash
}

func (t *tap) Read(b []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	if err := t.ctx.Err(); err != nil {
		t.err = &mailbox.Error{Kind: mailbox.Unavailable, Op: "receive", Err: err}
		return 0, t.err
	}
	n, err := t.src.Read(b)
	t.left -= int64(n)
	if t.left < 0 {
		t.err = &mailbox.Error{Kind: mailbox.TooBig, Op: "receive"}
		return 0, t.err
	}
	t.parser.Write(b[:n])
	t.hash.Write(b[:n])
	t.err = err
	return n, err
}
