package mailstore

import (
	"context"
	"time"

	"github.com/starling-mail/starling/mailbox"
)

// A MoveReport tells how the move of an account goes on. The last one has Done set.
type MoveReport struct {
	Mailbox string        // that is being copied
	Total   int64         // bytes of the account's messages when an attempt began; told once an attempt
	Bytes   int64         // copied since the report before
	Done    bool          // the account is where it was to be
	Paused  time.Duration // for how long writers had to wait at the end; 0 where that was before
}

// An AccountMover is a store of several parts, the shards, each of which keeps some of the
// accounts.
type AccountMover interface {
	// MoveAccount moves an account to another shard while it is used, and verifies the copy: nothing about the account is another
	// after it. Writers wait once, for a bounded time. What was broken off goes on when it is begun again; until then
	// the account can be used. Kinds: Cannot where there is no such shard; InUse where another process has taken over.
	MoveAccount(ctx context.Context, account mailbox.AccountID, to string, report func(MoveReport)) error
	// ShardOf returns the name of the shard that keeps an account, or kind NonExistent.
	ShardOf(ctx context.Context, account mailbox.AccountID) (string, error)
}
