package postgres

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2"
	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/rules"
)

// text reports whether the database can hold s as text. What it cannot hold, it
// does not have.
func text(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// List implements mailstore.Mailboxes.
func (s *Store) List(ctx context.Context, account mailbox.AccountID) (list []mailstore.Info, err error) {
	const op = "list mailboxes"
	there := false
	var only []mailstore.Info // subscribed to, and not there
	if err := s.readAll(ctx, op, []stmt{
		{sql: `SELECT true FROM accounts WHERE id = $1`, args: []any{account[:]}, scan: func(r pgx.Rows) error { return r.Scan(&there) }},
		{sql: boxQuery + `WHERE a.id = $1 ORDER BY m.name`, args: []any{account[:]}, scan: func(r pgx.Rows) error {
			var b box
			err := b.scan(r)
			list = append(list, b.Info)
			return err
		}},
		{sql: `SELECT name FROM subscriptions WHERE account = (SELECT account FROM accounts WHERE id = $1)`, args: []any{account[:]}, scan: func(r pgx.Rows) error {
			var name string
			if err := r.Scan(&name); err != nil {
				return err
			}
			i, ok := slices.BinarySearchFunc(list, name, func(i mailstore.Info, name string) int { return strings.Compare(i.Name, name) })
			if ok {
				list[i].Subscribed = true
			} else {
				only = append(only, mailstore.Info{Account: account, Name: name, Subscribed: true})
			}
			return nil
		}},
	}); err != nil {
		return nil, err
	}
	if !there {
		return nil, refuse(mailbox.NonExistent, op, "no such account")
	}
	list = append(list, only...)
	slices.SortFunc(list, func(a, b mailstore.Info) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// Lookup implements mailstore.Mailboxes.
func (s *Store) Lookup(ctx context.Context, account mailbox.AccountID, name string) (mailstore.Info, error) {
	const op = "find mailbox"
	var b box
	if text(name) {
		if err := s.read(ctx, op, []stmt{{sql: subscribedQuery + `WHERE a.id = $1 AND m.name = $2`, args: []any{account[:], name},
			scan: func(r pgx.Rows) error { return b.scan(r, &b.Subscribed) }}}); err != nil {
			return mailstore.Info{}, err
		}
	}
	if b.num == 0 {
		return mailstore.Info{}, refuse(mailbox.NonExistent, op, "no such mailbox")
	}
	return b.Info, nil
}

// Create implements mailstore.Mailboxes.
func (s *Store) Create(ctx context.Context, account mailbox.AccountID, name string, use []imap.MailboxAttr) (mailstore.Info, error) {
	const op = "create mailbox"
	if err := mailbox.CheckName(name); err != nil {
		return mailstore.Info{}, err
	}
	var b *box
	err := s.write(ctx, &request{op: op, account: account, run: func(t *tx) error {
		a, err := t.account(op, account)
		if err != nil {
			return err
		}
		if b, err = t.create(op, a, name, use); err != nil {
			return err
		}
		return t.rows(`SELECT true FROM subscriptions WHERE account = $1 AND name = $2`, func(r pgx.Rows) error { return r.Scan(&b.Subscribed) }, a.num, name)
	}})
	if err != nil {
		return mailstore.Info{}, err
	}
	return b.Info, nil
}

// create adds an empty mailbox to a locked account and emits its event.
func (t *tx) create(op string, a *account, name string, use []imap.MailboxAttr) (*box, error) {
	var count int
	var taken bool
	var uses string
	if err := t.rows(`SELECT name, use FROM mailboxes WHERE account = $1`, func(r pgx.Rows) error {
		var n, u string
		if err := r.Scan(&n, &u); err != nil {
			return err
		}
		count++
		taken = taken || n == name
		uses += u + " "
		return nil
	}, a.num); err != nil {
		return nil, err
	}
	switch {
	case taken:
		return nil, refuse(mailbox.AlreadyExists, op, "a mailbox of that name exists")
	case count >= t.s.o.MaxMailboxes:
		return nil, refuse(mailbox.Limit, op, "too many mailboxes")
	}
	use, err := rules.CheckUse(op, use, rules.ParseUse(uses))
	if err != nil {
		return nil, err
	}
	b := &box{acct: a.num, Info: mailstore.Info{
		ID: mailbox.NewID(), Account: a.id, Name: name, SpecialUse: use,
		ModSeq: 1, Counts: mailbox.Counts{UIDNext: 1}, RecentFrom: 1,
	}}
	// Higher than all before, and not below the time, so that it stays so even if
	// the account's memory is lost.
	var validity int64
	if err := t.rows(`UPDATE accounts SET uidvalidity = greatest(uidvalidity + 1, extract(epoch FROM clock_timestamp())::bigint) WHERE account = $1 RETURNING uidvalidity`,
		func(r pgx.Rows) error { return r.Scan(&validity) }, a.num); err != nil {
		return nil, err
	}
	b.UIDValidity = uint32(validity)
	if err := t.rows(`INSERT INTO mailboxes (account, id, name, use, uidvalidity) VALUES ($1, $2, $3, $4, $5) RETURNING box`,
		func(r pgx.Rows) error { return r.Scan(&b.num) }, a.num, b.ID[:], name, rules.FormatUse(use), validity); err != nil {
		return nil, err
	}
	b.was = b.figures()
	t.emit(mailbox.Event{Kind: mailbox.EventCreated, Account: a.id, Mailbox: b.ID, Name: name})
	return b, nil
}

// Delete implements mailstore.Mailboxes.
func (s *Store) Delete(ctx context.Context, account mailbox.AccountID, name string) error {
	const op = "delete mailbox"
	if name == mailbox.Inbox {
		return refuse(mailbox.Cannot, op, "INBOX cannot be deleted")
	}
	return s.writeNamed(ctx, op, account, name, func(t *tx, b *box) error {
		if err := t.charge(op, b, mailbox.QuotaUsage{Storage: -b.Counts.Size, Messages: -int64(b.Counts.Messages)}); err != nil {
			return err
		}
		t.bury(b)
		return nil
	})
}

// writeNamed is write for one mailbox of that name, and its account.
func (s *Store) writeNamed(ctx context.Context, op string, account mailbox.AccountID, name string, run func(*tx, *box) error) error {
	for {
		found, err := s.Lookup(ctx, account, name)
		if err != nil {
			return err
		}
		moved := false
		err = s.write(ctx, &request{op: op, boxes: []mailbox.ID{found.ID}, account: account, charges: true, reads: true, run: func(t *tx) error {
			b, err := t.box(op, found.ID)
			if moved = mailbox.KindOf(err) == mailbox.NonExistent || err == nil && b.Name != name; moved {
				return refuse(mailbox.NonExistent, op, "no such mailbox")
			}
			if err != nil {
				return err
			}
			return run(t, b)
		}})
		if !moved { // otherwise another may have the name now
			return err
		}
	}
}

// bury removes a locked box and emits its event; its messages are cleared away
// later.
func (t *tx) bury(b *box) {
	t.exec(`DELETE FROM mailboxes WHERE account = $1 AND box = $2`, b.acct, b.num)
	t.exec(`INSERT INTO dead_boxes (account, box) VALUES ($1, $2)`, b.acct, b.num)
	t.emit(mailbox.Event{Kind: mailbox.EventDeleted, Account: b.Account, Mailbox: b.ID, Name: b.Name})
}

// Subscribe implements mailstore.Mailboxes.
func (s *Store) Subscribe(ctx context.Context, account mailbox.AccountID, name string, on bool) error {
	const op = "subscribe"
	if on {
		if err := mailbox.CheckName(name); err != nil {
			return err
		}
	} else if !text(name) {
		return nil
	}
	return s.write(ctx, &request{op: op, account: account, run: func(t *tx) error {
		a, err := t.account(op, account)
		if err != nil {
			return err
		}
		return t.subscribe(op, a, name, on)
	}})
}

func (t *tx) subscribe(op string, a *account, name string, on bool) error {
	var count int
	var have bool
	if err := t.rows(`SELECT count(*), coalesce(bool_or(name = $2), false) FROM subscriptions WHERE account = $1`,
		func(r pgx.Rows) error { return r.Scan(&count, &have) }, a.num, name); err != nil {
		return err
	}
	kind := mailbox.EventUnsubscribed
	switch {
	case have == on:
		return nil
	case on && count >= t.s.o.MaxMailboxes:
		return refuse(mailbox.Limit, op, "too many subscriptions")
	case on:
		kind = mailbox.EventSubscribed
		t.exec(`INSERT INTO subscriptions (account, name) VALUES ($1, $2)`, a.num, name)
	default:
		t.exec(`DELETE FROM subscriptions WHERE account = $1 AND name = $2`, a.num, name)
	}
	t.emit(mailbox.Event{Kind: kind, Account: a.id, Name: name})
	return nil
}
