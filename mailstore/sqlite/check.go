package sqlite

import (
	"context"
	"fmt"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/feedcodec"
	"github.com/starling-mail/starling/mailstore/rules"
	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
)

var _ mailstore.Checker = (*Store)(nil)

// A checker is one run of Check.
type checker struct {
	s      *Store
	ctx    context.Context
	repair bool
	report func(mailstore.Finding)
}

const opCheck = "check store"

// Check implements mailstore.Checker; every body is read. It may run while the store serves: each
// mailbox is looked at in one snapshot, and what is mended is looked at again in the writer.
//
// Mended are figures (counts, UIDNEXT, quotas, owners of bodies) and leftovers (blobs and bodies without a message). Messages
// that are damaged or whose body is gone are reported as lost and left as they are.
func (s *Store) Check(ctx context.Context, o mailstore.CheckOptions, report func(mailstore.Finding)) error {
	c := &checker{s: s, ctx: ctx, repair: o.Repair, report: report}
	for _, step := range []func() error{c.database, c.mailboxes, c.owners, c.contents, c.blobs, c.accounts} {
		if err := step(); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return unavailable(opCheck, err)
		}
	}
	return nil
}

func (c *checker) found(mended, lost bool, format string, args ...any) {
	c.report(mailstore.Finding{What: fmt.Sprintf(format, args...), Mended: mended, Lost: lost})
}

// database has SQLite check the structure of its file.
func (c *checker) database() error {
	return c.s.read(c.ctx, opCheck, func(db *sqlite3.Conn) error {
		return rows(db, `PRAGMA integrity_check(100)`, func(r *sqlite3.Stmt) error {
			if msg := r.Text(0); msg != "ok" {
				c.found(false, true, "database: %s", msg)
			}
			return nil
		})
	})
}

// mailboxes compares each mailbox's figures with its messages and its expunge
// log.
func (c *checker) mailboxes() error {
	var boxes []mailbox.ID
	if err := c.s.read(c.ctx, opCheck, func(db *sqlite3.Conn) error {
		return rows(db, `SELECT id FROM mailboxes ORDER BY account, name`, func(r *sqlite3.Stmt) error {
			var id mailbox.ID
			copy(id[:], r.Bytes(0))
			boxes = append(boxes, id)
			return nil
		})
	}); err != nil {
		return err
	}
	for _, id := range boxes {
		if err := c.mailbox(id); err != nil && mailbox.KindOf(err) != mailbox.NonExistent { // deleted meanwhile
			return err
		}
	}
	return nil
}

func (c *checker) mailbox(id mailbox.ID) error {
	var is box
	var faults []string
	look := func(db *sqlite3.Conn) (err error) {
		if is, err = findBox(db, opCheck, id); err != nil {
			return err
		}
		if faults, err = recount(db, &is); err != nil {
			return err
		}
		log, err := expungeLogFaults(db, &is)
		faults = append(faults, log...)
		return err
	}
	if err := c.s.read(c.ctx, opCheck, look); err != nil {
		return err
	}
	if len(faults) > 0 && c.repair {
		if err := c.s.write(c.ctx, opCheck, func(t *tx) error {
			if err := look(t.c); err != nil || len(faults) == 0 {
				return err
			}
			return t.mendBox(&is)
		}); err != nil {
			return err
		}
	}
	for _, f := range faults {
		c.found(c.repair, false, "mailbox %q of account %s: %s", is.Name, is.Account, f)
	}
	return c.sizes(is.num)
}

// recount puts into b what its messages say, and tells what was otherwise.
func recount(db *sqlite3.Conn, b *box) (faults []string, err error) {
	was, wasSeq := b.Counts, b.ModSeq
	is := mailbox.Counts{UIDNext: was.UIDNext}
	if _, err := row(db, `SELECT count(*), total(flags & 1 = 0), total(flags & 8 <> 0), coalesce(sum(size), 0), coalesce(sum(size) FILTER (WHERE flags & 8 <> 0), 0),
		coalesce(max(uid), 0), coalesce(max(modseq), 0) FROM messages WHERE box = ?`, func(r *sqlite3.Stmt) {
		is.Messages, is.Unseen, is.Deleted = uint32(r.Int(0)), uint32(r.Int(1)), uint32(r.Int(2))
		is.Size, is.DeletedSize = r.Int(3), r.Int(4)
		is.UIDNext = max(is.UIDNext, imap.UID(r.Int(5))+1)
		b.ModSeq = max(b.ModSeq, mailbox.ModSeq(r.Int(6)))
	}, b.num); err != nil {
		return nil, err
	}
	if is != was {
		b.Counts = is
		faults = append(faults, fmt.Sprintf("the counts are %+v, its messages make %+v", was, is))
	}
	if b.ModSeq != wasSeq {
		faults = append(faults, fmt.Sprintf("HIGHESTMODSEQ is %d, a message has %d", wasSeq, b.ModSeq))
	}
	return faults, nil
}

// expungeLogFaults tells what the expunge log says that cannot be: a row that
// cannot be read, that is of a time to come, or that names a message which is there.
func expungeLogFaults(db *sqlite3.Conn, b *box) (faults []string, err error) {
	live := imap.UIDSet{}
	if err := rows(db, `SELECT uid FROM messages WHERE box = ? ORDER BY uid`, func(r *sqlite3.Stmt) error {
		rules.AddUID(&live, imap.UID(r.Int(0)))
		return nil
	}, b.num); err != nil {
		return nil, err
	}
	err = rows(db, `SELECT modseq, uids FROM expunged WHERE box = ? ORDER BY modseq`, func(r *sqlite3.Stmt) error {
		at := r.Int(0)
		gone, err := feedcodec.DecodeUIDs(r.Bytes(1))
		switch {
		case err != nil:
			faults = append(faults, fmt.Sprintf("the expunge log at modseq %d cannot be read", at))
		case mailbox.ModSeq(at) > b.ModSeq:
			faults = append(faults, fmt.Sprintf("the expunge log has modseq %d, the mailbox %d", at, b.ModSeq))
		case rules.Overlap(live, gone):
			faults = append(faults, fmt.Sprintf("the expunge log at modseq %d names messages that are there", at))
		}
		return nil
	}, b.num)
	return faults, err
}

// mendBox writes a mailbox's figures, lets its expunge log begin anew, and has
// everybody look at it again.
func (t *tx) mendBox(b *box) error {
	c := t.next(b)
	c.Truncated = true
	if err := t.exec(`DELETE FROM expunged WHERE box = ?`, b.num); err != nil {
		return err
	}
	if err := t.exec(`UPDATE mailboxes SET floor = ? WHERE box = ?`, int64(c.ModSeq), b.num); err != nil {
		return err
	}
	return t.conclude(b, c)
}

// accounts compares each account's usage with its messages.
func (c *checker) accounts() error {
	var ids []mailbox.AccountID
	if err := c.s.read(c.ctx, opCheck, func(db *sqlite3.Conn) error {
		return rows(db, `SELECT id FROM accounts ORDER BY account`, func(r *sqlite3.Stmt) error {
			var id mailbox.AccountID
			copy(id[:], r.Bytes(0))
			ids = append(ids, id)
			return nil
		})
	}); err != nil {
		return err
	}
	for _, id := range ids {
		was, is, err := c.s.RecountQuota(c.ctx, id, c.repair)
		if mailbox.KindOf(err) == mailbox.NonExistent { // removed meanwhile
			continue
		}
		if err != nil {
			return err
		}
		if was != is {
			c.found(c.repair, false, "account %s: the usage is %+v, its messages make %+v", id, was, is)
		}
	}
	return nil
}
