package mailstore

import (
	"context"
	"io"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/mailbox"
)

// A Relay gets what never changes of messages from a server that knows how to answer FETCH, and
// passes it on as it arrives. Of such an account's messages Page is asked for FieldFlags only, and
// Body for nothing.
type Relay interface {
	// Fetch asks for items of messages. Of items only what never changes counts, not Flags, UID and
	// ModSeq; whatever a section says, \Seen is not set. uids is static and not empty. Both stay as they are
	// until Close. Fetch waits for nothing: its errors come from Relayed.Close.
	Fetch(ctx context.Context, box mailbox.ID, uids imap.UIDSet, items *wire.FetchItems) Relayed
}

// Relayed is what a Relay answers. One goroutine uses it, and must Close it.
type Relayed interface {
	// Next goes on to the next message and returns its UID, or 0 after the last one or the one
	// at which it failed. Messages come in any order, each once with all items; those that are gone do not come.
	Next() imap.UID

	// Item returns the next item of the message, or nil after the last one or at a failure. Items come in any
	// order. An item is valid until the next call of a method.
	Item() *RelayedItem

	// Close ends the answer, wherever it is, and returns the first error: kind Unavailable where the
	// server could not be asked or has not told all.
	Close() error
}

// A RelayedItem is one item of a message.
type RelayedItem struct {
	// Name is ENVELOPE, BODY, BODYSTRUCTURE, RFC822.SIZE, INTERNALDATE, EMAILID, THREADID or SAVEDATE, and Value
	// what is told behind it, as it is sent (RFC 9051 §7.5.2). Name is empty for a section.
	Name  string
	Value []byte

	// Section is one of the items' that were asked for.
	Section *wire.FetchSection
	// Data gives Size octets, and an error if it gives less; nil: the message has no such section, or it is of
	// kind wire.SectionBinarySize, which has a Size only.
	Data   io.Reader
	Size   int64
	Binary bool // Data may have NUL: it is sent as literal8
}
