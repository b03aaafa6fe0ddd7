package mailbox

import "github.com/emersion/go-imap/v2"

// Counts are the figures of one mailbox after a change; they serve STATUS and
// NOTIFY. Sizes are in bytes (the messages' RFC822.SIZE).
type Counts struct {
	Messages    uint32
	Unseen      uint32 // without \Seen
	Deleted     uint32 // with \Deleted
	Size        int64
	DeletedSize int64 // of the messages with \Deleted
	UIDNext     imap.UID
}

// A FlagChange says that all messages in UIDs now have exactly Flags.
type FlagChange struct {
	UIDs  imap.UIDSet
	Flags Flags
	// User is the account that alone sees this value (a private \Seen in a
	// shared mailbox); zero where everybody does.
	User AccountID
}

// A Change is what one committed transaction did to one mailbox, as net state:
// applying one twice, or one that overlaps another, does no harm. The sets are
// static (no "*"), ascending and disjoint. A Change is immutable once
// published: it is shared by its receivers.
type Change struct {
	Mailbox ID
	Account AccountID // owner of the mailbox
	// Line says whose numbering Prev and ModSeq belong to. It is constant for
	// a store; a Change of another line is never chained to what is known.
	Line uint64
	// Prev is the mailbox's HIGHESTMODSEQ before the change and ModSeq the one
	// after it: whoever holds less than Prev sees that something is missing.
	Prev, ModSeq ModSeq

	Added    imap.UIDSet // new messages; their flags are in Flags too
	Flags    []FlagChange
	Expunged imap.UIDSet
	Counts   Counts
	// Truncated says that the change was too large to be told: the sets are
	// empty, receivers must ask the store.
	Truncated bool
}
