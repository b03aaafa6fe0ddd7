package postgres

import (
	"context"

	"github.com/emersion/go-imap/v2"
	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/rules"
)

// A messageRow is what changes look at of a message.
type messageRow struct {
	uid, modseq, size, body int64
	flags                   mailbox.Flags
}

// messageRows reads messages of a mailbox, at most limit of them, in ascending
// order of UID. It needs no lock to be known, so it can be sent with what locks.
func (t *tx) messageRows(id mailbox.ID, uids imap.UIDSet, limit int) (list []messageRow, err error) {
	if len(uids) == 0 {
		return nil, t.flush()
	}
	words := rules.Words{}
	from, to := spans(uids)
	err = t.rows(`SELECT m.uid, greatest(m.modseq, (SELECT base FROM mailboxes WHERE id = $1)), m.size, m.body, m.flags, m.keywords FROM unnest($2::bigint[], $3::bigint[]) AS s(first, last), LATERAL
		(SELECT * FROM messages WHERE `+inBox+` AND uid BETWEEN s.first AND s.last ORDER BY uid LIMIT $4) AS m ORDER BY m.uid LIMIT $4`, func(r pgx.Rows) error {
		var m messageRow
		var flags int16
		var keywords []byte
		if err := r.Scan(&m.uid, &m.modseq, &m.size, &m.body, &flags, &keywords); err != nil {
			return err
		}
		m.flags = mailbox.Flags{System: mailbox.SystemFlags(flags), Keywords: words.Text(keywords)}
		list = append(list, m)
		return nil
	}, id[:], from, to, limit)
	return list, err
}

// UpdateFlags implements mailstore.Messages.
func (s *Store) UpdateFlags(ctx context.Context, id mailbox.ID, uids imap.UIDSet, u mailstore.FlagUpdate) (mailstore.Flagged, error) {
	const op = "store flags"
	var out mailstore.Flagged
	err := s.write(ctx, &request{op: op, boxes: []mailbox.ID{id}, reads: true, run: func(t *tx) error {
		list, err := t.messageRows(id, uids, maxUID)
		if err != nil {
			return err
		}
		b, err := t.box(op, id)
		if err != nil {
			return err
		}
		out, err = t.updateFlags(op, b, list, u)
		return err
	}})
	if err != nil {
		return mailstore.Flagged{}, err
	}
	return out, nil
}

func (t *tx) updateFlags(op string, b *box, list []messageRow, u mailstore.FlagUpdate) (out mailstore.Flagged, err error) {
	keywords := b.keywords
	// Set and add need every keyword kept; deleting one that no message has does nothing.
	flags, err := t.spell(op, b, u.Flags, u.Op != imap.StoreFlagsDel)
	if err != nil {
		return out, err
	}
	var told rules.Flagging
	for _, m := range list {
		if u.UnchangedSince != nil && mailbox.ModSeq(m.modseq) > *u.UnchangedSince {
			rules.AddUID(&out.Modified, imap.UID(m.uid))
			continue
		}
		to := rules.Apply(m.flags, u.Op, flags)
		if to == m.flags {
			continue
		}
		b.count(-1, m.size, m.flags.System)
		b.count(1, m.size, to.System)
		told.Add(imap.UID(m.uid), to)
	}
	changes := told.Changes()
	if len(changes) == 0 {
		b.keywords = keywords // nothing has them
		return out, nil
	}
	c := t.next(b)
	for _, f := range changes {
		t.exec(`UPDATE messages SET flags = $4, keywords = $5, modseq = $6 WHERE `+theseMessages,
			b.acct, b.num, numbers(f.UIDs), int16(f.Flags.System), f.Flags.Keywords, int64(c.ModSeq))
	}
	c.Flags = changes
	out.Change = c
	t.conclude(b, c)
	return out, nil
}
