package memory

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/rules"
)

// List implements mailstore.Mailboxes.
func (s *Store) List(ctx context.Context, id mailbox.AccountID) (list []mailstore.Info, err error) {
	const op = "List"
	err = s.read(ctx, op, func(w *World) error {
		a, err := w.account(op, id)
		if err != nil {
			return err
		}
		for _, b := range a.boxes {
			list = append(list, b.info())
		}
		for name := range a.subscribed {
			if a.boxes[name] == nil {
				list = append(list, mailstore.Info{Account: id, Name: name, Subscribed: true})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b mailstore.Info) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// Lookup implements mailstore.Mailboxes.
func (s *Store) Lookup(ctx context.Context, id mailbox.AccountID, name string) (i mailstore.Info, err error) {
	const op = "Lookup"
	err = s.read(ctx, op, func(w *World) error {
		b, err := w.named(op, id, name)
		if err != nil {
			return err
		}
		i = b.info()
		return nil
	})
	if err != nil {
		return mailstore.Info{}, err
	}
	return i, nil
}

// Create implements mailstore.Mailboxes.
func (s *Store) Create(ctx context.Context, id mailbox.AccountID, name string, use []imap.MailboxAttr) (i mailstore.Info, err error) {
	const op = "Create"
	err = s.write(ctx, op, func(t *tx) error {
		a, err := t.w.account(op, id)
		if err != nil {
			return err
		}
		b, err := t.create(a, name, use)
		if err != nil {
			return err
		}
		t.w.boxes[b.ID] = b
		i = b.info()
		return nil
	})
	if err != nil {
		return mailstore.Info{}, err
	}
	return i, nil
}

// create adds an empty mailbox to an account and emits its event. The caller
// adds it to the world.
func (t *tx) create(a *account, name string, use []imap.MailboxAttr) (*box, error) {
	if err := mailbox.CheckName(name); err != nil {
		return nil, err
	}
	switch {
	case a.boxes[name] != nil:
		return nil, refuse(mailbox.AlreadyExists, t.op, "a mailbox of that name exists")
	case len(a.boxes) >= t.w.o.MaxMailboxes:
		return nil, refuse(mailbox.Limit, t.op, "too many mailboxes")
	case a.validity == math.MaxUint32:
		return nil, refuse(mailbox.Limit, t.op, "the account has no UIDVALIDITY left")
	}
	var taken []imap.MailboxAttr
	for _, b := range a.boxes {
		taken = append(taken, b.SpecialUse...)
	}
	use, err := rules.CheckUse(t.op, use, taken)
	if err != nil {
		return nil, err
	}
	a.validity++
	b := &box{owner: a, Info: mailstore.Info{
		ID: t.w.newID(), Account: a.user.Account, Name: name, UIDValidity: a.validity, SpecialUse: use,
		ModSeq: 1, Counts: mailbox.Counts{UIDNext: 1}, RecentFrom: 1,
	}}
	a.boxes[name] = b
	t.emit(mailbox.Event{Kind: mailbox.EventCreated, Account: b.Account, Mailbox: b.ID, Name: name})
	return b, nil
}

// Delete implements mailstore.Mailboxes.
func (s *Store) Delete(ctx context.Context, id mailbox.AccountID, name string) error {
	const op = "Delete"
	if name == mailbox.Inbox {
		return refuse(mailbox.Cannot, op, "INBOX cannot be deleted")
	}
	return s.write(ctx, op, func(t *tx) error {
		b, err := t.w.named(op, id, name)
		if err != nil {
			return err
		}
		b.owner.charge(mailbox.QuotaUsage{Storage: -b.Counts.Size, Messages: -int64(b.Counts.Messages)})
		t.bury(b)
		return nil
	})
}

// bury removes a mailbox and emits its event.
func (t *tx) bury(b *box) {
	delete(t.w.boxes, b.ID)
	delete(b.owner.boxes, b.Name)
	t.emit(mailbox.Event{Kind: mailbox.EventDeleted, Account: b.Account, Mailbox: b.ID, Name: b.Name})
}

// Subscribe implements mailstore.Mailboxes.
func (s *Store) Subscribe(ctx context.Context, id mailbox.AccountID, name string, on bool) error {
	const op = "Subscribe"
	if on {
		if err := mailbox.CheckName(name); err != nil {
			return err
		}
	}
	return s.write(ctx, op, func(t *tx) error {
		a, err := t.w.account(op, id)
		if err != nil {
			return err
		}
		return t.subscribe(a, name, on)
	})
}

func (t *tx) subscribe(a *account, name string, on bool) error {
	if a.subscribed[name] == on {
		return nil
	}
	kind := mailbox.EventUnsubscribed
	if on {
		if len(a.subscribed) >= t.w.o.MaxMailboxes {
			return refuse(mailbox.Limit, t.op, "too many subscriptions")
		}
		kind = mailbox.EventSubscribed
		a.subscribed[name] = true
	} else {
		delete(a.subscribed, name)
	}
	t.emit(mailbox.Event{Kind: kind, Account: a.user.Account, Name: name})
	return nil
}
