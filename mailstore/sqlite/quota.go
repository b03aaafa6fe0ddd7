package sqlite

import (
	"context"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
)

// accountQuota reads an account's limits and usage.
func (s *Store) accountQuota(c *sqlite3.Conn, op string, account mailbox.AccountID) (q mailbox.Quota, err error) {
	q.Account = account
	ok, err := row(c, `SELECT storage, messages, storage_limit, messages_limit FROM accounts WHERE id = ?`, func(r *sqlite3.Stmt) {
		q.Usage = mailbox.QuotaUsage{Storage: r.Int(0), Messages: r.Int(1)}
		if q.Own = !r.Null(2); q.Own {
			q.Limits = mailbox.QuotaLimits{Storage: r.Int(2), Messages: r.Int(3)}
		}
	}, account[:])
	if err == nil && !ok {
		err = refuse(mailbox.NonExistent, op, "no such account")
	}
	if !q.Own {
		q.Limits = s.o.DefaultQuota()
	}
	return q, err
}

// charge adds to the usage of the account of b, if its limits allow.
func (t *tx) charge(op string, b *box, add mailbox.QuotaUsage) error {
	q, err := t.s.accountQuota(t.c, op, b.Account)
	if err != nil {
		return err
	}
	if !q.Limits.Fits(q.Usage, add) {
		return refuse(mailbox.OverQuota, op, "")
	}
	return t.exec(`UPDATE accounts SET storage = storage + ?, messages = messages + ? WHERE account = ?`, add.Storage, add.Messages, b.acct)
}

// Quota implements mailstore.Quotas.
func (s *Store) Quota(ctx context.Context, account mailbox.AccountID) (q mailbox.Quota, err error) {
	const op = "read quota"
	err = s.read(ctx, op, func(c *sqlite3.Conn) (err error) {
		q, err = s.accountQuota(c, op, account)
		return err
	})
	return q, err
}

// SetQuota implements mailstore.Quotas.
func (s *Store) SetQuota(ctx context.Context, account mailbox.AccountID, l *mailbox.QuotaLimits) error {
	const op = "set quota"
	return s.write(ctx, op, func(t *tx) error {
		acct, err := accountNumber(t.c, op, account)
		if err != nil {
			return err
		}
		if l == nil {
			err = t.exec(`UPDATE accounts SET storage_limit = NULL, messages_limit = NULL WHERE account = ?`, acct)
		} else {
			err = t.exec(`UPDATE accounts SET storage_limit = ?, messages_limit = ? WHERE account = ?`, max(l.Storage, -1), max(l.Messages, -1), acct)
		}
		if err != nil {
			return err
		}
		return t.emit(mailbox.Event{Kind: mailbox.EventQuotaChanged, Account: account})
	})
}

// RecountQuota implements mailstore.Quotas. The count is taken in the writer's
// own order, so it is exact while mail comes in; that takes about 0.1 s for
// 100,000 messages, during which other writes wait.
func (s *Store) RecountQuota(ctx context.Context, account mailbox.AccountID, mend bool) (was, is mailbox.QuotaUsage, err error) {
	const op = "recount quota"
	count := func(c *sqlite3.Conn) error {
		q, err := s.accountQuota(c, op, account)
		if err != nil {
			return err
		}
		was = q.Usage
		_, err = row(c, `SELECT coalesce(sum(size), 0), count(*) FROM messages WHERE box IN
			(SELECT box FROM mailboxes WHERE account = (SELECT account FROM accounts WHERE id = ?))`, func(r *sqlite3.Stmt) {
			is = mailbox.QuotaUsage{Storage: r.Int(0), Messages: r.Int(1)}
		}, account[:])
		return err
	}
	if !mend {
		err = s.read(ctx, op, count)
		return was, is, err
	}
	err = s.write(ctx, op, func(t *tx) error {
		if err := count(t.c); err != nil || was == is {
			return err
		}
		return t.exec(`UPDATE accounts SET storage = ?, messages = ? WHERE id = ?`, is.Storage, is.Messages, account[:])
	})
	if err != nil {
		return mailbox.QuotaUsage{}, mailbox.QuotaUsage{}, err
	}
	return was, is, nil
}
