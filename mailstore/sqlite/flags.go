package sqlite

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/rules"
	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
)

// UpdateFlags implements mailstore.Messages.
func (s *Store) UpdateFlags(ctx context.Context, id mailbox.ID, uids imap.UIDSet, u mailstore.FlagUpdate) (mailstore.Flagged, error) {
	const op = "store flags"
	var out mailstore.Flagged
	err := s.write(ctx, op, func(t *tx) error {
		b, err := findBox(t.c, op, id)
		if err != nil {
			return err
		}
		out, err = t.updateFlags(op, &b, uids, u)
		return err
	})
	if err != nil {
		return mailstore.Flagged{}, err
	}
	return out, nil
}

// A reflagging is a message that gets other flags.
type reflagging struct {
	uid      imap.UID
	size     int64
	from, to mailbox.Flags
}

func (t *tx) updateFlags(op string, b *box, uids imap.UIDSet, u mailstore.FlagUpdate) (out mailstore.Flagged, err error) {
	// Set and add need every keyword kept; deleting one that no message has does nothing.
	flags, err := (&vocabulary{t: t, op: op, box: b.num}).use(u.Flags, u.Op != imap.StoreFlagsDel)
	if err != nil {
		return out, err
	}
	var list []reflagging
	words := rules.Words{}
	for _, r := range uids {
		if err := t.rows(`SELECT uid, modseq, flags, keywords, size FROM messages WHERE box = ? AND uid BETWEEN ? AND ? ORDER BY uid`, func(r *sqlite3.Stmt) error {
			uid := imap.UID(r.Int(0))
			if u.UnchangedSince != nil && mailbox.ModSeq(r.Int(1)) > *u.UnchangedSince {
				rules.AddUID(&out.Modified, uid)
				return nil
			}
			from := mailbox.Flags{System: mailbox.SystemFlags(r.Int(2)), Keywords: words.Text(r.Bytes(3))}
			if to := rules.Apply(from, u.Op, flags); to != from {
				list = append(list, reflagging{uid, r.Int(4), from, to})
			}
			return nil
		}, b.num, uint32(r.Start), uint32(r.Stop)); err != nil {
			return out, err
		}
	}
	if len(list) == 0 {
		return out, nil
	}
	c := t.next(b)
	var told rules.Flagging
	for _, m := range list {
		if err := t.exec(`UPDATE messages SET flags = ?, keywords = ?, modseq = ? WHERE box = ? AND uid = ?`,
			int(m.to.System), m.to.Keywords, int64(c.ModSeq), b.num, uint32(m.uid)); err != nil {
			return out, err
		}
		b.count(-1, m.size, m.from.System)
		b.count(1, m.size, m.to.System)
		told.Add(m.uid, m.to)
	}
	c.Flags = told.Changes()
	out.Change = c
	return out, t.conclude(b, c)
}
