package postgres

import (
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/rules"
)

// A box is a row of mailboxes.
type box struct {
	num, acct int64 // mailboxes.box and account
	mailstore.Info
	floor    mailbox.ModSeq
	keywords []string // appended to only by replacing it
	was      figures  // as the row has them
}

// figures are what changes of a box with its messages.
type figures struct {
	modseq      mailbox.ModSeq
	counts      mailbox.Counts
	uidValidity uint32
	keywords    []string
}

// boxQuery reads boxes, subscribedQuery also whether they are subscribed to; a
// WHERE clause follows.
const (
	boxQuery        = boxColumns + boxTables
	subscribedQuery = boxColumns + `, EXISTS (SELECT FROM subscriptions s WHERE s.account = m.account AND s.name = m.name)` + boxTables

	boxColumns = `SELECT m.box, m.account, m.id, a.id, m.name, m.use, m.uidvalidity, m.uidnext, m.modseq, m.floor, m.recent_from,
	m.messages, m.unseen, m.deleted, m.size, m.deleted_size, m.keywords`
	boxTables = ` FROM mailboxes m JOIN accounts a ON a.account = m.account `
)

// scan reads a row of boxQuery and what further columns it has into more.
func (b *box) scan(r pgx.Rows, more ...any) error {
	var id, account []byte
	var use string
	var uidValidity, uidNext, modSeq, floor, recentFrom, messages, unseen, deleted int64
	if err := r.Scan(append([]any{&b.num, &b.acct, &id, &account, &b.Name, &use, &uidValidity, &uidNext, &modSeq, &floor, &recentFrom,
		&messages, &unseen, &deleted, &b.Counts.Size, &b.Counts.DeletedSize, &b.keywords}, more...)...); err != nil {
		return err
	}
	copy(b.ID[:], id)
	copy(b.Account[:], account)
	b.SpecialUse = rules.ParseUse(use)
	b.UIDValidity = uint32(uidValidity)
	b.ModSeq, b.floor = mailbox.ModSeq(modSeq), mailbox.ModSeq(floor)
	b.RecentFrom = imap.UID(recentFrom)
	b.Counts.Messages, b.Counts.Unseen, b.Counts.Deleted = uint32(messages), uint32(unseen), uint32(deleted)
	b.Counts.UIDNext = imap.UID(uidNext)
	b.was = b.figures()
	return nil
}

func (b *box) figures() figures { return figures{b.ModSeq, b.Counts, b.UIDValidity, b.keywords} }

// changed reports whether the row must be written.
func (b *box) changed() bool {
	return b.ModSeq != b.was.modseq || b.Counts != b.was.counts || b.UIDValidity != b.was.uidValidity || len(b.keywords) != len(b.was.keywords)
}

// reset makes b what the row is.
func (b *box) reset() {
	b.ModSeq, b.Counts, b.UIDValidity, b.keywords = b.was.modseq, b.was.counts, b.was.uidValidity, b.was.keywords
}

// count adds (n = 1) or removes (n = -1) a message of that size and flags.
func (b *box) count(n int, size int64, f mailbox.SystemFlags) { rules.Count(&b.Counts, n, size, f) }

// spell returns f in the spelling of the mailbox's keywords. With add set, new
// ones are kept.
func (t *tx) spell(op string, b *box, f mailbox.Flags, add bool) (mailbox.Flags, error) {
	f, known := rules.Spell(b.keywords, f, add)
	if len(known) > len(b.keywords) && len(known) > t.s.o.MaxKeywords {
		return f, refuse(mailbox.Limit, op, "too many keywords in this mailbox")
	}
	b.keywords = known
	return f, nil
}

const saveBox = `UPDATE mailboxes SET uidnext = $3, modseq = $4, messages = $5, unseen = $6, deleted = $7, size = $8, deleted_size = $9,
	uidvalidity = $10, keywords = coalesce($11, keywords) WHERE account = $1 AND box = $2`

// save returns the statement that writes a box; in a guess one that fails unless
// the box is as it was known.
func (t *tx) save(b *box) stmt {
	var keywords []string // NULL: as they are
	if len(b.keywords) != len(b.was.keywords) {
		keywords = b.keywords
	}
	c := b.Counts
	st := stmt{sql: saveBox, args: []any{b.acct, b.num, int64(c.UIDNext), int64(b.ModSeq), int64(c.Messages), int64(c.Unseen), int64(c.Deleted),
		c.Size, c.DeletedSize, int64(b.UIDValidity), keywords}}
	if t.guess {
		st.sql = `WITH u AS (` + saveBox + ` AND modseq = $12 AND uidnext = $13 AND uidvalidity = $14 RETURNING 1)
			SELECT pg_current_xact_id()::text, starling_must(EXISTS (SELECT FROM u))`
		st.args = append(st.args, int64(b.was.modseq), int64(b.was.counts.UIDNext), int64(b.was.uidValidity))
		st.scan = func(r pgx.Rows) error { return r.Scan(&t.xid, nil) }
	}
	return st
}

// next begins a Change of the box: it has the next ModSeq. The change is told by
// conclude.
func (t *tx) next(b *box) *mailbox.Change {
	c := &mailbox.Change{Mailbox: b.ID, Account: b.Account, Line: t.line, Prev: b.ModSeq, ModSeq: b.ModSeq + 1}
	b.ModSeq = c.ModSeq
	return c
}

// conclude gives the Change the box's new counts and emits it.
func (t *tx) conclude(b *box, c *mailbox.Change) {
	c.Counts = b.Counts
	t.emit(mailbox.ChangeEvent(c))
}

// spans returns the ends of a set's ranges, as the statements take them.
func spans(set imap.UIDSet) (from, to []int64) {
	from, to = make([]int64, len(set)), make([]int64, len(set))
	for i, r := range set {
		from[i], to[i] = int64(r.Start), int64(r.Stop)
	}
	return from, to
}

// numbers returns the UIDs of a set one by one.
func numbers(set imap.UIDSet) []int64 {
	list := make([]int64, 0, rules.CountUIDs(set))
	for _, r := range set {
		for uid := int64(r.Start); uid <= int64(r.Stop); uid++ {
			list = append(list, uid)
		}
	}
	return list
}

// clone returns a box that shares nothing that changes.
func (b *box) clone() *box {
	c := *b
	c.keywords = slices.Clone(b.keywords)
	c.was = c.figures()
	return &c
}
