package sqlite

import (
	"cmp"
	"context"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/feedcodec"
	"github.com/starling-mail/starling/mailstore/rules"
	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
)

// Snapshot implements mailstore.Mailboxes.
func (s *Store) Snapshot(ctx context.Context, id mailbox.ID) (*mailstore.Snapshot, error) {
	const op = "open mailbox"
	snap := &mailstore.Snapshot{Line: s.line}
	err := s.read(ctx, op, func(c *sqlite3.Conn) error {
		b, err := findBox(c, op, id)
		if err != nil {
			return err
		}
		if b.Subscribed, err = subscribed(c, b.acct, b.Name); err != nil {
			return err
		}
		snap.Info, snap.Floor = b.Info, b.floor
		if snap.Keywords, err = keywordList(c, b.num); err != nil {
			return err
		}
		n := 0
		return rows(c, `SELECT uid, flags FROM messages WHERE box = ? ORDER BY uid`, func(r *sqlite3.Stmt) error {
			uid := imap.UID(r.Int(0))
			rules.AddUID(&snap.UIDs, uid)
			if snap.FirstUnseen == 0 && mailbox.SystemFlags(r.Int(1))&mailbox.Seen == 0 {
				snap.FirstUnseen = uid
			}
			if n++; n%10_000 == 0 {
				return ctx.Err()
			}
			return nil
		}, b.num)
	})
	if err != nil {
		return nil, err
	}
	return snap, nil
}

// ChangesSince implements mailstore.Mailboxes.
func (s *Store) ChangesSince(ctx context.Context, id mailbox.ID, since mailbox.ModSeq) (*mailbox.Change, bool, error) {
	const op = "read changes"
	var c *mailbox.Change
	complete := true
	err := s.read(ctx, op, func(db *sqlite3.Conn) error {
		b, err := findBox(db, op, id)
		if err != nil {
			return err
		}
		if since < b.floor || since > b.ModSeq {
			complete = false
			return nil
		}
		c = &mailbox.Change{Mailbox: b.ID, Account: b.Account, Line: s.line, Prev: since, ModSeq: b.ModSeq, Counts: b.Counts}
		if since == b.ModSeq {
			return nil
		}
		if err := liveSince(db, &b, since, c); err != nil {
			return err
		}
		return rows(db, `SELECT uids FROM expunged WHERE box = ? AND modseq > ? ORDER BY modseq`, func(r *sqlite3.Stmt) error {
			gone, err := feedcodec.DecodeUIDs(r.Bytes(0))
			if err != nil {
				return &mailbox.Error{Kind: mailbox.Corrupt, Op: op, Err: err}
			}
			c.Expunged.AddSet(gone)
			return nil
		}, b.num, int64(since))
	})
	if err != nil || !complete {
		return nil, false, err
	}
	return c, true, nil
}

// liveSince adds to c the messages that are there and came or changed after
// since, by their index; so its cost follows the changes and not the mailbox.
func liveSince(db *sqlite3.Conn, b *box, since mailbox.ModSeq, c *mailbox.Change) error {
	type live struct {
		uid   imap.UID
		added bool
		flags mailbox.Flags
	}
	var list []live
	words := rules.Words{}
	if err := rows(db, `SELECT uid, created, flags, keywords FROM messages INDEXED BY messages_by_modseq WHERE box = ? AND modseq > ?`, func(r *sqlite3.Stmt) error {
		list = append(list, live{imap.UID(r.Int(0)), mailbox.ModSeq(r.Int(1)) > since,
			mailbox.Flags{System: mailbox.SystemFlags(r.Int(2)), Keywords: words.Text(r.Bytes(3))}})
		return nil
	}, b.num, int64(since)); err != nil {
		return err
	}
	slices.SortFunc(list, func(x, y live) int { return cmp.Compare(x.uid, y.uid) })
	var flags rules.Flagging
	for _, m := range list {
		if m.added {
			rules.AddUID(&c.Added, m.uid)
		}
		flags.Add(m.uid, m.flags)
	}
	c.Flags = flags.Changes()
	return nil
}
