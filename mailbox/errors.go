package mailbox

import "errors"

// A Kind says what sort of failure an Error is; imapserver and lmtp turn kinds
// into responses.
type Kind uint8

// The kinds of failures. Other is whatever has no kind: a fault of ours.
const (
	Other         Kind = iota
	NonExistent        // no such mailbox, message, user
	AlreadyExists      // the name is taken
	OverQuota          // a quota would be passed
	TooBig             // one message is larger than allowed
	Limit              // some other configured limit
	Unavailable        // temporary: store down, disk full, shutting down; nothing was changed
	NoPerm             // not allowed to this user
	Cannot             // never possible: a bad name, deleting INBOX
	InUse              // locked by somebody else
	Expunged           // the message was there and is gone
	Corrupt            // what the store holds cannot be right
	Unknown            // the outcome could not be learnt; do not try again blindly
)

var kindNames = [...]string{"internal error", "does not exist", "already exists", "over quota", "too big",
	"limit reached", "temporarily unavailable", "not permitted", "not possible", "in use", "expunged", "corrupt", "outcome unknown"}

// String names the kind in plain words that may be shown to a client.
func (k Kind) String() string { return kindNames[k] }

// An Error is a failure with a Kind.
type Error struct {
	Kind Kind
	Op   string // what was tried: "append", "create mailbox"
	// Text explains the failure to the client; it must hold nothing internal.
	// Empty: Kind.String() is told.
	Text string
	Err  error // the cause, for the log; may be nil
}

// Error describes the failure for the log.
func (e *Error) Error() string {
	s := e.Op + ": " + e.Kind.String()
	if e.Text != "" {
		s = e.Op + ": " + e.Text
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first Error in err's tree, Other if there is
// none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Other
}
