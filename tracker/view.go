package tracker

import (
	"context"
	"errors"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/msn"
)

// ErrNumber says that a command named a sequence number beyond what the client counts: BAD (RFC 9051 §9, seq-number).
var ErrNumber = errors.New("no message with that number")

// A View is what one session knows of a mailbox. Its methods may be called from any goroutine, but what the client is told must be in the
// order of the calls, so one goroutine at a time should lead the session.
type View struct {
	t       *tracker
	watcher Watcher

	// Guarded by t.mu.
	numbers   msn.View
	held      mailbox.ModSeq // while expunges are withheld: the ModSeq before the first of them
	flagsTold mailbox.ModSeq // flag changes up to here have been told
	keywords  int            // so many of t.keywords have been told
	notices   *notices       // nil while there is nothing unusual
}

// notices is what a View seldom has.
type notices struct {
	own   []mailbox.ModSeq // Changes of the session itself whose flags are not to be told, after flagsTold
	rest  imap.UIDSet      // messages whose flags are still to be told: it was too much for one portion
	until mailbox.ModSeq   // when rest is done, flag changes up to here have been told
}

// extra returns v.notices, made if need be.
func (v *View) extra() *notices {
	if v.notices == nil {
		v.notices = new(notices)
	}
	return v.notices
}

// Close ends the View. Closing again does nothing.
func (v *View) Close() {
	if v.t.detach(v) {
		v.t.set.release(v.t)
	}
}

// Selected is what SELECT and EXAMINE report (RFC 9051 §6.3.2).
type Selected struct {
	UIDValidity uint32
	UIDNext     imap.UID
	Messages    uint32
	FirstUnseen uint32 // its number; 0: there is none, or it is not known
	ModSeq      mailbox.ModSeq
	Keywords    []string // not to be changed
	Recent      imap.UID // messages from this UID on are recent and unclaimed
	Counts      mailbox.Counts
}

// Select starts the session: the client will have been told all there is.
func (v *View) Select() Selected {
	t := v.t
	t.mu.Lock()
	defer t.mu.Unlock()
	v.numbers = msn.View{}
	n, _ := v.numbers.Raise(&t.index)
	v.flagsTold, v.keywords, v.notices = t.modseq, len(t.keywords), nil
	s := Selected{
		UIDValidity: t.uidValidity,
		UIDNext:     t.index.Highest() + 1,
		Messages:    n,
		ModSeq:      t.modseq,
		Keywords:    t.keywords[:v.keywords:v.keywords],
		Recent:      t.recentFrom,
		Counts:      t.counts,
	}
	if !t.unseen.vague && t.unseen.uid > 0 {
		s.FirstUnseen, _ = v.numbers.Number(&t.index, t.unseen.uid)
	}
	return s
}

// Unclaimed says whether ClaimRecent would ask the store, which takes a transaction.
func (v *View) Unclaimed() bool {
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	return v.unclaimed()
}

func (v *View) unclaimed() bool {
	from, told := v.t.recentFrom, v.numbers.Told()
	return from > 0 && from <= told && v.t.index.Rank(told) > v.t.index.Rank(from-1)
}

// ClaimRecent makes all recent messages that the client was told of this session's alone, and returns them (RFC 3501 §2.3.2).
func (v *View) ClaimRecent(ctx context.Context) (imap.UIDSet, error) {
	t := v.t
	t.mu.Lock()
	if !v.unclaimed() {
		t.mu.Unlock()
		return nil, nil
	}
	from, told := t.recentFrom, v.numbers.Told()
	t.recentFrom = told + 1 // from now on nobody else here claims them
	t.mu.Unlock()

	first, err := t.set.Store.ClaimRecent(ctx, t.box, told+1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		if t.recentFrom == told+1 {
			t.recentFrom = from
		}
		return nil, err
	}
	return t.index.AppendRuns(nil, max(first, from), told), nil
}

// Resolved is what a set means to the client.
type Resolved struct {
	UIDs  imap.UIDSet // live messages: static, ascending
	Count uint32      // how many
	Gone  imap.UIDSet // messages that the client still counts but that were expunged
}

