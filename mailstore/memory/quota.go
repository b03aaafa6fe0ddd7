package memory

import (
	"context"

	"github.com/starling-mail/starling/mailbox"
)

// limits returns what is in force for an account.
func (a *account) limits(w *World) mailbox.QuotaLimits {
	if a.own != nil {
		return *a.own
	}
	return w.o.DefaultQuota()
}

// fits reports whether the account has room for more.
func (a *account) fits(t *tx, add mailbox.QuotaUsage) error {
	if !a.limits(t.w).Fits(a.usage, add) {
		return refuse(mailbox.OverQuota, t.op, "")
	}
	return nil
}

// charge adds to the account's usage.
func (a *account) charge(add mailbox.QuotaUsage) {
	a.usage.Storage += add.Storage
	a.usage.Messages += add.Messages
}

// Quota implements mailstore.Quotas.
func (s *Store) Quota(ctx context.Context, id mailbox.AccountID) (q mailbox.Quota, err error) {
	const op = "Quota"
	err = s.read(ctx, op, func(w *World) error {
		a, err := w.account(op, id)
		if err != nil {
			return err
		}
		q = mailbox.Quota{Account: id, Limits: a.limits(w), Own: a.own != nil, Usage: a.usage}
		return nil
	})
	return q, err
}

// SetQuota implements mailstore.Quotas.
func (s *Store) SetQuota(ctx context.Context, id mailbox.AccountID, l *mailbox.QuotaLimits) error {
	const op = "SetQuota"
	return s.write(ctx, op, func(t *tx) error {
		a, err := t.w.account(op, id)
		if err != nil {
			return err
		}
		a.own = nil
		if l != nil {
			a.own = &mailbox.QuotaLimits{Storage: max(l.Storage, -1), Messages: max(l.Messages, -1)}
		}
		t.emit(mailbox.Event{Kind: mailbox.EventQuotaChanged, Account: id})
		return nil
	})
}

// RecountQuota implements mailstore.Quotas.
func (s *Store) RecountQuota(ctx context.Context, id mailbox.AccountID, mend bool) (was, is mailbox.QuotaUsage, err error) {
	const op = "RecountQuota"
	err = s.write(ctx, op, func(t *tx) error {
		a, err := t.w.account(op, id)
		if err != nil {
			return err
		}
		was = a.usage
		for _, b := range a.boxes {
			for _, m := range b.messages {
				is.Storage += m.draft.Bytes
				is.Messages++
			}
		}
		if mend {
			a.usage = is
		}
		return nil
	})
	if err != nil {
		return mailbox.QuotaUsage{}, mailbox.QuotaUsage{}, err
	}
	return was, is, nil
}
