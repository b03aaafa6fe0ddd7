package memory

import (
	"testing"

	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T, o storetest.Options) mailstore.Store {
		w := New(Options{DefaultQuota: o.DefaultQuota, MaxMailboxes: o.MaxMailboxes, MaxKeywords: o.MaxKeywords, MaxCopy: o.MaxCopy,
			FeedRetention: o.FeedRetention, ExpungeRetention: o.ExpungeRetention})
		s := w.Open(Node{Publish: o.Publish})
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	})
}
