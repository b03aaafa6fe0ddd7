package mailstore

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/mailbox"
)

// A Searcher finds messages by what never changes of them.
type Searcher interface {
	// Search returns those of uids that match key, and may return others: the caller
	// knows what it has asked for. uids is static and not empty. The key is made of SearchAnd, SearchOr, SearchNot,
	// SearchText, SearchDate and SearchSize: what flags, mod-sequences and numbers decide is
	// the caller's. Kind Unavailable where the search could not be done.
	Search(ctx context.Context, box mailbox.ID, uids imap.UIDSet, key wire.SearchKey) (imap.UIDSet, error)
}
