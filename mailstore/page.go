package mailstore

import (
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// Fields says which fields of a Row are wanted. UID and ModSeq always come.
type Fields uint16

// The fields of a Row.
const (
	FieldFlags     Fields = 1 << iota // Flags
	FieldReceived                     // Received
	FieldSize                         // Size
	FieldEnvelope                     // Envelope
	FieldStructure                    // Structure
	FieldPreview                      // Preview
	FieldIDs                          // EmailID, ThreadID
	FieldSaved                        // Saved
)

// A Row is one message. Its byte slices are valid until the Page is filled
// again.
type Row struct {
	UID       imap.UID
	ModSeq    mailbox.ModSeq
	Flags     mailbox.Flags
	Received  time.Time // INTERNALDATE, with its zone
	Saved     time.Time // SAVEDATE (RFC 8514): when it came into this mailbox
	Size      int64     // RFC822.SIZE
	Envelope  []byte    // ENVELOPE as it is sent (RFC 9051 §7.5.2)
	Structure []byte    // what message.Decode reads
	Preview   string    // RFC 8970
	EmailID   [16]byte  // from the hash of the bytes (RFC 8474)
	ThreadID  [16]byte
}

// A Page is some rows of a mailbox as they were at one ModSeq.
type Page struct {
	Rows   []Row
	ModSeq mailbox.ModSeq // the mailbox's at the moment of reading
	// More says that the limit cut the page: there are messages of the asked
	// set after the last row.
	More bool
}
