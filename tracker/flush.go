package tracker

import (
	"context"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/msn"
)

// Update is a portion of what a client has to be told, in the order of the fields (P1).
type Update struct {
	Gone          error          // the mailbox was deleted or renumbered, or cannot be followed: BYE, and nothing else
	Expunged      []uint32       // sequence numbers for EXPUNGE, to be sent in this order: descending
	Vanished      imap.UIDSet    // the same messages for VANISHED (RFC 7162 §3.2.10)
	Exists        uint32         // how many messages the client counts after that
	ExistsChanged bool           // EXISTS must be told
	Keywords      []string       // not nil: the mailbox has new keywords; all of them, for FLAGS and PERMANENTFLAGS
	Flags         []FlagRow      // messages whose flags have changed since they were told, with what they are now
	ModSeq        mailbox.ModSeq // highest that may be told as HIGHESTMODSEQ now, 0 none: withheld expunges hold it back (RFC 7162 §3.2)
	More          bool           // there is more to tell: call Flush again
}

// Flush fills u with the next portion of what the client has to be told, with at most limit messages' flags, and takes it
// as told. With expunges false, expunges are withheld (RFC 9051 §7.5.1). On an error nothing was taken as told. u's memory is used again.
func (v *View) Flush(ctx context.Context, expunges bool, limit int, u *Update) error {
	*u = Update{Expunged: u.Expunged[:0], Flags: u.Flags[:0]}
	if err := v.gather(ctx, limit, u); err != nil {
		return err
	}
	t := v.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone != nil {
		*u = Update{Gone: t.gone}
		return nil
	}
	if expunges && v.numbers.HasPending() {
		e := v.numbers.TakeExpunges(&t.index)
		u.Vanished = e.UIDs
		for n := range e.Numbers() {
			u.Expunged = append(u.Expunged, n)
		}
		v.held = 0
	}
	u.Exists, u.ExistsChanged = v.numbers.Raise(&t.index)
	u.Flags = v.numberLocked(u.Flags, 0)
	if v.keywords < len(t.keywords) {
		v.keywords = len(t.keywords)
		u.Keywords = t.keywords[:v.keywords:v.keywords]
	}
	u.ModSeq = v.flagsTold
	if v.numbers.HasPending() {
		u.ModSeq = min(u.ModSeq, v.held)
	}
	u.More = v.news(expunges)
	return nil
}

// HasNews says whether Flush with expunges would tell something. It is cheap.
func (v *View) HasNews() bool {
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	return v.t.gone != nil || v.news(true)
}

// news says whether there is something to tell. It takes as told what needs no telling.
func (v *View) news(expunges bool) bool {
	t := v.t
	return expunges && v.numbers.HasPending() || t.index.Max() > v.numbers.Told() || v.keywords < len(t.keywords) || v.flagNews()
}

// flagNews says whether flags have to be told.
func (v *View) flagNews() bool {
	t := v.t
	switch {
	case v.notices != nil && len(v.notices.rest) > 0 || v.flagsTold < t.log.from:
		return true
	case v.flagsTold == t.modseq:
		return false
	}
	told := v.numbers.Told()
	for _, e := range t.log.after(v.flagsTold) {
		if !v.owns(e) && slices.ContainsFunc(e.flags, func(f mailbox.FlagChange) bool { return touches(f, told) }) {
			return true
		}
	}
	v.flagged(t.modseq)
	return false
}

// owns says whether e is the session's own silent Change, and nothing else: several in one are told.
func (v *View) owns(e flagEntry) bool {
	return v.notices != nil && e.exact && slices.Contains(v.notices.own, e.modseq)
}

// flagged takes all flag changes up to m as told.
func (v *View) flagged(m mailbox.ModSeq) {
	v.flagsTold = max(v.flagsTold, m)
	if v.notices == nil {
		return
	}
	v.notices.own = slices.DeleteFunc(v.notices.own, func(own mailbox.ModSeq) bool { return own <= v.flagsTold })
	if len(v.notices.own) == 0 && len(v.notices.rest) == 0 {
		v.notices = nil
	}
}

