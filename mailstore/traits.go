package mailstore

import "github.com/starling-mail/starling/mailbox"

// An Ability is a set of what the mailboxes of most accounts can do, but not of all: those
// on an upstream server can do what that can, or what can be made of it.
type Ability uint16

// The abilities.
const (
	// ModSeqs: mod-sequences outlive this process and are the same on all nodes:
	// CONDSTORE and QRESYNC (RFC 7162). A store that lacks it numbers changes all the same,
	// for the trackers.
	ModSeqs Ability = 1 << iota
	// UIDPlus: UID EXPUNGE, and it is known which UIDs messages get (RFC 4315).
	UIDPlus
	// Moving: MOVE (RFC 6851).
	Moving
	// Binary: BINARY and BINARY.SIZE sections, and literal8 (RFC 3516).
	Binary
	// Sizes: Info.Counts has Size, Deleted and DeletedSize (RFC 8438, RFC 9208).
	Sizes
	// ObjectIDs: EMAILID and THREADID (RFC 8474).
	ObjectIDs
	// SaveDates: SAVEDATE (RFC 8514).
	SaveDates
	// SpecialUse: Create gives special uses (RFC 6154 §3).
	SpecialUse
	// QuotaRoots: limits and usage are known (RFC 9208).
	QuotaRoots
)

// Rev2 is what IMAP4rev2 cannot do without (RFC 9051 appendix E).
const Rev2 = UIDPlus | Moving | Binary | Sizes

// Traits say how an account's mailboxes differ from others. The zero value: they do not.
type Traits struct {
	Lacks    Ability
	Relay    Relay    // nil: Page and Body give all there is of a message
	Searcher Searcher // nil: whoever searches reads the messages
}

// A Distinguisher is a store whose accounts differ.
type Distinguisher interface {
	// Traits returns an account's. They stay as they are while anybody is logged in to it.
	Traits(account mailbox.AccountID) Traits
}

// TraitsOf returns the traits of an account in any store.
func TraitsOf(s Store, account mailbox.AccountID) Traits {
	if d, ok := s.(Distinguisher); ok {
		return d.Traits(account)
	}
	return Traits{}
}
