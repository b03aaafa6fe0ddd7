package sqlite

import (
	"testing"

	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T, o storetest.Options) mailstore.Store {
		return open(t, Options{Publish: o.Publish, DefaultQuota: o.DefaultQuota, MaxMailboxes: o.MaxMailboxes, MaxKeywords: o.MaxKeywords,
			MaxCopy: o.MaxCopy, FeedRetention: o.FeedRetention, ExpungeRetention: o.ExpungeRetention})
	})
}
