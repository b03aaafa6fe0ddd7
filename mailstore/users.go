package mailstore

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// A NewMailbox is one that a new account starts with. It is subscribed to.
type NewMailbox struct {
	Name       string
	SpecialUse []imap.MailboxAttr
}

// Users are who may log in and whose mail is kept. Names and aliases are
// normalised by the caller and share one space.
type Users interface {
	// User returns the user with that name or alias, or kind NonExistent.
	User(ctx context.Context, name string) (mailbox.User, error)

	// UserList returns all users, sorted by name.
	UserList(ctx context.Context) ([]mailbox.User, error)

	// AddUser adds u with a new account that holds INBOX and boxes, and returns
	// it with Account and Created filled in. Kind AlreadyExists where the name or an alias is taken.
	AddUser(ctx context.Context, u mailbox.User, boxes []NewMailbox) (mailbox.User, error)

	// UpdateUser replaces password, aliases and the marks of the user with
	// u.Name, and publishes EventCredentialsChanged.
	UpdateUser(ctx context.Context, u mailbox.User) error

	// RemoveUser removes a user and all their mail, and publishes
	// EventCredentialsChanged and an EventDeleted for each mailbox.
	RemoveUser(ctx context.Context, name string) error
}

// Quotas are counted by the store in the transaction of each change and are
// exact: what would pass a limit fails with kind OverQuota.
type Quotas interface {
	// Quota returns an account's limits and usage.
	Quota(ctx context.Context, account mailbox.AccountID) (mailbox.Quota, error)

	// SetQuota gives an account limits of its own, or (nil) the default.
	SetQuota(ctx context.Context, account mailbox.AccountID, l *mailbox.QuotaLimits) error

	// RecountQuota counts an account's messages anew and returns the usage as
	// counted before and as it is; with mend it corrects the former.
	RecountQuota(ctx context.Context, account mailbox.AccountID, mend bool) (was, is mailbox.QuotaUsage, err error)
}
