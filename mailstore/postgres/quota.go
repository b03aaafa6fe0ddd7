package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/mailbox"
)

// An account is a row of accounts.
type account struct {
	num   int64
	id    mailbox.AccountID
	used  mailbox.QuotaUsage
	own   *mailbox.QuotaLimits // nil: the default limits hold
	add   mailbox.QuotaUsage   // what this transaction adds
	found bool
}

// accountQuery reads accounts; a WHERE clause follows.
const accountQuery = `SELECT account, id, storage, messages, storage_limit, messages_limit FROM accounts `

func (a *account) scan(r pgx.Rows) error {
	var id []byte
	var storage, messages *int64
	if err := r.Scan(&a.num, &id, &a.used.Storage, &a.used.Messages, &storage, &messages); err != nil {
		return err
	}
	copy(a.id[:], id)
	if storage != nil && messages != nil {
		a.own = &mailbox.QuotaLimits{Storage: *storage, Messages: *messages}
	}
	a.found = true
	return nil
}

func (s *Store) limits(a *account) mailbox.QuotaLimits {
	if a.own != nil {
		return *a.own
	}
	return s.o.DefaultQuota()
}

func (t *tx) scanAccount(r pgx.Rows) error {
	t.acct = new(account)
	return t.acct.scan(r)
}

// account locks an account.
func (t *tx) account(op string, id mailbox.AccountID) (*account, error) {
	if t.acct == nil {
		if err := t.rows(accountQuery+`WHERE id = $1 FOR UPDATE`, t.scanAccount, id[:]); err != nil {
			return nil, err
		}
	}
	if t.acct == nil || t.acct.id != id {
		return nil, refuse(mailbox.NonExistent, op, "no such account")
	}
	return t.acct, nil
}

// charge adds to the usage of the account of b, if its limits allow. In a guess
// that is left to the statement itself.
func (t *tx) charge(op string, b *box, add mailbox.QuotaUsage) error {
	if t.guess {
		t.add.account = b.acct
		t.add.Storage += add.Storage
		t.add.Messages += add.Messages
		return nil
	}
	a, err := t.account(op, b.Account)
	if err != nil {
		return err
	}
	now := mailbox.QuotaUsage{Storage: a.used.Storage + a.add.Storage, Messages: a.used.Messages + a.add.Messages}
	if !t.s.limits(a).Fits(now, add) {
		return refuse(mailbox.OverQuota, op, "")
	}
	a.add.Storage += add.Storage
	a.add.Messages += add.Messages
	return nil
}

// chargeGuessed returns the statement that adds what a guess adds, and fails if a
// limit does not allow it.
func (t *tx) chargeGuessed() stmt {
	def := t.s.o.DefaultQuota()
	return stmt{sql: `WITH u AS (UPDATE accounts SET storage = storage + $2, messages = messages + $3 WHERE account = $1
		AND ($2 <= 0 OR coalesce(storage_limit, $4) < 0 OR storage + $2 <= coalesce(storage_limit, $4))
		AND ($3 <= 0 OR coalesce(messages_limit, $5) < 0 OR messages + $3 <= coalesce(messages_limit, $5)) RETURNING 1)
		SELECT starling_must(EXISTS (SELECT FROM u))`,
		args: []any{t.add.account, t.add.Storage, t.add.Messages, def.Storage, def.Messages}}
}

// Quota implements mailstore.Quotas.
func (s *Store) Quota(ctx context.Context, id mailbox.AccountID) (mailbox.Quota, error) {
	const op = "read quota"
	var a account
	if err := s.read(ctx, op, []stmt{{sql: accountQuery + `WHERE id = $1`, args: []any{id[:]}, scan: a.scan}}); err != nil {
		return mailbox.Quota{}, err
	}
	if !a.found {
		return mailbox.Quota{}, refuse(mailbox.NonExistent, op, "no such account")
	}
	return mailbox.Quota{Account: id, Limits: s.limits(&a), Own: a.own != nil, Usage: a.used}, nil
}

// SetQuota implements mailstore.Quotas.
func (s *Store) SetQuota(ctx context.Context, id mailbox.AccountID, l *mailbox.QuotaLimits) error {
	const op = "set quota"
	return s.write(ctx, &request{op: op, account: id, run: func(t *tx) error {
		a, err := t.account(op, id)
		if err != nil {
			return err
		}
		var storage, messages *int64
		if l != nil {
			own := mailbox.QuotaLimits{Storage: max(l.Storage, -1), Messages: max(l.Messages, -1)}
			storage, messages = &own.Storage, &own.Messages
		}
		t.exec(`UPDATE accounts SET storage_limit = $2, messages_limit = $3 WHERE account = $1`, a.num, storage, messages)
		t.emit(mailbox.Event{Kind: mailbox.EventQuotaChanged, Account: id})
		return nil
	}})
}

// RecountQuota implements mailstore.Quotas. The account is locked while its
// messages are counted, so the count is exact while mail comes in.
func (s *Store) RecountQuota(ctx context.Context, id mailbox.AccountID, mend bool) (was, is mailbox.QuotaUsage, err error) {
	const op = "recount quota"
	const count = `SELECT coalesce(sum(size), 0)::bigint, coalesce(sum(messages), 0)::bigint FROM
		(SELECT (SELECT sum(size) FROM messages m WHERE m.account = b.account AND m.box = b.box) AS size,
		(SELECT count(*) FROM messages m WHERE m.account = b.account AND m.box = b.box) AS messages
		FROM mailboxes b WHERE b.account = (SELECT account FROM accounts WHERE id = $1)) AS counted`
	scan := func(r pgx.Rows) error { return r.Scan(&is.Storage, &is.Messages) }
	if !mend {
		var a account
		err := s.readAll(ctx, op, []stmt{{sql: accountQuery + `WHERE id = $1`, args: []any{id[:]}, scan: a.scan}, {sql: count, args: []any{id[:]}, scan: scan}})
		if err == nil && !a.found {
			err = refuse(mailbox.NonExistent, op, "no such account")
		}
		return a.used, is, err
	}
	err = s.write(ctx, &request{op: op, account: id, run: func(t *tx) error {
		a, err := t.account(op, id)
		if err != nil {
			return err
		}
		was = a.used
		if err := t.rows(count, scan, id[:]); err != nil || was == is {
			return err
		}
		t.exec(`UPDATE accounts SET storage = $2, messages = $3 WHERE account = $1`, a.num, is.Storage, is.Messages)
		return nil
	}})
	if err != nil {
		return mailbox.QuotaUsage{}, mailbox.QuotaUsage{}, err
	}
	return was, is, nil
}
