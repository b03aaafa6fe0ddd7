package mailstore

import (
	"context"
	"io"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// A Store keeps accounts, mailboxes and messages.
type Store interface {
	Mailboxes
	Messages
	Feed
	Users
	Quotas

	// Ready reports why the store cannot serve now, or nil.
	Ready(ctx context.Context) error
	// Close waits for the changes in progress and closes the store.
	Close() error
}

// Publish takes what was committed to one store, in order. It must not block
// on clients or networks: it is called between commit and reply.
type Publish func(events []mailbox.Event)

// An Info describes one mailbox or, with a zero ID, a name that is subscribed
// to but does not exist.
type Info struct {
	ID          mailbox.ID
	Account     mailbox.AccountID
	Name        string
	UIDValidity uint32
	Subscribed  bool
	SpecialUse  []imap.MailboxAttr // RFC 6154, such as \Sent
	ModSeq      mailbox.ModSeq     // HIGHESTMODSEQ, at least 1
	Counts      mailbox.Counts
	RecentFrom  imap.UID // messages from this UID on are recent and unclaimed (RFC 3501 §2.3.2)
}

// Mailboxes are the names of an account. Names are canonical
// (mailbox.CanonicalName) and valid. A parent need not exist.
type Mailboxes interface {
	// List returns all mailboxes of an account and all names subscribed to,
	// sorted by name.
	List(ctx context.Context, account mailbox.AccountID) ([]Info, error)

	// Lookup returns one mailbox, or an error of kind NonExistent.
	Lookup(ctx context.Context, account mailbox.AccountID, name string) (Info, error)

	// Create makes a mailbox with a UIDVALIDITY that the account never had
	// before. Kinds: AlreadyExists; Cannot where a special use is already given to
	// another mailbox or unknown; Limit.
	Create(ctx context.Context, account mailbox.AccountID, name string, use []imap.MailboxAttr) (Info, error)

	// Delete removes a mailbox with its messages, not those below it. The
	// subscription stays (RFC 9051 §6.3.5). INBOX: kind Cannot.
	Delete(ctx context.Context, account mailbox.AccountID, name string) error

	// Rename gives a mailbox and all below it new names, with IDs, UIDs and
	// UIDVALIDITY kept; subscriptions stay with their names. Renaming INBOX moves its
	// messages into a new mailbox and leaves INBOX empty and those below it
	// alone (RFC 9051 §6.3.6): one transaction, an expunge of all for INBOX.
	Rename(ctx context.Context, account mailbox.AccountID, from, to string) error

	// Subscribe adds name to the account's subscriptions, or removes it.
	// Doing either twice is no error.
	Subscribe(ctx context.Context, account mailbox.AccountID, name string, on bool) error

	// Snapshot returns what a mailbox holds at one moment.
	Snapshot(ctx context.Context, box mailbox.ID) (*Snapshot, error)

	// ChangesSince returns everything that happened after since as one Change
	// with Prev = since, and since itself as ModSeq if nothing did. It returns
	// false where the expunge log does not reach back so far (below
	// Snapshot.Floor) or where since is above the mailbox's ModSeq: take a Snapshot.
	ChangesSince(ctx context.Context, box mailbox.ID, since mailbox.ModSeq) (*mailbox.Change, bool, error)

	// ClaimRecent marks all messages below upTo as no longer recent and returns
	// the first UID that was recent before; the caller has claimed
	// those between (RFC 3501 §2.3.2). It is no change of the mailbox.
	ClaimRecent(ctx context.Context, box mailbox.ID, upTo imap.UID) (imap.UID, error)
}

// A Snapshot is a mailbox at one ModSeq, for numbering and SELECT.
type Snapshot struct {
	Info
	Line        uint64
	UIDs        imap.UIDSet    // live UIDs: ascending, disjoint ranges
	Keywords    []string       // all ever used in the mailbox, in first-use order
	FirstUnseen imap.UID       // lowest UID without \Seen, 0 if there is none
	Floor       mailbox.ModSeq // the expunge log is complete after this
	// EndedLine is the Line that came before, of a store that begins another after
	// it may have lost something, and Ended the ModSeq that it ended with; 0: none has. Who has come
	// further in that Line was told what is lost.
	EndedLine uint64
	Ended     mailbox.ModSeq
}

// A Draft is a message whose bytes the store has received and understood but
// that is in no mailbox yet. Discard is called once in every case; after an
// Append it frees what is left only.
type Draft interface {
	Size() int64
	Discard()
}

// An Incoming is a Draft on its way into a mailbox.
type Incoming struct {
	Draft Draft
	Flags mailbox.Flags
	// Received is INTERNALDATE; it keeps its zone. Zero: now.
	Received time.Time
	// UID is what an import asks for: not below UIDNEXT, ascending. 0: the next.
	UID imap.UID
}

// Appended says where messages went.
type Appended struct {
	UIDValidity uint32
	// Change holds the new messages in Added, in their order, and may hold what others have done, if UIDs
	// says which are meant. It is nil where the account lacks UIDPlus and the store does not know.
	Change *mailbox.Change
	// UIDs are the new messages in their order. Nil: those that Change has added.
	UIDs imap.UIDSet
}

// New returns the UIDs of the new messages, nil if they are not known.
func (a *Appended) New() imap.UIDSet {
	if a.UIDs == nil && a.Change != nil {
		return a.Change.Added
	}
	return a.UIDs
}

// A FlagUpdate is what STORE asks for (RFC 9051 §6.4.6, RFC 7162 §3.1.3).
type FlagUpdate struct {
	Op    imap.StoreFlagsOp
	Flags mailbox.Flags
	// UnchangedSince, if set, leaves messages with a higher ModSeq alone.
	UnchangedSince *mailbox.ModSeq
}

// Flagged is the outcome of a FlagUpdate.
type Flagged struct {
	// Change holds the messages that got other flags than they had, and may hold what others
	// have done. It is nil where there was none: then nothing was committed.
	Change *mailbox.Change
	// Modified are the messages left alone because of UnchangedSince.
	Modified imap.UIDSet
}

// Copied is the outcome of Copy and Move: Source and Dest have equally many
// UIDs, which correspond in order (COPYUID, RFC 4315). Where the account lacks UIDPlus, Dest may be empty and
// Change nil although messages were copied.
type Copied struct {
	UIDValidity  uint32 // of the destination
	Source, Dest imap.UIDSet
	Change       *mailbox.Change // of the destination; nil if nothing was copied
	Expunge      *mailbox.Change // of the source; nil for Copy
}

// Messages are what is in mailboxes. UID sets are static; UIDs that are not
// there are passed over.
type Messages interface {
	// Receive takes a message from r to its end, at most limit bytes (kind
	// TooBig beyond), and prepares all that Append needs: its bytes are safe
	// and its structure, hash and envelope are computed. An error of r is returned as it is.
	Receive(ctx context.Context, r io.Reader, limit int64) (Draft, error)

	// Append adds messages to a mailbox, all or none. A Draft may be appended
	// several times, to several mailboxes.
	Append(ctx context.Context, box mailbox.ID, messages []Incoming) (Appended, error)

	// UpdateFlags changes flags in one transaction; callers keep sets to
	// ChunkSize messages.
	UpdateFlags(ctx context.Context, box mailbox.ID, uids imap.UIDSet, u FlagUpdate) (Flagged, error)

	// Expunge removes those of uids that have \Deleted, in one transaction.
	// The result is nil if there was none.
	Expunge(ctx context.Context, box mailbox.ID, uids imap.UIDSet) (*mailbox.Change, error)

	// Copy copies messages within an account, in one transaction, flags,
	// INTERNALDATE and order kept. More messages than the store's
	// configured limit: kind Limit.
	Copy(ctx context.Context, from, to mailbox.ID, uids imap.UIDSet) (Copied, error)

	// Move is Copy and the removal of the originals in one transaction.
	Move(ctx context.Context, from, to mailbox.ID, uids imap.UIDSet) (Copied, error)

	// Page reads rows of one mailbox in ascending order of UID from one
	// snapshot into p, whose memory is used again: at most limit of them, and not
	// more once they take about PageSize bytes.
	Page(ctx context.Context, box mailbox.ID, uids imap.UIDSet, fields Fields, limit int, p *Page) error

	// Body opens the bytes of a message. Kind Expunged where there is none.
	// Bytes stay readable until Close even if the message goes.
	Body(ctx context.Context, box mailbox.ID, uid imap.UID) (Body, error)
}

// PageSize is about how many bytes of envelopes and structures a Page holds at most; a single
// row may have more.
const PageSize = 1 << 20

// ChunkSize is how many messages STORE and EXPUNGE change in one transaction.
const ChunkSize = 1000

// A Body is a message's bytes. ReadAt may be called concurrently.
type Body interface {
	io.ReaderAt
	io.Closer
	Size() int64
}
