package sqlite

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/feedcodec"
	"github.com/starling-mail/starling/mailstore/rules"
	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
)

// Expunge implements mailstore.Messages.
func (s *Store) Expunge(ctx context.Context, id mailbox.ID, uids imap.UIDSet) (*mailbox.Change, error) {
	const op = "expunge"
	var c *mailbox.Change
	err := s.write(ctx, op, func(t *tx) error {
		b, err := findBox(t.c, op, id)
		if err != nil {
			return err
		}
		c, err = t.expunge(op, &b, uids)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (t *tx) expunge(op string, b *box, uids imap.UIDSet) (*mailbox.Change, error) {
	if b.Counts.Deleted == 0 {
		return nil, nil
	}
	var gone imap.UIDSet
	var bodies []int64
	usage := mailbox.QuotaUsage{}
	for _, r := range uids {
		if err := t.rows(`SELECT uid, flags, size, body FROM messages WHERE box = ? AND uid BETWEEN ? AND ? ORDER BY uid`, func(r *sqlite3.Stmt) error {
			flags := mailbox.SystemFlags(r.Int(1))
			if flags&mailbox.Deleted == 0 {
				return nil
			}
			rules.AddUID(&gone, imap.UID(r.Int(0)))
			bodies = append(bodies, r.Int(3))
			b.count(-1, r.Int(2), flags)
			usage.Storage -= r.Int(2)
			usage.Messages--
			return nil
		}, b.num, uint32(r.Start), uint32(r.Stop)); err != nil {
			return nil, err
		}
	}
	if gone == nil {
		return nil, nil
	}
	if err := t.remove(b.num, gone); err != nil {
		return nil, err
	}
	for _, body := range bodies {
		if err := t.release(body); err != nil {
			return nil, err
		}
	}
	if err := t.charge(op, b, usage); err != nil {
		return nil, err
	}
	c := t.next(b)
	c.Expunged = gone
	return c, t.concludeExpunge(b, c)
}

// remove deletes rows of messages. Each of gone's ranges holds only UIDs that go
// or that are not there.
func (t *tx) remove(box int64, gone imap.UIDSet) error {
	for _, r := range gone {
		if err := t.exec(`DELETE FROM messages WHERE box = ? AND uid BETWEEN ? AND ?`, box, uint32(r.Start), uint32(r.Stop)); err != nil {
			return err
		}
	}
	return nil
}

// concludeExpunge writes the expunge log besides what conclude does.
func (t *tx) concludeExpunge(b *box, c *mailbox.Change) error {
	if err := t.exec(`INSERT INTO expunged (box, modseq, at, uids) VALUES (?, ?, ?, ?)`,
		b.num, int64(c.ModSeq), t.now.Unix(), feedcodec.AppendUIDs(nil, c.Expunged)); err != nil {
		return err
	}
	return t.conclude(b, c)
}

// release takes an owner from a body; one without owners is deleted.
func (t *tx) release(body int64) error {
	owners := int64(1)
	if _, err := t.row(`SELECT owners FROM shared WHERE body = ?`, func(r *sqlite3.Stmt) { owners = r.Int(0) }, body); err != nil {
		return err
	}
	switch {
	case owners > 2:
		return t.exec(`UPDATE shared SET owners = owners - 1 WHERE body = ?`, body)
	case owners == 2:
		return t.exec(`DELETE FROM shared WHERE body = ?`, body)
	}
	if err := t.exec(`INSERT INTO dead_blobs (blob) SELECT blob FROM bodies WHERE body = ? AND blob IS NOT NULL`, body); err != nil {
		return err
	}
	if err := t.exec(`DELETE FROM bodies WHERE body = ?`, body); err != nil {
		return err
	}
	return t.exec(`DELETE FROM contents WHERE body = ?`, body)
}
