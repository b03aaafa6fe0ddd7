// Package blob keeps message bodies that are too large to sit beside their
// metadata: each is written once, whole, then read in ranges until it is
// deleted. Back ends decide what a blob belongs to; a blob store knows only names.
package blob

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"time"
)

// An ID names one blob. It is random and never reused.
type ID [16]byte

// NewID returns a new ID.
func NewID() (id ID) {
	rand.Read(id[:])
	return id
}

// String returns id as 32 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether id is unset.
func (id ID) IsZero() bool { return id == ID{} }

// ParseID reads what String wrote.
func ParseID(s string) (id ID, err error) {
	if len(s) != hex.EncodedLen(len(id)) {
		return id, fmt.Errorf("blob id %q: want %d hexadecimal digits", s, hex.EncodedLen(len(id)))
	}
	_, err = hex.Decode(id[:], []byte(s))
	return id, err
}

// A Store keeps blobs. Its methods may be called from any number of goroutines.
// Its errors carry a mailbox.Kind: NonExistent for a blob that is not there,
// Unavailable for what may work later (a full disk), Other else.
type Store interface {
	// Put stores the bytes of r, to its end, under id and returns how many they
	// were. When it returns without an error they survive a power loss; on an error nothing
	// is stored, and an error of r is returned as it is.
	Put(ctx context.Context, id ID, r io.Reader) (int64, error)

	// Open opens a blob. It stays readable until Close, even if it is deleted.
	Open(ctx context.Context, id ID) (Blob, error)

	// Delete removes a blob. It is no error if there is none.
	Delete(ctx context.Context, id ID) error

	// List names all blobs, in no order, and stops after an error. Blobs that come
	// or go meanwhile may be listed or not.
	List(ctx context.Context) iter.Seq2[Info, error]
}

// A Blob is an open blob. ReadAt may be called concurrently.
type Blob interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// An Info describes a blob.
type Info struct {
	ID       ID
	Size     int64
	Modified time.Time // when it was stored
}
