package sqlite

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/rules"
	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
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
	var out mailstore.Copied
	err := s.write(ctx, op, func(t *tx) error {
		src, err := findBox(t.c, op, from)
		if err != nil {
			return err
		}
		dst := &src
		if to != from {
			b, err := findBox(t.c, op, to)
			if err != nil {
				return err
			}
			dst = &b
		}
		if src.acct != dst.acct {
			return refuse(mailbox.Cannot, op, "the mailboxes belong to different accounts")
		}
		out, err = t.transfer(op, &src, dst, uids, move)
		return err
	})
	if err != nil {
		return mailstore.Copied{}, err
	}
	return out, nil
}

// A copying is a message to be copied.
type copying struct {
	uid, size, body int64
	flags           mailbox.Flags
}

// transfer copies or moves messages; src and dst are the same box where they
// are the same mailbox.
func (t *tx) transfer(op string, src, dst *box, uids imap.UIDSet, move bool) (out mailstore.Copied, err error) {
	out.UIDValidity = dst.UIDValidity
	list, err := t.selectCopying(op, src, uids)
	if err != nil || len(list) == 0 {
		return out, err
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
	spelling := &vocabulary{t: t, op: op, box: dst.num}
	for _, m := range list {
		if m.flags, err = spelling.use(m.flags, true); err != nil {
			return out, err
		}
		uid := dst.Counts.UIDNext
		dst.Counts.UIDNext++
		if err := t.exec(`INSERT INTO messages (box, uid, modseq, created, flags, keywords, size, received, zone, saved, body, thread)
			SELECT ?1, ?2, ?3, ?3, flags, ?4, size, received, zone, ?5, body, thread FROM messages WHERE box = ?6 AND uid = ?7`,
			dst.num, uint32(uid), int64(added.ModSeq), m.flags.Keywords, t.now.Unix(), src.num, m.uid); err != nil {
			return out, err
		}
		if !move {
			if err := t.share(m.body); err != nil {
				return out, err
			}
		}
		dst.count(1, m.size, m.flags.System)
		rules.AddUID(&out.Source, imap.UID(m.uid))
		rules.AddUID(&added.Added, uid)
		flags.Add(uid, m.flags)
	}
	added.Flags = flags.Changes()
	out.Dest, out.Change = added.Added, added
	if err := t.conclude(dst, added); err != nil || !move {
		return out, err
	}
	for _, m := range list {
		src.count(-1, m.size, m.flags.System)
	}
	if err := t.remove(src.num, out.Source); err != nil {
		return out, err
	}
	out.Expunge = t.next(src)
	out.Expunge.Expunged = out.Source
	return out, t.concludeExpunge(src, out.Expunge)
}

// selectCopying reads the messages to be copied, at most as many as allowed.
func (t *tx) selectCopying(op string, src *box, uids imap.UIDSet) (list []copying, err error) {
	words := rules.Words{}
	for _, r := range uids {
		if err := t.rows(`SELECT uid, size, body, flags, keywords FROM messages WHERE box = ? AND uid BETWEEN ? AND ? ORDER BY uid`, func(r *sqlite3.Stmt) error {
			if len(list) == t.s.o.MaxCopy {
				return refuse(mailbox.Limit, op, "too many messages at once")
			}
			list = append(list, copying{r.Int(0), r.Int(1), r.Int(2),
				mailbox.Flags{System: mailbox.SystemFlags(r.Int(3)), Keywords: words.Text(r.Bytes(4))}})
			return nil
		}, src.num, uint32(r.Start), uint32(r.Stop)); err != nil {
			return nil, err
		}
	}
	return list, nil
}
