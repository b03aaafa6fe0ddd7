package sqlite

import (
	"context"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/rules"
	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
)

// List implements mailstore.Mailboxes.
func (s *Store) List(ctx context.Context, account mailbox.AccountID) (list []mailstore.Info, err error) {
	const op = "list mailboxes"
	err = s.read(ctx, op, func(c *sqlite3.Conn) error {
		acct, err := accountNumber(c, op, account)
		if err != nil {
			return err
		}
		if err := rows(c, boxQuery+`WHERE a.id = ? ORDER BY m.name`, func(r *sqlite3.Stmt) error {
			var b box
			b.scan(r)
			list = append(list, b.Info)
			return nil
		}, account[:]); err != nil {
			return err
		}
		boxes := list
		return rows(c, `SELECT name FROM subscriptions WHERE account = ? ORDER BY name`, func(r *sqlite3.Stmt) error {
			name := r.Text(0)
			i, ok := slices.BinarySearchFunc(boxes, name, func(i mailstore.Info, name string) int { return strings.Compare(i.Name, name) })
			if ok {
				list[i].Subscribed = true // list begins as boxes, but may have moved
			} else {
				list = append(list, mailstore.Info{Account: account, Name: name, Subscribed: true})
			}
			return nil
		}, acct)
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b mailstore.Info) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// Lookup implements mailstore.Mailboxes.
func (s *Store) Lookup(ctx context.Context, account mailbox.AccountID, name string) (mailstore.Info, error) {
	const op = "find mailbox"
	var b box
	err := s.read(ctx, op, func(c *sqlite3.Conn) (err error) {
		if b, err = findName(c, op, account, name); err != nil {
			return err
		}
		b.Subscribed, err = subscribed(c, b.acct, name)
		return err
	})
	if err != nil {
		return mailstore.Info{}, err
	}
	return b.Info, nil
}

func subscribed(c *sqlite3.Conn, acct int64, name string) (bool, error) {
	return row(c, `SELECT 1 FROM subscriptions WHERE account = ? AND name = ?`, func(*sqlite3.Stmt) {}, acct, name)
}

// accountNumber finds the account of an ID.
func accountNumber(c *sqlite3.Conn, op string, id mailbox.AccountID) (acct int64, err error) {
	ok, err := row(c, `SELECT account FROM accounts WHERE id = ?`, func(r *sqlite3.Stmt) { acct = r.Int(0) }, id[:])
	if err == nil && !ok {
		err = refuse(mailbox.NonExistent, op, "no such account")
	}
	return acct, err
}

// Create implements mailstore.Mailboxes.
func (s *Store) Create(ctx context.Context, account mailbox.AccountID, name string, use []imap.MailboxAttr) (mailstore.Info, error) {
	const op = "create mailbox"
	var b box
	err := s.write(ctx, op, func(t *tx) error {
		acct, err := accountNumber(t.c, op, account)
		if err != nil {
			return err
		}
		if b, err = t.create(op, acct, account, name, use); err != nil {
			return err
		}
		b.Subscribed, err = subscribed(t.c, acct, name)
		return err
	})
	if err != nil {
		return mailstore.Info{}, err
	}
	return b.Info, nil
}

// create adds an empty mailbox and emits its event.
func (t *tx) create(op string, acct int64, account mailbox.AccountID, name string, use []imap.MailboxAttr) (b box, err error) {
	if err := mailbox.CheckName(name); err != nil {
		return b, err
	}
	var count int64
	var taken bool
	var uses string
	if err := t.rows(`SELECT name, use FROM mailboxes WHERE account = ?`, func(r *sqlite3.Stmt) error {
		count++
		taken = taken || string(r.Bytes(0)) == name
		if u := r.Bytes(1); len(u) > 0 {
			uses += string(u) + " "
		}
		return nil
	}, acct); err != nil {
		return b, err
	}
	switch {
	case taken:
		return b, refuse(mailbox.AlreadyExists, op, "a mailbox of that name exists")
	case count >= int64(t.s.o.MaxMailboxes):
		return b, refuse(mailbox.Limit, op, "too many mailboxes")
	}
	if use, err = rules.CheckUse(op, use, rules.ParseUse(uses)); err != nil {
		return b, err
	}
	b = box{acct: acct, Info: mailstore.Info{
		ID: mailbox.NewID(), Account: account, Name: name, SpecialUse: use,
		ModSeq: 1, Counts: mailbox.Counts{UIDNext: 1}, RecentFrom: 1,
	}}
	if b.UIDValidity, err = t.uidValidity(acct); err != nil {
		return b, err
	}
	if err := t.exec(`INSERT INTO mailboxes (id, account, name, use, uidvalidity, uidnext, modseq, floor, recent_from,
		messages, unseen, deleted, size, deleted_size) VALUES (?, ?, ?, ?, ?, 1, 1, 0, 1, 0, 0, 0, 0, 0)`,
		b.ID[:], acct, name, rules.FormatUse(use), b.UIDValidity); err != nil {
		return b, err
	}
	if _, err := t.row(`SELECT last_insert_rowid()`, func(r *sqlite3.Stmt) { b.num = r.Int(0) }); err != nil {
		return b, err
	}
	if b.num >= 1<<31 {
		return b, refuse(mailbox.Limit, op, "too many mailboxes")
	}
	return b, t.emit(mailbox.Event{Kind: mailbox.EventCreated, Account: account, Mailbox: b.ID, Name: name})
}

// uidValidity gives out an account's next UIDVALIDITY: higher than all before,
// and not below the time, so that it stays so even if the account's memory is lost.
func (t *tx) uidValidity(acct int64) (v uint32, err error) {
	if err := t.exec(`UPDATE accounts SET uidvalidity = max(uidvalidity + 1, ?) WHERE account = ?`, t.now.Unix(), acct); err != nil {
		return 0, err
	}
	_, err = t.row(`SELECT uidvalidity FROM accounts WHERE account = ?`, func(r *sqlite3.Stmt) { v = uint32(r.Int(0)) }, acct)
	return v, err
}

// Delete implements mailstore.Mailboxes.
func (s *Store) Delete(ctx context.Context, account mailbox.AccountID, name string) error {
	const op = "delete mailbox"
	if name == mailbox.Inbox {
		return refuse(mailbox.Cannot, op, "INBOX cannot be deleted")
	}
	return s.write(ctx, op, func(t *tx) error {
		b, err := findName(t.c, op, account, name)
		if err != nil {
			return err
		}
		if err := t.charge(op, &b, mailbox.QuotaUsage{Storage: -b.Counts.Size, Messages: -int64(b.Counts.Messages)}); err != nil {
			return err
		}
		return t.bury(&b)
	})
}

// bury removes a box and emits its event; its messages are cleared away later.
func (t *tx) bury(b *box) error {
	if err := t.exec(`DELETE FROM mailboxes WHERE box = ?`, b.num); err != nil {
		return err
	}
	if err := t.exec(`INSERT INTO dead_boxes (box) VALUES (?)`, b.num); err != nil {
		return err
	}
	return t.emit(mailbox.Event{Kind: mailbox.EventDeleted, Account: b.Account, Mailbox: b.ID, Name: b.Name})
}

// Subscribe implements mailstore.Mailboxes.
func (s *Store) Subscribe(ctx context.Context, account mailbox.AccountID, name string, on bool) error {
	const op = "subscribe"
	if on {
		if err := mailbox.CheckName(name); err != nil {
			return err
		}
	}
	return s.write(ctx, op, func(t *tx) error {
		acct, err := accountNumber(t.c, op, account)
		if err != nil {
			return err
		}
		return t.subscribe(op, acct, account, name, on)
	})
}

func (t *tx) subscribe(op string, acct int64, account mailbox.AccountID, name string, on bool) error {
	have, err := subscribed(t.c, acct, name)
	if err != nil || have == on {
		return err
	}
	kind := mailbox.EventUnsubscribed
	if on {
		var n int64
		if _, err := t.row(`SELECT count(*) FROM subscriptions WHERE account = ?`, func(r *sqlite3.Stmt) { n = r.Int(0) }, acct); err != nil {
			return err
		}
		if n >= int64(t.s.o.MaxMailboxes) {
			return refuse(mailbox.Limit, op, "too many subscriptions")
		}
		kind = mailbox.EventSubscribed
		err = t.exec(`INSERT INTO subscriptions (account, name) VALUES (?, ?)`, acct, name)
	} else {
		err = t.exec(`DELETE FROM subscriptions WHERE account = ? AND name = ?`, acct, name)
	}
	if err != nil {
		return err
	}
	return t.emit(mailbox.Event{Kind: kind, Account: account, Name: name})
}
