package imaptest_test

import (
	"slices"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/imaptest"
)

// TestResyncedWithNews: what a SELECT with QRESYNC tells of messages that the client did not know does not count as known, wherever
// they are.
func TestResyncedWithNews(t *testing.T) {
	p := imaptest.Picture{QResync: true, Complain: func(line, why string) { t.Errorf("%q: %s", line, why) }}
	p.Select()
	for _, line := range []string{"* 2 EXISTS", `* 1 FETCH (UID 1 FLAGS ())`, `* 2 FETCH (UID 3 FLAGS ())`} {
		p.Hear(line)
	}
	p.Answered("a OK [HIGHESTMODSEQ 7] done")

	p.Select()
	p.Removing = true
	for _, line := range []string{"* 4 EXISTS", "* VANISHED (EARLIER) 1", `* 3 FETCH (UID 6 FLAGS (\Seen) MODSEQ (9))`} {
		p.Hear(line)
	}
	p.Answered("b OK done")
	p.Resynced()
	if want := []imap.UID{3, 0, 6, 0}; !slices.Equal(p.UIDs, want) {
		t.Errorf("by number %v, want %v", p.UIDs, want)
	}
}
