package mailbox

import "time"

// A User is somebody who may log in.
type User struct {
	Name     string // normalised login name, unique
	Account  AccountID
	Password string   // in PHC string format ("$argon2id$..."); empty: no login by password
	Aliases  []string // further names, normalised, for login and delivery
	Disabled bool     // may not log in; mail is refused for a time (4xx)
	Admin    bool     // may set quotas
	Created  time.Time
}

// QuotaLimits bound one quota root (RFC 9208). A negative value: no limit.
type QuotaLimits struct {
	Storage  int64 // bytes
	Messages int64
}

// Unlimited is the absence of limits.
var Unlimited = QuotaLimits{Storage: -1, Messages: -1}

// QuotaUsage is what counts against limits.
type QuotaUsage struct {
	Storage  int64 // bytes: the sum of the messages' RFC822.SIZE
	Messages int64
}

// Fits reports whether u may grow by add within l. Only what grows is judged,
// so that somebody over a limit may still remove and flag.
func (l QuotaLimits) Fits(u, add QuotaUsage) bool {
	return (add.Storage <= 0 || l.Storage < 0 || u.Storage+add.Storage <= l.Storage) &&
		(add.Messages <= 0 || l.Messages < 0 || u.Messages+add.Messages <= l.Messages)
}

// A Quota is a root's state. There is one root an account.
type Quota struct {
	Account AccountID
	Limits  QuotaLimits // in force
	Own     bool        // the limits are the account's own, not the default
	Usage   QuotaUsage
}
