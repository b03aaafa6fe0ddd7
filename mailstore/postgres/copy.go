package postgres

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/rules"
)

// Copy implements mailstore.Messages.
func (s *Store) Copy(ctx context.Context, from, to mailbox.ID, uids imap.UIDSet) (mailstore.Copied, error) {
	return s.transfer(ctx, "copy", from, to, uids, false)
}

// Move implements mailstore.Messages. To move within one mailbox gives the
// messages new UIDs.
func (s *Store) Move(ctx context.Context, from, to mailbox.ID, uids imap.UIDSet) (mailstore.Copied, error) {
	return s.transfer(ctx, "move", from, to, uids, true)
}

func (s *Store) transfer(ctx context.Context, op string, from, to mailbox.ID, uids imap.UIDSet, move bool) (mailstore.Copied, error) {
	boxes := []mailbox.ID{from, to}
	if from == to {
		boxes = boxes[:1]
	}
	var out mailstore.Copied
	err := s.write(ctx, &request{op: op, boxes: boxes, charges: !move, reads: true, run: func(t *tx) error {
		out = mailstore.Copied{}
		list, err := t.messageRows(from, uids, s.o.MaxCopy+1)
		if err != nil {
			return err
		}
		src, err := t.box(op, from)
		if err != nil {
			return err
		}
		dst, err := t.box(op, to)
		if err != nil {
			return err
		}
		if src.acct != dst.acct {
			return refuse(mailbox.Cannot, op, "the mailboxes belong to different accounts")
		}
		if len(list) > s.o.MaxCopy {
			return refuse(mailbox.Limit, op, "too many messages at once")
		}
		out, err = t.transfer(op, src, dst, list, move)
		return err
	}})
	if err != nil {
		return mailstore.Copied{}, err
	}
	return out, nil
}

// transfer copies or moves messages; src and dst are the same box where they
// are the same mailbox.
func (t *tx) transfer(op string, src, dst *box, list []messageRow, move bool) (out mailstore.Copied, err error) {
	out.UIDValidity = dst.UIDValidity
	if len(list) == 0 {
		return out, nil
	}
	if uint64(dst.Counts.UIDNext)+uint64(len(list)) > maxUID {
		return out, refuse(mailbox.Limit, op, "the mailbox has no UIDs left")
	}
	if !move {
		add := mailbox.QuotaUsage{Messages: int64(len(list))}
		for _, m := range list {
			add.Storage += m.size
		}
		if err := t.charge(op, dst, add); err != nil {
			return out, err
		}
	}
	added := t.next(dst)
	var flags rules.Flagging
	old, uids, bodies, keywords := make([]int64, len(list)), make([]int64, len(list)), make([]int64, len(list)), make([]string, len(list))
	for i, m := range list {
		if m.flags, err = t.spell(op, dst, m.flags, true); err != nil {
			return out, err
		}
		uid := dst.Counts.UIDNext
		dst.Counts.UIDNext++
		old[i], uids[i], bodies[i], keywords[i] = m.uid, int64(uid), m.body, m.flags.Keywords
		dst.count(1, m.size, m.flags.System)
		rules.AddUID(&out.Source, imap.UID(m.uid))
		rules.AddUID(&added.Added, uid)
		flags.Add(uid, m.flags)
	}
	t.exec(`INSERT INTO messages (account, box, uid, modseq, created, flags, keywords, size, received, zone, saved, body, thread)
		SELECT m.account, $2, u.uid, $3, $3, m.flags, u.keywords, m.size, m.received, m.zone, $4, m.body, m.thread
		FROM unnest($6::bigint[], $7::bigint[], $8::text[]) AS u(old, uid, keywords), LATERAL
		(SELECT * FROM messages WHERE account = $1 AND box = $5 AND uid = u.old OFFSET 0) AS m`,
		dst.acct, dst.num, int64(added.ModSeq), t.now.Unix(), src.num, old, uids, keywords)
	if !move {
		t.exec(`INSERT INTO shared (account, body, owners) SELECT $1, body, count(*) + 1 FROM unnest($2::bigint[]) AS body GROUP BY body
			ON CONFLICT (account, body) DO UPDATE SET owners = shared.owners + excluded.owners - 1`, dst.acct, bodies)
	}
	added.Flags = flags.Changes()
	out.Dest, out.Change = added.Added, added
	t.conclude(dst, added)
	if !move {
		return out, nil
	}
	for _, m := range list {
		src.count(-1, m.size, m.flags.System)
	}
	t.remove(src, old)
	out.Expunge = t.next(src)
	out.Expunge.Expunged = out.Source
	t.concludeExpunge(src, out.Expunge)
	return out, nil
}
