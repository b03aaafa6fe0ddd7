package incoming

import (
	"context"
	"crypto/sha256"
	"sync"

	"github.com/starling-mail/starling/blob"
)

// maxThreadKeys bounds how many message IDs are looked at to find a thread.
const maxThreadKeys = 20

// A Draft is a received message with all that is stored of it. The fields must
// not be changed, but for Body.
type Draft struct {
	Bytes     int64    // of the message as it is
	Data      []byte   // the message, packed as Encoding says; nil where Blob has it
	Encoding  Encoding // of Data
	Blob      blob.ID  // zero where Data has the message
	EmailID   [16]byte // the first half of the SHA-256 of the message
	Structure []byte   // what message.Decode reads
	Preview   string
	// Thread is where a thread starts if no message of it is known.
	Thread [16]byte
	// Keys are hashes of the message IDs that belong to the thread: the
	// message's own (if HasID), then those it answers, the nearest first.
	Keys  [][16]byte
	HasID bool

	// Body is the back end's: where it stored the message last.
	Body int64

	rc        *Receiver
	mu        sync.Mutex
	users     int  // appends in progress
	owned     bool // a message owns Blob, or may own it
	discarded bool
}

// Size returns the bytes of the message.
func (d *Draft) Size() int64 { return d.Bytes }

// learn fills in what the parser and the hash found.
func (d *Draft) learn(w *work) {
	m := w.parser.Finish()
	sum := w.hash.Sum(nil)
	copy(d.EmailID[:], sum)
	d.Bytes = m.Size
	d.Structure = m.AppendBinary(nil)
	d.Preview = m.Preview

	add := func(id string) {
		if id != "" && len(d.Keys) < maxThreadKeys {
			d.Keys = append(d.Keys, threadKey(id))
		}
	}
	add(m.MessageID)
	d.HasID = len(d.Keys) > 0
	for _, id := range m.InReplyTo {
		add(id)
	}
	for i := len(m.References) - 1; i >= 0; i-- {
		add(m.References[i])
	}
	switch {
	case len(m.References) > 0 && m.References[0] != "":
		d.Thread = threadKey(m.References[0])
	case len(d.Keys) > 0:
		d.Thread = d.Keys[len(d.Keys)-1]
	default:
		d.Thread = d.EmailID
	}
}

func threadKey(id string) (key [16]byte) {
	sum := sha256.Sum256([]byte(id))
	copy(key[:], sum[:])
	return key
}

// Use says that the draft is being appended. It reports false if the draft was
// discarded.
func (d *Draft) Use() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.discarded {
		return false
	}
	d.users++
	return true
}

// Done ends what Use began. Stored says that a message now owns the blob, or
// that it may: then the blob is left where it is.
func (d *Draft) Done(stored bool) {
	d.mu.Lock()
	d.users--
	d.owned = d.owned || stored
	d.mu.Unlock()
	d.free()
}

// Discard ends the draft's life; an append in progress still gets its bytes.
func (d *Draft) Discard() {
	d.mu.Lock()
	d.discarded = true
	d.mu.Unlock()
	d.free()
}

// free removes the blob when nobody needs it any more.
func (d *Draft) free() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.discarded || d.users > 0 || d.Blob.IsZero() || !d.rc.Pending(d.Blob) {
		return
	}
	if !d.owned {
		// What cannot be deleted now is found by a check later.
		_ = d.rc.blobs.Delete(context.Background(), d.Blob)
	}
	d.rc.track(d.Blob, false)
}

// From reports whether rc received the draft.
func (d *Draft) From(rc *Receiver) bool { return d.rc == rc }
