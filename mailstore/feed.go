package mailstore

import (
	"context"

	"github.com/starling-mail/starling/mailbox"
)

// A Cursor is a place in a feed; its content is the store's business. It also
// tells one store's life from another's: after a restore from a backup, an old
// cursor is refused.
type Cursor string

// A Feed is the store's own log of events, one row written in the transaction
// of each change. It is kept for a configured time.
type Feed interface {
	// FeedEnd returns the cursor after the last committed event.
	FeedEnd(ctx context.Context) (Cursor, error)

	// ReadFeed returns up to limit events committed after the cursor, in an
	// order that is each mailbox's own, and the cursor after them. Nothing is
	// skipped or repeated when reading goes on from there. It returns an error of kind
	// NonExistent if the feed no longer reaches back to the cursor or is another one.
	ReadFeed(ctx context.Context, after Cursor, limit int) ([]mailbox.Event, Cursor, error)
}
