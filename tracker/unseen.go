package tracker

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/msn"
)

// unseen is the first message without \Seen, as far as it follows from the Changes.
type unseen struct {
	uid   imap.UID // 0: none. If vague: there is none before it
	vague bool
}

// flagged takes note of messages' new flags.
func (f *unseen) flagged(changes []mailbox.FlagChange, x *msn.Index) {
	for _, c := range changes {
		if c.User.IsZero() && c.Flags.System&mailbox.Seen != 0 && c.UIDs.Contains(f.uid) {
			f.vague = true
		}
	}
	for _, c := range changes {
		if !c.User.IsZero() || c.Flags.System&mailbox.Seen != 0 {
			continue
		}
		for _, r := range c.UIDs {
			for uid := range x.Range(r.Start, r.Stop) {
				// At f.uid itself it was seen and is unseen again, by the same Change.
				if f.uid == 0 || uid <= f.uid {
					*f = unseen{uid: uid}
				}
				break
			}
		}
	}
}

// expunged takes note that a message is gone.
func (f *unseen) expunged(uid imap.UID) {
	if uid == f.uid {
		f.vague = true
	}
}

// counted takes note of how many messages are unseen.
func (f *unseen) counted(n uint32) {
	if n == 0 {
		*f = unseen{}
	}
}

// maxSearch is how many messages are looked at to find the first unseen one: clients can do without it.
const maxSearch = 2048

// findUnseen finds the first message without \Seen if it is not known. It may fail.
func (t *tracker) findUnseen(ctx context.Context) {
	t.mu.Lock()
	from := t.unseen.uid
	if !t.unseen.vague {
		t.mu.Unlock()
		return
	}
	n := t.index.Rank(from - 1)
	last, ok := t.index.UID(n + maxSearch)
	if !ok {
		last = t.index.Max()
	}
	uids := t.index.AppendRuns(nil, from, last)
	m := t.modseq
	t.mu.Unlock()

	rows, err := t.rows(ctx, uids, nil)
	if err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.modseq != m || !t.unseen.vague || t.unseen.uid != from {
		return
	}
	for _, r := range rows {
		if r.Flags.System&mailbox.Seen == 0 {
			t.unseen = unseen{uid: r.UID}
			return
		}
		t.unseen.uid = r.UID + 1
	}
}
