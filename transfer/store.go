package transfer

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// A Store is the mail of one account. Errors carry a mailbox.Kind.
type Store interface {
	// Account returns whose mail it is.
	Account() mailbox.AccountID

	// List, Create and Subscribe are those of mailstore.Mailboxes.
	List(ctx context.Context) ([]mailstore.Info, error)
	Create(ctx context.Context, name string) (mailstore.Info, error)
	Subscribe(ctx context.Context, name string) error

	// AdoptUIDs is that of mailstore.UIDAdopter; kind Cannot where the store
	// has no such thing.
	AdoptUIDs(ctx context.Context, box mailbox.ID, validity uint32, next imap.UID) error

	// Append adds messages, all or none, and returns their UIDs. Each Body is
	// read to its end before the next message is asked for. An error of
	// messages ends it and is returned.
	Append(ctx context.Context, box mailbox.ID, messages iter.Seq2[Message, error]) ([]imap.UID, error)

	// Rows returns the messages with UIDs not below from, in ascending order.
	Rows(ctx context.Context, box mailbox.ID, from imap.UID) iter.Seq2[Row, error]

	// Body opens the bytes of a message. Kind Expunged where there is none.
	Body(ctx context.Context, box mailbox.ID, uid imap.UID) (io.ReadCloser, error)
}

// MaxMessage is the size of the largest message that is imported, in bytes.
const MaxMessage = 1 << 30

// A Message is on its way into a Store.
type Message struct {
	Flags    mailbox.Flags
	Received time.Time
	UID      imap.UID // asked for; 0: the next
	Body     io.Reader
}

// A Row describes a message in a Store.
type Row struct {
	UID      imap.UID
	Flags    mailbox.Flags
	Received time.Time
	Size     int64
}
