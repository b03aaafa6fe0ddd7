package postgres

import (
	"cmp"
	"context"
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/feedcodec"
	"github.com/starling-mail/starling/mailstore/rules"
)

// inBox is a condition on messages: to be in the mailbox with an id.
const inBox = `account = (SELECT account FROM mailboxes WHERE id = $1) AND box = (SELECT box FROM mailboxes WHERE id = $1)`

// Snapshot implements mailstore.Mailboxes. It is one round trip; the server
// tells where ranges of UIDs begin and end, not each UID.
func (s *Store) Snapshot(ctx context.Context, id mailbox.ID) (*mailstore.Snapshot, error) {
	const op = "open mailbox"
	var b box
	snap := new(mailstore.Snapshot)
	if err := s.readAll(ctx, op, []stmt{
		{sql: subscribedQuery + `WHERE m.id = $1`, args: []any{id[:]}, scan: func(r pgx.Rows) error { return b.scan(r, &b.Subscribed) }},
		{sql: `SELECT s.line, m.ended_line, m.ended FROM store s, mailboxes m WHERE m.id = $1`, args: []any{id[:]}, scan: func(r pgx.Rows) error {
			var line, endedLine, ended int64
			err := r.Scan(&line, &endedLine, &ended)
			snap.Line, snap.EndedLine, snap.Ended = uint64(line), uint64(endedLine), mailbox.ModSeq(ended)
			return err
		}},
		{sql: `SELECT uid, before FROM (SELECT uid, lag(uid) OVER (ORDER BY uid) AS before FROM messages WHERE ` + inBox + `) AS m
			WHERE before IS NULL OR uid > before + 1 ORDER BY uid`, args: []any{id[:]}, scan: func(r pgx.Rows) error {
			var uid int64
			var before *int64
			if err := r.Scan(&uid, &before); err != nil {
				return err
			}
			if before != nil {
				snap.UIDs[len(snap.UIDs)-1].Stop = imap.UID(*before)
			}
			snap.UIDs = append(snap.UIDs, imap.UIDRange{Start: imap.UID(uid)})
			return nil
		}},
		{sql: `SELECT uid FROM messages WHERE ` + inBox + ` ORDER BY uid DESC LIMIT 1`, args: []any{id[:]}, scan: func(r pgx.Rows) error {
			var uid int64
			err := r.Scan(&uid)
			snap.UIDs[len(snap.UIDs)-1].Stop = imap.UID(uid)
			return err
		}},
		{sql: `SELECT uid FROM messages WHERE ` + inBox + ` AND flags & 1 = 0 AND (SELECT unseen FROM mailboxes WHERE id = $1) > 0
			ORDER BY uid LIMIT 1`, args: []any{id[:]}, scan: func(r pgx.Rows) error {
			var uid int64
			err := r.Scan(&uid)
			snap.FirstUnseen = imap.UID(uid)
			return err
		}},
	}); err != nil {
		return nil, err
	}
	if b.num == 0 {
		return nil, refuse(mailbox.NonExistent, op, "no such mailbox")
	}
	snap.Info, snap.Floor, snap.Keywords = b.Info, b.floor, b.keywords
	return snap, nil
}

// ChangesSince implements mailstore.Mailboxes. Its cost follows the changes, not
// the mailbox.
func (s *Store) ChangesSince(ctx context.Context, id mailbox.ID, since mailbox.ModSeq) (*mailbox.Change, bool, error) {
	const op = "read changes"
	type live struct {
		uid   imap.UID
		added bool
		flags mailbox.Flags
	}
	var b box
	var line int64
	var list []live
	var gone imap.UIDSet
	words := rules.Words{}
	// There is no higher ModSeq, and PostgreSQL's numbers have a sign.
	after := int64(min(since, 1<<63-1))
	if err := s.readAll(ctx, op, []stmt{
		{sql: boxQuery + `WHERE m.id = $1`, args: []any{id[:]}, scan: func(r pgx.Rows) error { return b.scan(r) }},
		{sql: `SELECT line FROM store`, scan: func(r pgx.Rows) error { return r.Scan(&line) }},
		{sql: `SELECT m.uid, m.created, m.flags, m.keywords FROM mailboxes b, messages m
			WHERE b.id = $1 AND b.floor <= $2 AND -m.box = -b.box AND m.modseq > $2`, args: []any{id[:], after}, scan: func(r pgx.Rows) error {
			var uid, created int64
			var flags int16
			var keywords []byte
			if err := r.Scan(&uid, &created, &flags, &keywords); err != nil {
				return err
			}
			list = append(list, live{imap.UID(uid), created > after, mailbox.Flags{System: mailbox.SystemFlags(flags), Keywords: words.Text(keywords)}})
			return nil
		}},
		{sql: `SELECT e.uids FROM mailboxes b, expunged e WHERE b.id = $1 AND b.floor <= $2 AND e.account = b.account AND e.box = b.box AND e.modseq > $2
			ORDER BY e.modseq`, args: []any{id[:], after}, scan: func(r pgx.Rows) error {
			var set []byte
			if err := r.Scan(&set); err != nil {
				return err
			}
			uids, err := feedcodec.DecodeUIDs(set)
			if err != nil {
				return corrupt(op, err)
			}
			gone.AddSet(uids)
			return nil
		}},
	}); err != nil {
		return nil, false, err
	}
	if b.num == 0 {
		return nil, false, refuse(mailbox.NonExistent, op, "no such mailbox")
	}
	if since < b.floor || since > b.ModSeq {
		return nil, false, nil
	}
	c := &mailbox.Change{Mailbox: b.ID, Account: b.Account, Line: uint64(line), Prev: since, ModSeq: b.ModSeq, Counts: b.Counts, Expunged: gone}
	slices.SortFunc(list, func(x, y live) int { return cmp.Compare(x.uid, y.uid) })
	var flags rules.Flagging
	for _, m := range list {
		if m.added {
			rules.AddUID(&c.Added, m.uid)
		}
		flags.Add(m.uid, m.flags)
	}
	c.Flags = flags.Changes()
	return c, true, nil
}
