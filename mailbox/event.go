package mailbox

// A Kind of event. The set is closed and its values are never reused: they are
// written to feeds and sent to other nodes.
type EventKind uint8

// The kinds of events.
const (
	// EventChanged: messages of a mailbox changed; Event.Change says how.
	EventChanged EventKind = 1
	// EventCreated: mailbox Name came to be.
	EventCreated EventKind = 2
	// EventDeleted: mailbox Mailbox, last called Name, is gone with its messages.
	EventDeleted EventKind = 3
	// EventRenamed: mailbox Mailbox is now called Name, it was OldName.
	EventRenamed EventKind = 4
	// EventSubscribed and EventUnsubscribed: of Name, which need not exist.
	EventSubscribed   EventKind = 5
	EventUnsubscribed EventKind = 6
	// EventUIDValidityChanged: all UIDs of Mailbox are void.
	EventUIDValidityChanged EventKind = 7
	// EventACLChanged: rights on Mailbox changed, for User or (zero) for all.
	EventACLChanged EventKind = 8
	// EventMetadataChanged: annotations or the special use of Mailbox (zero: of the account).
	EventMetadataChanged EventKind = 9
	// EventQuotaChanged: a limit of the account changed.
	EventQuotaChanged EventKind = 10
	// EventCredentialsChanged: the user's password, state or aliases changed, or the
	// user is gone; what was cached about them is void.
	EventCredentialsChanged EventKind = 11
)

// An Event is a Change, or something that happened to an account. It is
// immutable once published.
type Event struct {
	Kind    EventKind
	Account AccountID // always set
	Mailbox ID        // zero where the kind speaks of no mailbox
	Change  *Change   // for EventChanged only
	Name    string    // mailbox name, or for EventCredentialsChanged the user's name
	OldName string    // for EventRenamed
	User    AccountID // for EventACLChanged
}

// ChangeEvent wraps c.
func ChangeEvent(c *Change) Event {
	return Event{Kind: EventChanged, Account: c.Account, Mailbox: c.Mailbox, Change: c}
}
