package imapserver_test

import (
	"context"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/tracker"
)

// A slowClaims is a store that claims recent messages when it may.
type slowClaims struct {
	tracker.Source
	may chan struct{}
}

func (s slowClaims) ClaimRecent(ctx context.Context, box mailbox.ID, upTo imap.UID) (imap.UID, error) {
	<-s.may
	return s.Source.ClaimRecent(ctx, box, upTo)
}

// TestNewsBeforeRecent: a client that waits is told of a message before the store has taken note that it was (RFC 3501 §2.3.2),
// which is a transaction.
func TestNewsBeforeRecent(t *testing.T) {
	may := make(chan struct{})
	h := newHostOver(t, imapserver.DefaultSettings(), func(s mailstore.Store) tracker.Source { return slowClaims{s, may} })
	release := sync.OnceFunc(func() { close(may) })
	t.Cleanup(release)
	c := h.login(h.listen(imapserver.ListenerOptions{}))
	c.idle()
	h.deliver(1, 100)
	if got := c.news(); got != "* 1 EXISTS" {
		t.Errorf("told %q", got)
	}
	release()
	if got := c.news(); got != "* 1 RECENT" {
		t.Errorf("told %q", got)
	}
}
