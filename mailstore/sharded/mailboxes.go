package sharded

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/postgres"
)

// List implements mailstore.Mailboxes.
func (s *Store) List(ctx context.Context, account mailbox.AccountID) (list []mailstore.Info, err error) {
	err = s.on(ctx, "list mailboxes", account, func(store *postgres.Store) (err error) {
		list, err = store.List(ctx, account)
		return err
	})
	s.routes.learn(list...)
	return list, err
}

// Lookup implements mailstore.Mailboxes.
func (s *Store) Lookup(ctx context.Context, account mailbox.AccountID, name string) (info mailstore.Info, err error) {
	err = s.on(ctx, "find mailbox", account, func(store *postgres.Store) (err error) {
		info, err = store.Lookup(ctx, account, name)
		return err
	})
	s.routes.learn(info)
	return info, err
}

// Create implements mailstore.Mailboxes.
func (s *Store) Create(ctx context.Context, account mailbox.AccountID, name string, use []imap.MailboxAttr) (info mailstore.Info, err error) {
	err = s.on(ctx, "create mailbox", account, func(store *postgres.Store) (err error) {
		info, err = store.Create(ctx, account, name, use)
		return err
	})
	s.routes.learn(info)
	return info, err
}

// Delete implements mailstore.Mailboxes.
func (s *Store) Delete(ctx context.Context, account mailbox.AccountID, name string) error {
	return s.on(ctx, "delete mailbox", account, func(store *postgres.Store) error { return store.Delete(ctx, account, name) })
}

// Rename implements mailstore.Mailboxes.
func (s *Store) Rename(ctx context.Context, account mailbox.AccountID, from, to string) error {
	return s.on(ctx, "rename mailbox", account, func(store *postgres.Store) error { return store.Rename(ctx, account, from, to) })
}

// Subscribe implements mailstore.Mailboxes.
func (s *Store) Subscribe(ctx context.Context, account mailbox.AccountID, name string, on bool) error {
	return s.on(ctx, "subscribe", account, func(store *postgres.Store) error { return store.Subscribe(ctx, account, name, on) })
}

// Snapshot implements mailstore.Mailboxes.
func (s *Store) Snapshot(ctx context.Context, box mailbox.ID) (snap *mailstore.Snapshot, err error) {
	err = s.onBox(ctx, "open mailbox", box, func(store *postgres.Store) (err error) {
		snap, err = store.Snapshot(ctx, box)
		return err
	})
	return snap, err
}

// ChangesSince implements mailstore.Mailboxes.
func (s *Store) ChangesSince(ctx context.Context, box mailbox.ID, since mailbox.ModSeq) (c *mailbox.Change, ok bool, err error) {
	err = s.onBox(ctx, "read changes", box, func(store *postgres.Store) (err error) {
		c, ok, err = store.ChangesSince(ctx, box, since)
		return err
	})
	return c, ok, err
}

// ClaimRecent implements mailstore.Mailboxes.
func (s *Store) ClaimRecent(ctx context.Context, box mailbox.ID, upTo imap.UID) (first imap.UID, err error) {
	err = s.onBox(ctx, "claim recent messages", box, func(store *postgres.Store) (err error) {
		first, err = store.ClaimRecent(ctx, box, upTo)
		return err
	})
	return first, err
}

// AdoptUIDs implements mailstore.UIDAdopter.
func (s *Store) AdoptUIDs(ctx context.Context, box mailbox.ID, validity uint32, next imap.UID) error {
	return s.onBox(ctx, "adopt UIDs", box, func(store *postgres.Store) error { return store.AdoptUIDs(ctx, box, validity, next) })
}

// Quota implements mailstore.Quotas.
func (s *Store) Quota(ctx context.Context, account mailbox.AccountID) (q mailbox.Quota, err error) {
	err = s.on(ctx, "read quota", account, func(store *postgres.Store) (err error) {
		q, err = store.Quota(ctx, account)
		return err
	})
	return q, err
}

// SetQuota implements mailstore.Quotas.
func (s *Store) SetQuota(ctx context.Context, account mailbox.AccountID, l *mailbox.QuotaLimits) error {
	return s.on(ctx, "set quota", account, func(store *postgres.Store) error { return store.SetQuota(ctx, account, l) })
}

// RecountQuota implements mailstore.Quotas.
func (s *Store) RecountQuota(ctx context.Context, account mailbox.AccountID, mend bool) (was, is mailbox.QuotaUsage, err error) {
	err = s.on(ctx, "recount quota", account, func(store *postgres.Store) (err error) {
		was, is, err = store.RecountQuota(ctx, account, mend)
		return err
	})
	return was, is, err
}
