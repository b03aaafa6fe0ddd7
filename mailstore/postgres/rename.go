package postgres

import (
	"context"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/rules"
)

// Rename implements mailstore.Mailboxes.
func (s *Store) Rename(ctx context.Context, account mailbox.AccountID, from, to string) error {
	const op = "rename mailbox"
	if err := mailbox.CheckName(to); err != nil {
		return err
	}
	if from == mailbox.Inbox {
		return s.writeNamed(ctx, op, account, from, func(t *tx, inbox *box) error { return t.renameInbox(op, inbox, to) })
	}
	if !text(from) {
		return refuse(mailbox.NonExistent, op, "no such mailbox")
	}
	return s.write(ctx, &request{op: op, account: account, run: func(t *tx) error { return t.rename(op, account, from, to) }})
}

// A renaming is a mailbox that gets another name.
type renaming struct {
	num      int64
	id       mailbox.ID
	from, to string
}

// rename gives a mailbox and all below it new names, top down: so a name that
// one of them gives up is free before another takes it.
func (t *tx) rename(op string, account mailbox.AccountID, from, to string) error {
	// All names below from are between "from/" and "from0", 0 following the slash.
	const below = ` FROM mailboxes WHERE account = (SELECT account FROM accounts WHERE id = $1) AND (name = $2 OR name > $2 || '/' AND name < $2 || '0') `
	// Mailboxes are locked before their account. With the account none can come or
	// change its name; those that came in between are locked out of order, at the risk of a deadlock, after which all is
	// done again.
	t.read(`SELECT 1`+below+`ORDER BY id FOR UPDATE`, nil, account[:], from)
	a, err := t.account(op, account)
	if err != nil {
		return err
	}
	var list []renaming
	if err := t.rows(`SELECT box, id, name`+below+`ORDER BY name FOR UPDATE`, func(r pgx.Rows) error {
		var m renaming
		var id []byte
		if err := r.Scan(&m.num, &id, &m.from); err != nil {
			return err
		}
		copy(m.id[:], id)
		m.to = to + strings.TrimPrefix(m.from, from)
		list = append(list, m)
		return nil
	}, account[:], from); err != nil {
		return err
	}
	switch {
	case len(list) == 0 || list[0].from != from:
		return refuse(mailbox.NonExistent, op, "no such mailbox")
	case to == mailbox.Inbox:
		return refuse(mailbox.AlreadyExists, op, "a mailbox of that name exists")
	case strings.HasPrefix(to, from+mailbox.Delimiter):
		return refuse(mailbox.Cannot, op, "a mailbox cannot move below itself")
	}
	for _, m := range list {
		if err := mailbox.CheckName(m.to); err != nil {
			return err
		}
		taken := false
		if err := t.rows(`SELECT true FROM mailboxes WHERE account = $1 AND name = $2`, func(r pgx.Rows) error { return r.Scan(&taken) }, a.num, m.to); err != nil {
			return err
		}
		if taken {
			return refuse(mailbox.AlreadyExists, op, "a mailbox of that name exists")
		}
		t.exec(`UPDATE mailboxes SET name = $3 WHERE account = $1 AND box = $2`, a.num, m.num, m.to)
		t.emit(mailbox.Event{Kind: mailbox.EventRenamed, Account: account, Mailbox: m.id, Name: m.to, OldName: m.from})
	}
	return nil
}

// renameInbox moves all messages of INBOX, with their UIDs, into a new mailbox.
func (t *tx) renameInbox(op string, inbox *box, to string) error {
	a, err := t.account(op, inbox.Account)
	if err != nil {
		return err
	}
	b, err := t.create(op, a, to, nil)
	if err != nil || inbox.Counts.Messages == 0 {
		return err
	}
	t.boxes = append(t.boxes, b)
	list, err := t.messageRows(inbox.ID, imap.UIDSet{{Start: 1, Stop: maxUID}}, maxUID)
	if err != nil {
		return err
	}
	added, gone := t.next(b), t.next(inbox)
	var flags rules.Flagging
	for _, m := range list {
		uid := imap.UID(m.uid)
		rules.AddUID(&added.Added, uid)
		flags.Add(uid, m.flags)
	}
	added.Flags = flags.Changes()
	gone.Expunged = added.Added
	b.Counts, b.keywords = inbox.Counts, inbox.keywords
	inbox.Counts = mailbox.Counts{UIDNext: inbox.Counts.UIDNext}
	t.exec(`UPDATE messages SET box = $3, modseq = $4, created = $4 WHERE account = $1 AND box = $2`, inbox.acct, inbox.num, b.num, int64(added.ModSeq))
	t.conclude(b, added)
	t.concludeExpunge(inbox, gone)
	return nil
}
