package imapserver

import (
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/mailbox"
)

// maxUID is the highest UID there can be.
const maxUID = imap.UID(1<<32 - 1)

// allUIDs is every UID.
var allUIDs = imap.UIDSet{{Start: 1, Stop: maxUID}}

// A missed is what a client has missed since it was last here.
type missed struct {
	since             mailbox.ModSeq
	changed, vanished imap.UIDSet
}

// missed finds what a client has missed (RFC 7162 §3.2.5).
func (c *conn) missed(q *wire.QResync, uidValidity uint32) (m missed, err error) {
	if uidValidity != q.UIDValidity {
		return missed{}, nil // what the client knows is void: it starts anew
	}
	known := allUIDs
	if q.KnownUIDs != nil {
		known = static(q.KnownUIDs)
	}
	m.since = mailbox.ModSeq(q.ModSeq)
	m.changed, m.vanished, err = c.changesSince(m.since, known, c.agreed(q))
	return m, err
}

// resync tells a client what it has missed.
func (c *conn) resync(m missed) error {
	if len(m.vanished) > 0 {
		c.enc.Vanished(true, m.vanished)
	}
	return c.fetchFlags(c.session.view.ResolveUIDs(m.changed).UIDs, m.since)
}

// changesSince returns which of known have changed and which have vanished after since. Up
// to agreed nothing can have vanished. The view has reached what is returned.
func (c *conn) changesSince(since mailbox.ModSeq, known imap.UIDSet, agreed imap.UID) (changed, vanished imap.UIDSet, err error) {
	s, store := c.session, c.srv.opts.Store
	change, ok, err := store.ChangesSince(c.srv.commands, s.box, since)
	if err != nil {
		return nil, nil, err
	}
	var reached mailbox.ModSeq
	if ok && !change.Truncated {
		reached, vanished = change.ModSeq, change.Expunged
		changed = changedBy(change)
	} else {
		// The expunge log does not go back so far: whatever is missing has
		// vanished, for all we know (RFC 7162 §3.2.6).
		is, err := store.Snapshot(c.srv.commands, s.box)
		if err != nil {
			return nil, nil, err
		}
		if agreed+1 < is.Counts.UIDNext {
			vanished = subtract(imap.UIDSet{{Start: agreed + 1, Stop: is.Counts.UIDNext - 1}}, is.UIDs)
		}
		reached, changed = is.ModSeq, allUIDs
	}
	if err := s.view.Reach(c.srv.commands, reached); err != nil {
		return nil, nil, err
	}
	vanished = intersect(vanished, known)
	// What vanished while this session counts it is told as news, with its number.
	vanished = subtract(vanished, s.view.ResolveUIDs(vanished).Gone)
	return intersect(changed, known), vanished, nil
}

// agreed returns the UID up to which the client's numbers are ours, as far as it has
// said (RFC 7162 §3.2.5.2). The sets may be huge: they are walked, not listed, and only
// as far as they are right.
func (c *conn) agreed(q *wire.QResync) (last imap.UID) {
	seqs := slices.Clone(q.Seqs)
	for _, r := range q.UIDs {
		for uid := r.Start; uid <= r.Stop && len(seqs) > 0; uid++ {
			if n, ok := c.session.view.Number(uid); !ok || n != seqs[0].Start {
				return last
			}
			last = uid
			if seqs[0].Start++; seqs[0].Start > seqs[0].Stop {
				seqs = seqs[1:]
			}
		}
	}
	return last
}

// fetchFlags writes UID, FLAGS and MODSEQ of those of uids that changed after since.
func (c *conn) fetchFlags(uids imap.UIDSet, since mailbox.ModSeq) error {
	for chunk := range chunks(uids, pageSize) {
		rows, err := c.session.view.Flags(c.srv.commands, chunk, c.rows[:0])
		c.rows = rows
		if err != nil {
			return err
		}
		for i := range rows {
			if rows[i].ModSeq > since {
				c.writeFlags(&rows[i], true)
			}
		}
		if err := c.flushFull(); err != nil {
			return err
		}
	}
	return nil
}
