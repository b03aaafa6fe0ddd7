package sqlite

import (
	"context"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/rules"
	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
)

// Rename implements mailstore.Mailboxes.
func (s *Store) Rename(ctx context.Context, account mailbox.AccountID, from, to string) error {
	const op = "rename mailbox"
	if err := mailbox.CheckName(to); err != nil {
		return err
	}
	return s.write(ctx, op, func(t *tx) error {
		b, err := findName(t.c, op, account, from)
		switch {
		case err != nil:
			return err
		case from == mailbox.Inbox:
			return t.renameInbox(op, &b, to)
		case to == mailbox.Inbox:
			return refuse(mailbox.AlreadyExists, op, "a mailbox of that name exists")
		case strings.HasPrefix(to, from+mailbox.Delimiter):
			return refuse(mailbox.Cannot, op, "a mailbox cannot move below itself")
		}
		return t.rename(op, account, b.acct, from, to)
	})
}

// rename gives a mailbox and all below it new names, top down: so a name that
// one of them gives up is free before another takes it.
func (t *tx) rename(op string, account mailbox.AccountID, acct int64, from, to string) error {
	type moving struct {
		num      int64
		id       mailbox.ID
		from, to string
	}
	var list []moving
	// All names below from are between "from/" and "from0", 0 following the slash.
	if err := t.rows(`SELECT box, id, name FROM mailboxes WHERE account = ?1 AND (name = ?2 OR name > ?2 || '/' AND name < ?2 || '0') ORDER BY name`,
		func(r *sqlite3.Stmt) error {
			m := moving{num: r.Int(0), from: r.Text(2)}
			copy(m.id[:], r.Bytes(1))
			m.to = to + strings.TrimPrefix(m.from, from)
			list = append(list, m)
			return nil
		}, acct, from); err != nil {
		return err
	}
	for _, m := range list {
		if err := mailbox.CheckName(m.to); err != nil {
			return err
		}
		taken, err := t.row(`SELECT 1 FROM mailboxes WHERE account = ? AND name = ?`, func(*sqlite3.Stmt) {}, acct, m.to)
		if err != nil {
			return err
		}
		if taken {
			return refuse(mailbox.AlreadyExists, op, "a mailbox of that name exists")
		}
		if err := t.exec(`UPDATE mailboxes SET name = ? WHERE box = ?`, m.to, m.num); err != nil {
			return err
		}
		if err := t.emit(mailbox.Event{Kind: mailbox.EventRenamed, Account: account, Mailbox: m.id, Name: m.to, OldName: m.from}); err != nil {
			return err
		}
	}
	return nil
}

// renameInbox moves all messages of INBOX, with their UIDs, into a new mailbox.
func (t *tx) renameInbox(op string, inbox *box, to string) error {
	b, err := t.create(op, inbox.acct, inbox.Account, to, nil)
	if err != nil || inbox.Counts.Messages == 0 {
		return err
	}
	added, gone := t.next(&b), t.next(inbox)
	var flags rules.Flagging
	words := rules.Words{}
	if err := t.rows(`SELECT uid, flags, keywords FROM messages WHERE box = ? ORDER BY uid`, func(r *sqlite3.Stmt) error {
		uid := imap.UID(r.Int(0))
		rules.AddUID(&added.Added, uid)
		flags.Add(uid, mailbox.Flags{System: mailbox.SystemFlags(r.Int(1)), Keywords: words.Text(r.Bytes(2))})
		return nil
	}, inbox.num); err != nil {
		return err
	}
	added.Flags = flags.Changes()
	gone.Expunged = added.Added
	b.Counts = inbox.Counts
	inbox.Counts = mailbox.Counts{UIDNext: inbox.Counts.UIDNext}
	if err := t.exec(`UPDATE messages SET box = ?1, modseq = ?2, created = ?2 WHERE box = ?3`, b.num, int64(added.ModSeq), inbox.num); err != nil {
		return err
	}
	if err := t.exec(`INSERT INTO keywords (box, n, name) SELECT ?, n, name FROM keywords WHERE box = ?`, b.num, inbox.num); err != nil {
		return err
	}
	if err := t.conclude(&b, added); err != nil {
		return err
	}
	return t.concludeExpunge(inbox, gone)
}
