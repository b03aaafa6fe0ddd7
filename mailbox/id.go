package mailbox

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// An ID identifies one mailbox: stable across rename, never reused.
type ID [16]byte

// An AccountID identifies one account, the owner of mailboxes. A user who is
// removed and added again under the same name is another account.
type AccountID [16]byte

// A ModSeq is a mod-sequence of one mailbox (RFC 7162): each committed change
// of the mailbox has a higher one than the change before it. It is between 1
// and 2^63-1; 0 stands for "before anything".
type ModSeq uint64

// NewID returns a random mailbox ID.
func NewID() (id ID) {
	rand.Read(id[:])
	return id
}

// NewAccountID returns a random account ID.
func NewAccountID() (id AccountID) {
	rand.Read(id[:])
	return id
}

// String returns id as 32 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// String returns id as 32 hexadecimal digits.
func (id AccountID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether id is unset.
func (id ID) IsZero() bool { return id == ID{} }

// IsZero reports whether id is unset.
func (id AccountID) IsZero() bool { return id == AccountID{} }

// ParseID reads what ID.String wrote.
func ParseID(s string) (id ID, err error) {
	return id, parse(id[:], s)
}

// ParseAccountID reads what AccountID.String wrote.
func ParseAccountID(s string) (id AccountID, err error) {
	return id, parse(id[:], s)
}

func parse(dst []byte, s string) error {
	if len(s) != hex.EncodedLen(len(dst)) {
		return fmt.Errorf("id %q: want %d hexadecimal digits", s, hex.EncodedLen(len(dst)))
	}
	if _, err := hex.Decode(dst, []byte(s)); err != nil {
		return fmt.Errorf("id %q: %w", s, err)
	}
	return nil
}