// gather appends to u.Flags the next portion of messages with changed flags, without numbers, and takes them as told.
// That is the part of Flush that may have to ask the store.
func (v *View) gather(ctx context.Context, limit int, u *Update) error {
	t := v.t
	t.mu.Lock()
	if t.gone != nil || !v.flagNews() {
		t.mu.Unlock()
		return nil
	}
	var dirty imap.UIDSet
	until, line := t.modseq, t.line
	switch {
	case v.notices != nil && len(v.notices.rest) > 0:
		dirty, until = v.notices.rest, v.notices.until
	case v.flagsTold >= t.log.from:
		dirty = v.dirty()
	default:
		since, told := v.flagsTold, v.numbers.Told()
		t.mu.Unlock()
		var err error
		if dirty, until, err = v.dirtyInStore(ctx, since, told); err != nil {
			return err
		}
		t.mu.Lock()
	}
	portion, rest := t.split(dirty, max(limit, 1))
	var unknown imap.UIDSet
	u.Flags, unknown = t.log.values(portion, v.flagsTold, &t.index, u.Flags)
	t.mu.Unlock()

	if len(unknown) > 0 {
		var err error
		if u.Flags, err = t.rows(ctx, unknown, u.Flags); err != nil {
			return err
		}
		slices.SortFunc(u.Flags, byUID)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.line != line {
		return nil // until means nothing any more
	}
	if len(rest) > 0 {
		v.extra().rest, v.notices.until = rest, until
		return nil
	}
	if v.notices != nil {
		v.notices.rest = nil
	}
	v.flagged(until)
	return nil
}

// dirty returns the messages whose flags have changed according to the log, but for the session's own changes.
func (v *View) dirty() imap.UIDSet {
	var set msn.Index
	t, told := v.t, v.numbers.Told()
	for _, e := range t.log.after(v.flagsTold) {
		if v.owns(e) {
			continue
		}
		for _, f := range e.flags {
			if !f.User.IsZero() {
				continue
			}
			for _, r := range f.UIDs {
				for uid := range t.index.Range(r.Start, min(r.Stop, told)) {
					set.Add(uid)
				}
			}
		}
	}
	return set.AppendRuns(nil, 1, told)
}

// dirtyInStore returns the messages up to told whose flags have changed after since, according to the store, and up to when. If
// it does not know any more, they are all.
func (v *View) dirtyInStore(ctx context.Context, since mailbox.ModSeq, told imap.UID) (imap.UIDSet, mailbox.ModSeq, error) {
	t := v.t
	c, ok, err := t.set.Store.ChangesSince(ctx, t.box, since)
	if err != nil {
		return nil, 0, err
	}
	var set msn.Index
	if ok && t.otherLine(c) {
		err, ok = t.ready(ctx, 0, 0), false
		if err != nil {
			return nil, 0, err
		}
	}
	if !ok || c.Truncated {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.index.AppendRuns(nil, 1, told), t.modseq, nil
	}
	if err := t.ready(ctx, c.Line, c.ModSeq); err != nil {
		return nil, 0, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range c.Flags {
		for _, r := range f.UIDs {
			for uid := range t.index.Range(r.Start, min(r.Stop, told)) {
				set.Add(uid)
			}
		}
	}
	return set.AppendRuns(nil, 1, told), c.ModSeq, nil
}

// otherLine says whether c is of another line than what is known, and takes note of it.
func (t *tracker) otherLine(c *mailbox.Change) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.diff = t.diff || c.Line != t.line
	return c.Line != t.line
}

// split returns the first limit live UIDs of a set, and the others.
func (t *tracker) split(set imap.UIDSet, limit int) (portion, rest imap.UIDSet) {
	for i, r := range set {
		before := t.index.Rank(r.Start - 1)
		if n := t.index.Rank(r.Stop) - before; n <= uint32(limit) {
			portion = t.index.AppendRuns(portion, r.Start, r.Stop)
			limit -= int(n)
			continue
		}
		next, _ := t.index.UID(before + uint32(limit) + 1) // the first that is too much
		portion = t.index.AppendRuns(portion, r.Start, next-1)
		rest = append(imap.UIDSet{{Start: next, Stop: r.Stop}}, set[i+1:]...)
		return portion, rest
	}
	return portion, nil
}

// values appends the newest flags of the live UIDs in portion to rows, ascending, as far as the log after m has them
// exactly, and returns for which it has not.
func (l *flagLog) values(portion imap.UIDSet, m mailbox.ModSeq, x *msn.Index, rows []FlagRow) ([]FlagRow, imap.UIDSet) {
	n := len(rows)
	for _, r := range portion {
		for uid := range x.Range(r.Start, r.Stop) {
			rows = append(rows, FlagRow{UID: uid})
		}
	}
	found := rows[n:]
	left := len(found)
	entries := l.entries
	if m >= l.from {
		entries = l.after(m)
	}
	for _, e := range slices.Backward(entries) {
		if left == 0 {
			break
		}
		for _, f := range e.flags {
			if !f.User.IsZero() {
				continue
			}
			for _, r := range f.UIDs {
				i, _ := slices.BinarySearchFunc(found, FlagRow{UID: r.Start}, byUID)
				for ; i < len(found) && found[i].UID <= r.Stop; i++ {
					if found[i].ModSeq > 0 {
						continue
					}
					found[i].ModSeq, found[i].Flags = e.modseq, f.Flags
					if !e.exact {
						found[i].Number = inexact
					}
					left--
				}
			}
		}
	}
	var unknown imap.UIDSet
	rows = slices.DeleteFunc(rows, func(r FlagRow) bool {
		if r.ModSeq == 0 || r.Number == inexact {
			unknown.AddNum(r.UID)
			return true
		}
		return false
	})
	return rows, unknown
}

// inexact marks a row, which has no number yet, whose flags must be read again to know their ModSeq.
const inexact = 1

func byUID(a, b FlagRow) int {
	switch {
	case a.UID < b.UID:
		return -1
	case a.UID > b.UID:
		return 1
	}
	return 0
}
