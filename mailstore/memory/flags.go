package memory

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/rules"
)

// UpdateFlags implements mailstore.Messages.
func (s *Store) UpdateFlags(ctx context.Context, id mailbox.ID, uids imap.UIDSet, u mailstore.FlagUpdate) (mailstore.Flagged, error) {
	const op = "UpdateFlags"
	var out mailstore.Flagged
	err := s.write(ctx, op, func(t *tx) error {
		b, err := t.w.box(op, id)
		if err != nil {
			return err
		}
		// Set and add need every keyword kept; deleting one that no message has does nothing.
		flags, err := b.spell(t, u.Flags, u.Op != imap.StoreFlagsDel)
		if err != nil {
			return err
		}
		out = t.updateFlags(b, uids, u, flags)
		return nil
	})
	if err != nil {
		return mailstore.Flagged{}, err
	}
	return out, nil
}

func (t *tx) updateFlags(b *box, uids imap.UIDSet, u mailstore.FlagUpdate, flags mailbox.Flags) (out mailstore.Flagged) {
	var told rules.Flagging
	for m := range b.in(uids) {
		if u.UnchangedSince != nil && m.modseq > *u.UnchangedSince {
			rules.AddUID(&out.Modified, m.uid)
			continue
		}
		now := rules.Apply(m.flags, u.Op, flags)
		if now == m.flags {
			continue
		}
		if out.Change == nil {
			out.Change = t.next(b)
		}
		b.count(-1, m.draft.Bytes, m.flags.System)
		b.count(1, m.draft.Bytes, now.System)
		m.flags, m.modseq = now, out.Change.ModSeq
		told.Add(m.uid, now)
	}
	if out.Change != nil {
		out.Change.Flags = told.Changes()
		t.conclude(b, out.Change)
	}
	return out
}