// Resolve returns what a set of sequence numbers means now. `*` is the last message that the client was told of. The error
// is ErrNumber, or nil; with it, what the client does count is resolved nevertheless.
func (v *View) Resolve(set imap.SeqSet) (Resolved, error) {
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	sel := v.numbers.Resolve(&v.t.index, set)
	if sel.Beyond {
		return resolved(sel), ErrNumber
	}
	return resolved(sel), nil
}

// ResolveUIDs returns what a set of UIDs means now; UIDs that do not exist or were not told are left out. A saved search result must
// have been put in before.
func (v *View) ResolveUIDs(set imap.UIDSet) Resolved {
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	return resolved(v.numbers.ResolveUIDs(&v.t.index, set))
}

func resolved(sel msn.Selection) Resolved {
	r := Resolved{UIDs: sel.Live, Gone: sel.Gone}
	for _, run := range sel.Live {
		r.Count += uint32(run.Stop-run.Start) + 1
	}
	return r
}

// Number returns the sequence number of uid, and whether the client counts that message.
func (v *View) Number(uid imap.UID) (uint32, bool) {
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	return v.numbers.Number(&v.t.index, uid)
}

// Numbers appends the sequence number of each of uids to dst: 0 for those that the client does not count.
func (v *View) Numbers(uids []imap.UID, dst []uint32) []uint32 {
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	for _, uid := range uids {
		n, _ := v.numbers.Number(&v.t.index, uid)
		dst = append(dst, n)
	}
	return dst
}

// Told returns how many messages the client counts and the UID of the last of them, 0 if there is none.
func (v *View) Told() (count uint32, last imap.UID) {
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	count = v.numbers.Count(&v.t.index)
	last, _, _ = v.numbers.UID(&v.t.index, count)
	return count, last
}

// ModSeq returns the ModSeq up to which the tracker has everything.
func (v *View) ModSeq() mailbox.ModSeq {
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	return v.t.modseq
}

// heldBack returns the ModSeq before the first expunge that is withheld.
func (v *View) heldBack() mailbox.ModSeq {
	if v.numbers.HasPending() {
		return min(v.t.modseq, v.held)
	}
	return v.t.modseq
}

// Tellable returns the highest ModSeq that may be told as HIGHESTMODSEQ now: what is withheld holds it back (RFC 7162 §3.2).
func (v *View) Tellable() mailbox.ModSeq {
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	if v.flagNews() {
		return min(v.flagsTold, v.heldBack())
	}
	return v.heldBack()
}

// Reach returns when the tracker has everything up to m. What is missing is read from the store at once.
func (v *View) Reach(ctx context.Context, m mailbox.ModSeq) error {
	v.t.mu.Lock()
	reached := v.t.modseq >= m || v.t.gone != nil
	err, line := v.t.gone, v.t.line
	v.t.mu.Unlock()
	if reached {
		return err
	}
	return v.t.ready(ctx, line, m)
}

// maxOwn is how many of its own Changes a View remembers; more are told to the client, which does no harm.
const maxOwn = 1024

// Own says that the Change with ModSeq m was made by this session with .SILENT (RFC 9051 §6.4.6): Flush does not tell its flags.
func (v *View) Own(m mailbox.ModSeq) {
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	if m > v.flagsTold && len(v.extra().own) < maxOwn {
		v.notices.own = append(v.notices.own, m)
	}
}

// Disown takes back what Own said of the Changes from m on, because the command that made them has failed: Flush tells their flags, and those
// of others since, again if need be. With m = 0, when there is no such Change, it does nothing.
func (v *View) Disown(m mailbox.ModSeq) {
	if m == 0 {
		return
	}
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	v.flagsTold, v.notices = min(v.flagsTold, m-1), nil
}

// renumbered is called when the mailbox's ModSeqs start anew: any flags may have changed.
func (v *View) renumbered() { v.flagsTold, v.held, v.notices = 0, 0, nil }
