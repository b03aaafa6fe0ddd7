package mailstore

import "github.com/starling-mail/starling/mailbox"

// Sessions is a store that keeps something for as long as somebody is logged in to an account, such as
// what it logs in with itself.
type Sessions interface {
	// EndSession says that a connection that was logged in to the account has ended. It is called once
	// for each login that succeeded, which began it, whatever kind of account it is. It does not wait.
	EndSession(account mailbox.AccountID)
}
