package sqlite

import (
	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/rules"
	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
)

// A box is a row of mailboxes.
type box struct {
	num  int64 // mailboxes.box
	acct int64 // accounts.account
	mailstore.Info
	floor mailbox.ModSeq
}

// boxQuery reads boxes; a WHERE clause follows.
const boxQuery = `SELECT m.box, m.account, m.id, a.id, m.name, m.use, m.uidvalidity, m.uidnext, m.modseq, m.floor, m.recent_from,
	m.messages, m.unseen, m.deleted, m.size, m.deleted_size
	FROM mailboxes m JOIN accounts a ON a.account = m.account `

// scan reads a row of boxQuery.
func (b *box) scan(r *sqlite3.Stmt) {
	b.num, b.acct = r.Int(0), r.Int(1)
	copy(b.ID[:], r.Bytes(2))
	copy(b.Account[:], r.Bytes(3))
	b.Name = r.Text(4)
	b.SpecialUse = rules.ParseUse(r.Text(5))
	b.UIDValidity = uint32(r.Int(6))
	b.ModSeq = mailbox.ModSeq(r.Int(8))
	b.floor = mailbox.ModSeq(r.Int(9))
	b.RecentFrom = imap.UID(r.Int(10))
	b.Counts = mailbox.Counts{
		Messages: uint32(r.Int(11)), Unseen: uint32(r.Int(12)), Deleted: uint32(r.Int(13)),
		Size: r.Int(14), DeletedSize: r.Int(15), UIDNext: imap.UID(r.Int(7)),
	}
}

// findBox reads one box by its ID.
func findBox(c *sqlite3.Conn, op string, id mailbox.ID) (b box, err error) {
	ok, err := row(c, boxQuery+`WHERE m.id = ?`, b.scan, id[:])
	if err == nil && !ok {
		err = refuse(mailbox.NonExistent, op, "no such mailbox")
	}
	return b, err
}

// findName reads one box by its name.
func findName(c *sqlite3.Conn, op string, account mailbox.AccountID, name string) (b box, err error) {
	ok, err := row(c, boxQuery+`WHERE a.id = ? AND m.name = ?`, b.scan, account[:], name)
	if err == nil && !ok {
		err = refuse(mailbox.NonExistent, op, "no such mailbox")
	}
	return b, err
}

// save writes what changes of a box.
func (t *tx) save(b *box) error {
	return t.exec(`UPDATE mailboxes SET uidnext = ?, modseq = ?, messages = ?, unseen = ?, deleted = ?, size = ?, deleted_size = ? WHERE box = ?`,
		int64(b.Counts.UIDNext), int64(b.ModSeq), b.Counts.Messages, b.Counts.Unseen, b.Counts.Deleted, b.Counts.Size, b.Counts.DeletedSize, b.num)
}

// next begins a Change of the box: it has the next ModSeq. The change is told by
// conclude.
func (t *tx) next(b *box) *mailbox.Change {
	c := &mailbox.Change{Mailbox: b.ID, Account: b.Account, Line: t.s.line, Prev: b.ModSeq, ModSeq: b.ModSeq + 1}
	b.ModSeq = c.ModSeq
	return c
}

// conclude saves the box with its new counts and emits the Change.
func (t *tx) conclude(b *box, c *mailbox.Change) error {
	c.Counts = b.Counts
	if err := t.save(b); err != nil {
		return err
	}
	return t.emit(mailbox.ChangeEvent(c))
}

// count adds (n = 1) or removes (n = -1) a message of that size and flags.
func (b *box) count(n int, size int64, f mailbox.SystemFlags) { rules.Count(&b.Counts, n, size, f) }
