package admin

import (
	"context"
	"io"
	"time"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/quota"
	"github.com/starling-mail/starling/transfer"
)

// A Control does what the subcommands ask for. User names may be aliases and
// need not be normalised, unless said otherwise. Errors carry a mailbox.Kind.
type Control interface {
	// Users returns all users, sorted by name.
	Users(ctx context.Context) ([]User, error)
	// AddUser makes a user with an account.
	AddUser(ctx context.Context, u NewUser) (User, error)
	// SetPassword gives a user another password, in plain text.
	SetPassword(ctx context.Context, user, password string) error
	// SetDisabled keeps a user from logging in, or lets them again.
	SetDisabled(ctx context.Context, user string, disabled bool) error
	// SetAliases replaces a user's aliases.
	SetAliases(ctx context.Context, user string, aliases []string) error
	// RemoveUser removes a user, who must be called by their own name, with
	// all their mail.
	RemoveUser(ctx context.Context, user string) error

	// Quota returns a user's limits and usage.
	Quota(ctx context.Context, user string) (mailbox.Quota, error)
	// SetQuota gives a user limits of their own, or (nil) the default.
	SetQuota(ctx context.Context, user string, l *mailbox.QuotaLimits) error
	// Recount counts the mail of the users anew, or of all if there are none,
	// and reports each; with mend it corrects what was wrong.
	Recount(ctx context.Context, users []string, mend bool, report func(quota.Recounted)) (quota.Summary, error)

	// Deliver delivers a message to an address. from is the envelope's
	// sender, empty for none.
	Deliver(ctx context.Context, to, from string, r io.Reader) error
	// Check is that of mailstore.Checker; kind Cannot where the store has none.
	Check(ctx context.Context, o mailstore.CheckOptions, report func(mailstore.Finding)) error
	// Backup copies the store into a folder of the machine that it is on; kind Cannot where
	// the store has no such thing. The path must be absolute.
	Backup(ctx context.Context, folder string) error
	// Cluster describes the cluster; kind Cannot where no server is in one.
	Cluster(ctx context.Context) (Cluster, error)
	// DrainDefaults returns how the running server is drained by its configuration; Drain, Admit and the Keyring are those of the
	// Runner. Without a running server they are of kind Cannot.
	DrainDefaults(ctx context.Context) (Drain, error)
	Drain(ctx context.Context, d Drain, report func(DrainStep)) error
	Admit(ctx context.Context) error
	// Leave drains the running server and then stops it.
	Leave(ctx context.Context, d Drain, report func(DrainStep)) error
	Keyring
	// MoveAccount is that of mailstore.AccountMover; kind Cannot where the store has no shards.
	MoveAccount(ctx context.Context, user, to string, report func(mailstore.MoveReport)) error
	// ShardOf is that of mailstore.AccountMover; kind Cannot where the store has no shards.
	ShardOf(ctx context.Context, user string) (string, error)
	// Mail returns a user's mail.
	Mail(ctx context.Context, user string) (transfer.Store, error)

	Close() error
}

// A User is a mailbox.User without the password.
type User struct {
	Name        string            `json:"name"`
	Account     mailbox.AccountID `json:"-"`
	Aliases     []string          `json:"aliases,omitempty"`
	Disabled    bool              `json:"disabled,omitempty"`
	Admin       bool              `json:"admin,omitempty"`
	HasPassword bool              `json:"has_password"`
	Created     time.Time         `json:"created"`
}

// A NewUser is what AddUser is told.
type NewUser struct {
	Name     string   `json:"name"`
	Password string   `json:"password"` // in plain text; empty: no login yet
	Aliases  []string `json:"aliases,omitempty"`
	Admin    bool     `json:"admin,omitempty"`
}
