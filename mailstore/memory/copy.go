package memory

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/rules"
)

// Copy implements mailstore.Messages.
func (s *Store) Copy(ctx context.Context, from, to mailbox.ID, uids imap.UIDSet) (mailstore.Copied, error) {
	return s.transfer(ctx, "Copy", from, to, uids, false)
}

// Move implements mailstore.Messages. To move within one mailbox gives the
// messages new UIDs.
func (s *Store) Move(ctx context.Context, from, to mailbox.ID, uids imap.UIDSet) (mailstore.Copied, error) {
	return s.transfer(ctx, "Move", from, to, uids, true)
}

func (s *Store) transfer(ctx context.Context, op string, from, to mailbox.ID, uids imap.UIDSet, move bool) (mailstore.Copied, error) {
	var out mailstore.Copied
	err := s.write(ctx, op, func(t *tx) error {
		src, err := t.w.box(op, from)
		if err != nil {
			return err
		}
		dst, err := t.w.box(op, to)
		if err != nil {
			return err
		}
		if src.owner != dst.owner {
			return refuse(mailbox.Cannot, op, "the mailboxes belong to different accounts")
		}
		out, err = t.transfer(src, dst, uids, move)
		return err
	})
	if err != nil {
		return mailstore.Copied{}, err
	}
	return out, nil
}

// transfer copies or moves messages.
func (t *tx) transfer(src, dst *box, uids imap.UIDSet, move bool) (out mailstore.Copied, err error) {
	out.UIDValidity = dst.UIDValidity
	var list []*mail
	add := mailbox.QuotaUsage{}
	for m := range src.in(uids) {
		if len(list) == t.w.o.MaxCopy {
			return out, refuse(mailbox.Limit, t.op, "too many messages at once")
		}
		list = append(list, m)
		add.Messages++
		add.Storage += m.draft.Bytes
	}
	if len(list) == 0 {
		return out, nil
	}
	if uint64(dst.Counts.UIDNext)+uint64(len(list)) > maxUID {
		return out, refuse(mailbox.Limit, t.op, "the mailbox has no UIDs left")
	}
	if !move {
		if err := dst.owner.fits(t, add); err != nil {
			return out, err
		}
	}
	to := *dst
	added := t.next(&to)
	var flags rules.Flagging
	for _, m := range list {
		c := *m
		if c.flags, err = to.spell(t, m.flags, true); err != nil {
			return out, err
		}
		c.uid, c.modseq, c.created, c.saved = to.Counts.UIDNext, added.ModSeq, added.ModSeq, seconds(t.now.UTC())
		to.Counts.UIDNext++
		to.messages = append(to.messages, &c)
		to.count(1, c.draft.Bytes, c.flags.System)
		rules.AddUID(&out.Source, m.uid)
		rules.AddUID(&added.Added, c.uid)
		flags.Add(c.uid, c.flags)
	}
	// From here on nothing fails.
	added.Flags = flags.Changes()
	out.Dest, out.Change = added.Added, added
	t.conclude(&to, added)
	*dst = to
	if !move {
		dst.owner.charge(add)
		return out, nil
	}
	for _, m := range list {
		src.count(-1, m.draft.Bytes, m.flags.System)
	}
	src.remove(out.Source)
	out.Expunge = t.next(src)
	out.Expunge.Expunged = out.Source
	t.conclude(src, out.Expunge)
	return out, nil
}
