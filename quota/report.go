package quota

import (
	"math"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// Units of STORAGE: 1024 octets (RFC 9208 §5.1).
const storageUnit = 1024

// rootPrefix stands before the user's name in the name of a root. Names of
// roots are opaque to clients (RFC 9208 §3.2); admins read them.
const rootPrefix = "user/"

// RootName returns the name of the one quota root that a user's account has.
func RootName(user string) string { return rootPrefix + user }

// RootUser returns the name of the user whose root is called root, or false if
// no root is called so.
func RootUser(root string) (user string, ok bool) {
	user, ok = strings.CutPrefix(root, rootPrefix)
	return user, ok && user != ""
}

// A Resource is one resource of a root as QUOTA tells it.
type Resource struct {
	Name  imap.QuotaResourceType
	Usage int64 // in the resource's units, rounded up
	Limit int64
}

// A Report is what a QUOTA response holds (RFC 9208 §4.2.1).
type Report struct {
	Root string
	// Resources are those that have a limit. Where there is none, the response
	// cannot be written: GETQUOTAROOT then names no root (RFC 9208 §4.2.2).
	Resources []Resource
}

// NewReport makes the report of a user's root.
func NewReport(user string, q mailbox.Quota) Report {
	r := Report{Root: RootName(user)}
	if q.Limits.Storage >= 0 {
		// Both are rounded up, so that who is within the limit is seen to be.
		r.Resources = append(r.Resources, Resource{imap.QuotaResourceStorage, kib(q.Usage.Storage), kib(q.Limits.Storage)})
	}
	if q.Limits.Messages >= 0 {
		r.Resources = append(r.Resources, Resource{imap.QuotaResourceMessage, q.Usage.Messages, q.Limits.Messages})
	}
	return r
}

func kib(bytes int64) int64 {
	units := bytes / storageUnit
	if bytes%storageUnit > 0 {
		units++
	}
	return units
}

// A Limit is one resource limit of SETQUOTA.
type Limit struct {
	Name  imap.QuotaResourceType // whatever its case
	Limit int64                  // in the resource's units
}

// Limits turns what SETQUOTA lists into limits. A resource that is not listed
// has no limit from then on (RFC 9208 §4.1.3). A resource other than STORAGE and
// MESSAGE, one listed twice, or a negative limit is kind Cannot.
func Limits(list []Limit) (mailbox.QuotaLimits, error) {
	fail := func(text string) (mailbox.QuotaLimits, error) {
		return mailbox.Unlimited, &mailbox.Error{Kind: mailbox.Cannot, Op: "set quota", Text: text}
	}
	l := mailbox.Unlimited
	for _, r := range list {
		var field *int64
		limit := r.Limit
		switch imap.QuotaResourceType(strings.ToUpper(string(r.Name))) {
		case imap.QuotaResourceStorage:
			field = &l.Storage
			if limit > math.MaxInt64/storageUnit {
				return fail("limit is too large")
			}
			limit *= storageUnit
		case imap.QuotaResourceMessage:
			field = &l.Messages
		default:
			return fail("unknown quota resource")
		}
		if limit < 0 {
			return fail("limit is negative")
		}
		if *field >= 0 {
			return fail("quota resource is listed twice")
		}
		*field = limit
	}
	return l, nil
}
