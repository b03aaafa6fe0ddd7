package mailstore

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// A UIDAdopter is a store that can take over the numbering which clients know
// from another server.
type UIDAdopter interface {
	// AdoptUIDs gives a mailbox the UIDVALIDITY validity, if it has another, and raises its
	// UIDNEXT to next, if it is lower. Another UIDVALIDITY is given only to a
	// mailbox that never held a message (UIDNEXT 1), as no client can have
	// seen a UID there: otherwise the error's kind is Cannot. It publishes
	// EventUIDValidityChanged where the value changed.
	AdoptUIDs(ctx context.Context, box mailbox.ID, validity uint32, next imap.UID) error
}
