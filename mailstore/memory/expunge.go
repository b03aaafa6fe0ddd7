package memory

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/rules"
)

// Expunge implements mailstore.Messages.
func (s *Store) Expunge(ctx context.Context, id mailbox.ID, uids imap.UIDSet) (*mailbox.Change, error) {
	const op = "Expunge"
	var c *mailbox.Change
	err := s.write(ctx, op, func(t *tx) error {
		b, err := t.w.box(op, id)
		if err != nil {
			return err
		}
		c = t.expunge(b, uids)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (t *tx) expunge(b *box, uids imap.UIDSet) *mailbox.Change {
	var gone imap.UIDSet
	usage := mailbox.QuotaUsage{}
	for m := range b.in(uids) {
		if m.flags.System&mailbox.Deleted == 0 {
			continue
		}
		rules.AddUID(&gone, m.uid)
		b.count(-1, m.draft.Bytes, m.flags.System)
		usage.Storage -= m.draft.Bytes
		usage.Messages--
	}
	if gone == nil {
		return nil
	}
	b.remove(gone)
	b.owner.charge(usage)
	c := t.next(b)
	c.Expunged = gone
	t.conclude(b, c)
	return c
}
