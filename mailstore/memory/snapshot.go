package memory

import (
	"context"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/rules"
)

// Snapshot implements mailstore.Mailboxes.
func (s *Store) Snapshot(ctx context.Context, id mailbox.ID) (*mailstore.Snapshot, error) {
	const op = "Snapshot"
	var snap *mailstore.Snapshot
	err := s.read(ctx, op, func(w *World) error {
		b, err := w.box(op, id)
		if err != nil {
			return err
		}
		snap = &mailstore.Snapshot{Info: b.info(), Line: w.line, Keywords: slices.Clone(b.keywords), Floor: b.floor}
		for _, m := range b.messages {
			rules.AddUID(&snap.UIDs, m.uid)
			if snap.FirstUnseen == 0 && m.flags.System&mailbox.Seen == 0 {
				snap.FirstUnseen = m.uid
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return snap, nil
}

// ChangesSince implements mailstore.Mailboxes.
func (s *Store) ChangesSince(ctx context.Context, id mailbox.ID, since mailbox.ModSeq) (*mailbox.Change, bool, error) {
	const op = "ChangesSince"
	var c *mailbox.Change
	err := s.read(ctx, op, func(w *World) error {
		b, err := w.box(op, id)
		if err == nil && b.floor <= since && since <= b.ModSeq {
			c = w.changes(b, since)
		}
		return err
	})
	if err != nil || c == nil {
		return nil, false, err
	}
	return c, true, nil
}

// changes returns what happened to b after since.
func (w *World) changes(b *box, since mailbox.ModSeq) *mailbox.Change {
	c := &mailbox.Change{Mailbox: b.ID, Account: b.Account, Line: w.line, Prev: since, ModSeq: b.ModSeq, Counts: b.Counts}
	var flags rules.Flagging
	for _, m := range b.messages {
		if m.created > since {
			rules.AddUID(&c.Added, m.uid)
		}
		if m.modseq > since {
			flags.Add(m.uid, m.flags)
		}
	}
	c.Flags = flags.Changes()
	for _, e := range b.expunged {
		if e.modseq > since {
			c.Expunged.AddSet(e.uids)
		}
	}
	return c
}

// ClaimRecent implements mailstore.Mailboxes.
func (s *Store) ClaimRecent(ctx context.Context, id mailbox.ID, upTo imap.UID) (first imap.UID, err error) {
	const op = "ClaimRecent"
	err = s.write(ctx, op, func(t *tx) error {
		b, err := t.w.box(op, id)
		if err != nil {
			return err
		}
		first = b.RecentFrom
		b.RecentFrom = max(b.RecentFrom, upTo)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return first, nil
}

// AdoptUIDs implements mailstore.UIDAdopter.
func (s *Store) AdoptUIDs(ctx context.Context, id mailbox.ID, validity uint32, next imap.UID) error {
	const op = "AdoptUIDs"
	if validity == 0 {
		return refuse(mailbox.Cannot, op, "a UIDVALIDITY cannot be 0")
	}
	return s.write(ctx, op, func(t *tx) error {
		b, err := t.w.box(op, id)
		if err != nil {
			return err
		}
		if validity != b.UIDValidity {
			if b.Counts.UIDNext != 1 {
				return refuse(mailbox.Cannot, op, "the mailbox has had messages under another UIDVALIDITY")
			}
			b.UIDValidity = validity
			b.owner.validity = max(b.owner.validity, validity) // so that no other mailbox gets it
			t.emit(mailbox.Event{Kind: mailbox.EventUIDValidityChanged, Account: b.Account, Mailbox: b.ID, Name: b.Name})
		}
		b.Counts.UIDNext = max(b.Counts.UIDNext, next)
		return nil
	})
}
