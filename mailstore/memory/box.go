package memory

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/incoming"
	"github.com/starling-mail/starling/mailstore/rules"
)

// maxUID is the highest UID (RFC 9051 §2.3.1.1).
const maxUID = 1<<32 - 1

// A box is a mailbox. A write that may yet be refused works on a copy of it and
// puts that in its place at the end.
type box struct {
	mailstore.Info // but for Subscribed
	owner          *account
	keywords       []string  // in first-use order; replaced, never changed
	messages       []*mail   // ascending by UID
	expunged       []expunge // the expunge log
	floor          mailbox.ModSeq
}

// A mail is one message in a mailbox.
type mail struct {
	uid             imap.UID
	modseq, created mailbox.ModSeq
	flags           mailbox.Flags
	received, saved time.Time
	draft           *incoming.Draft // what all copies share
	data            []byte          // the message as it is; never changed
	thread          [16]byte
}

// An expunge is what one Change removed.
type expunge struct {
	modseq mailbox.ModSeq
	at     time.Time
	uids   imap.UIDSet
}

// box finds a mailbox.
func (w *World) box(op string, id mailbox.ID) (*box, error) {
	b := w.boxes[id]
	if b == nil {
		return nil, refuse(mailbox.NonExistent, op, "no such mailbox")
	}
	return b, nil
}

// named finds a mailbox by its name.
func (w *World) named(op string, id mailbox.AccountID, name string) (*box, error) {
	a := w.accounts[id]
	if a == nil || a.boxes[name] == nil {
		return nil, refuse(mailbox.NonExistent, op, "no such mailbox")
	}
	return a.boxes[name], nil
}

// info returns what List and Lookup say of b.
func (b *box) info() mailstore.Info {
	i := b.Info
	i.SpecialUse = slices.Clone(i.SpecialUse)
	i.Subscribed = b.owner.subscribed[b.Name]
	return i
}

// from returns the index of the first message from uid on.
func (b *box) from(uid imap.UID) int {
	i, _ := slices.BinarySearchFunc(b.messages, uid, func(m *mail, uid imap.UID) int { return cmp.Compare(m.uid, uid) })
	return i
}

// in yields the messages of a static set.
func (b *box) in(uids imap.UIDSet) iter.Seq[*mail] {
	return func(yield func(*mail) bool) {
		for _, r := range uids {
			for _, m := range b.messages[b.from(r.Start):] {
				if m.uid > r.Stop {
					break
				}
				if !yield(m) {
					return
				}
			}
		}
	}
}

// remove takes messages out; gone is ascending.
func (b *box) remove(gone imap.UIDSet) {
	b.messages = slices.DeleteFunc(b.messages, func(m *mail) bool {
		for len(gone) > 0 && gone[0].Stop < m.uid {
			gone = gone[1:]
		}
		return len(gone) > 0 && gone[0].Start <= m.uid
	})
}

// count adds (n = 1) or removes (n = -1) a message of that size and flags.
func (b *box) count(n int, size int64, f mailbox.SystemFlags) { rules.Count(&b.Counts, n, size, f) }

// spell gives keywords the spelling of their first use in b, which takes note of new ones.
func (b *box) spell(t *tx, f mailbox.Flags, add bool) (mailbox.Flags, error) {
	f, known := rules.Spell(b.keywords, f, add)
	if len(known) > len(b.keywords) && len(known) > t.w.o.MaxKeywords {
		return f, refuse(mailbox.Limit, t.op, "too many keywords in this mailbox")
	}
	b.keywords = known
	return f, nil
}

// next begins a Change of b: it has the next ModSeq. The Change is told by
// conclude.
func (t *tx) next(b *box) *mailbox.Change {
	c := &mailbox.Change{Mailbox: b.ID, Account: b.Account, Line: t.w.line, Prev: b.ModSeq, ModSeq: b.ModSeq + 1}
	b.ModSeq = c.ModSeq
	return c
}

// conclude emits the Change, and keeps in the expunge log what it removed.
func (t *tx) conclude(b *box, c *mailbox.Change) {
	if len(c.Expunged) > 0 {
		b.expunged = append(b.expunged, expunge{c.ModSeq, t.now, slices.Clone(c.Expunged)})
	}
	c.Counts = b.Counts
	t.emit(mailbox.ChangeEvent(c))
}
