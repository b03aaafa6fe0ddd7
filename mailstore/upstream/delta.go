package upstream

import (
	"cmp"
	"errors"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/upstream/conn"
)

// A Box names a mailbox in the changes that are made of it.
type Box struct {
	ID      mailbox.ID
	Account mailbox.AccountID
	Line    uint64 // of the server's own numbering
}

// A Known is what is known of a mailbox whose server numbers changes itself.
type Known struct {
	UIDValidity uint32
	ModSeq      mailbox.ModSeq // 0: nothing; there is no Delta then
	// UIDNext is the mailbox's at ModSeq: lower UIDs are no news. 0 if it is not known; then all that
	// has changed is called new as well, which does no harm to who knows better.
	UIDNext imap.UID
}

// Why there is no Delta.
var (
	// ErrUIDValidity: the mailbox is another one, all UIDs are void.
	ErrUIDValidity = errors.New("mailbox has another UIDVALIDITY")
	// ErrBackwards: the server's mod-sequence is below what is known. It was restored from a backup.
	ErrBackwards = errors.New("mailbox has gone back in time")
	// ErrNoModSeq: the mailbox has no mod-sequences that last (RFC 7162 §3.1.2.2).
	ErrNoModSeq = errors.New("mailbox has no mod-sequences")
)

// Since is what to ask a server for, in an EXAMINE, to learn what Delta needs.
func (k Known) Since() *conn.Since {
	return &conn.Since{UIDValidity: k.UIDValidity, ModSeq: k.ModSeq}
}

// Delta is what a server said to an EXAMINE with k.Since, as one Change from k.ModSeq to the
// mailbox's HIGHESTMODSEQ. If they are equal nothing has changed. The Change is Truncated where the
// server said too much to be held or too little to be relied on.
//
// It is the net state of any number of transactions: its ModSeq is not that of each
// message in it. status, if not nil, is what it said to a STATUS behind that, for the counts that
// EXAMINE does not tell.
func (b Box) Delta(k Known, s *conn.Select, status *conn.StatusData) (*mailbox.Change, error) {
	switch {
	case s.UIDValidity != k.UIDValidity:
		return nil, ErrUIDValidity
	case s.NoModSeq || s.HighestModSeq == 0 || k.ModSeq == 0:
		return nil, ErrNoModSeq
	case s.HighestModSeq < k.ModSeq:
		return nil, ErrBackwards
	}
	c := &mailbox.Change{Mailbox: b.ID, Account: b.Account, Line: b.Line, Prev: k.ModSeq, ModSeq: s.HighestModSeq, Counts: counts(s, status)}
	if c.ModSeq == c.Prev {
		// What came all the same belongs to a change that has just begun, and comes again with it.
		return c, nil
	}
	rows, ok := latest(k, s)
	if !ok || s.Truncated {
		c.Truncated = true
		return c, nil
	}
	c.Expunged = s.Vanished
	groups := map[mailbox.Flags]int{}
	for _, r := range rows {
		if r.UID >= k.UIDNext {
			c.Added = add(c.Added, r.UID)
		}
		i, ok := groups[r.Flags]
		if !ok {
			i = len(c.Flags)
			groups[r.Flags] = i
			c.Flags = append(c.Flags, mailbox.FlagChange{Flags: r.Flags})
		}
		c.Flags[i].UIDs = add(c.Flags[i].UIDs, r.UID)
		// The server may tell of a message that came when it had told UIDNEXT.
		c.Counts.UIDNext = max(c.Counts.UIDNext, r.UID+1)
	}
	return c, nil
}

// latest returns what was said last of each message that has changed and is still there, by UID. It
// reports false if something was left out.
func latest(k Known, s *conn.Select) ([]conn.Row, bool) {
	rows := slices.Clone(s.Changed)
	slices.SortStableFunc(rows, func(x, y conn.Row) int { return cmp.Compare(x.UID, y.UID) })
	kept := rows[:0]
	gone := 0 // of s.Vanished: what ends below the current UID
	for i, r := range rows {
		if r.UID == 0 || !r.HasFlags {
			return nil, false
		}
		if i+1 < len(rows) && rows[i+1].UID == r.UID {
			continue
		}
		for gone < len(s.Vanished) && s.Vanished[gone].Stop < r.UID {
			gone++
		}
		switch {
		case gone < len(s.Vanished) && s.Vanished[gone].Start <= r.UID: // for good: UIDs do not come back
		case r.ModSeq != 0 && r.ModSeq <= k.ModSeq: // known
		default:
			kept = append(kept, r)
		}
	}
	return kept, true
}

// counts are the figures of a mailbox.
func counts(s *conn.Select, status *conn.StatusData) mailbox.Counts {
	c := mailbox.Counts{Messages: s.Exists, UIDNext: s.UIDNext}
	if status != nil {
		c.Unseen, c.Deleted, c.Size = status.Unseen, status.Deleted, status.Size
	}
	return c
}

// add adds a UID above all that are in set.
func add(set imap.UIDSet, uid imap.UID) imap.UIDSet {
	if n := len(set); n > 0 && set[n-1].Stop+1 == uid {
		set[n-1].Stop = uid
		return set
	}
	return append(set, imap.UIDRange{Start: uid, Stop: uid})
}
