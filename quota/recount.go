package quota

import (
	"context"

	"github.com/starling-mail/starling/mailbox"
)

// A Counter counts an account's messages anew. mailstore.Quotas is one.
type Counter interface {
	// RecountQuota returns the usage as counted before and as it is; with mend
	// it corrects the former.
	RecountQuota(ctx context.Context, account mailbox.AccountID, mend bool) (was, is mailbox.QuotaUsage, err error)
}

// A Recounted is the outcome for one user.
type Recounted struct {
	User    string
	Was, Is mailbox.QuotaUsage
	Err     error // the account could not be counted; the others go on
}

// Wrong reports whether the usage had been counted wrongly.
func (r Recounted) Wrong() bool { return r.Err == nil && r.Was != r.Is }

// A Summary says how a recount went.
type Summary struct {
	Accounts int // looked at
	Wrong    int // had been counted wrongly
	Failed   int // could not be counted
}

// Recount counts the accounts of users anew, one after the other, and reports
// each as it is done; with mend it corrects what was wrong. A user who
// disappears meanwhile is passed over. It ends early only with the context, whose
// error it returns.
func Recount(ctx context.Context, c Counter, users []mailbox.User, mend bool, report func(Recounted)) (Summary, error) {
	var sum Summary
	for _, u := range users {
		if err := ctx.Err(); err != nil {
			return sum, err
		}
		r := Recounted{User: u.Name}
		r.Was, r.Is, r.Err = c.RecountQuota(ctx, u.Account, mend)
		if mailbox.KindOf(r.Err) == mailbox.NonExistent {
			continue
		}
		if ctx.Err() != nil && r.Err != nil {
			return sum, ctx.Err()
		}
		sum.Accounts++
		switch {
		case r.Err != nil:
			sum.Failed++
		case r.Wrong():
			sum.Wrong++
		}
		report(r)
	}
	return sum, nil
}
