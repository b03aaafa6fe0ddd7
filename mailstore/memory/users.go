package memory

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/incoming"
)

// An account is a user with their mail.
type account struct {
	user       mailbox.User
	boxes      map[string]*box // by name
	subscribed map[string]bool // the names that are
	validity   uint32          // the last UIDVALIDITY given out
	own        *mailbox.QuotaLimits
	usage      mailbox.QuotaUsage
	threads    map[[16]byte][16]byte // of the message IDs that belong to each
}

// account finds an account.
func (w *World) account(op string, id mailbox.AccountID) (*account, error) {
	a := w.accounts[id]
	if a == nil {
		return nil, refuse(mailbox.NonExistent, op, "no such account")
	}
	return a, nil
}

// copyUser returns the account's user, for the caller to keep.
func (a *account) copyUser() mailbox.User {
	u := a.user
	u.Aliases = slices.Clone(u.Aliases)
	return u
}

// thread finds the thread of a message, or begins one, and remembers the message
// IDs that belong to it.
func (a *account) thread(d *incoming.Draft) [16]byte {
	thread := d.Thread
	// What the message answers decides before its own ID does.
	keys := slices.Clone(d.Keys)
	if d.HasID {
		keys = append(keys[1:], keys[0])
	}
	for _, k := range keys {
		if known, ok := a.threads[k]; ok {
			thread = known
			break
		}
	}
	for _, k := range keys {
		if _, ok := a.threads[k]; !ok {
			a.threads[k] = thread
		}
	}
	return thread
}

// User implements mailstore.Users.
func (s *Store) User(ctx context.Context, name string) (u mailbox.User, err error) {
	const op = "User"
	err = s.read(ctx, op, func(w *World) error {
		a := w.names[name]
		if a == nil {
			return refuse(mailbox.NonExistent, op, "no such user")
		}
		u = a.copyUser()
		return nil
	})
	if err != nil {
		return mailbox.User{}, err
	}
	return u, nil
}

// UserList implements mailstore.Users.
func (s *Store) UserList(ctx context.Context) (list []mailbox.User, err error) {
	err = s.read(ctx, "UserList", func(w *World) error {
		for _, a := range w.accounts {
			list = append(list, a.copyUser())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b mailbox.User) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// names returns a user's names, all of which must be free or held's.
func (t *tx) names(u mailbox.User, held *account) ([]string, error) {
	names := append([]string{u.Name}, u.Aliases...)
	for i, name := range names {
		if name == "" {
			return nil, refuse(mailbox.Cannot, t.op, "a name cannot be empty")
		}
		if other := t.w.names[name]; other != nil && other != held || slices.Contains(names[:i], name) {
			return nil, refuse(mailbox.AlreadyExists, t.op, "the name "+name+" is taken")
		}
	}
	return names, nil
}

// AddUser implements mailstore.Users. Besides EventCreated and EventSubscribed
// for each mailbox it publishes EventCredentialsChanged, for those who remember that there was no such user.
func (s *Store) AddUser(ctx context.Context, u mailbox.User, boxes []mailstore.NewMailbox) (mailbox.User, error) {
	u.Aliases = sortedSet(u.Aliases)
	if !slices.ContainsFunc(boxes, func(b mailstore.NewMailbox) bool { return b.Name == mailbox.Inbox }) {
		boxes = append([]mailstore.NewMailbox{{Name: mailbox.Inbox}}, boxes...)
	}
	var a *account
	err := s.write(ctx, "AddUser", func(t *tx) error {
		names, err := t.names(u, nil)
		if err != nil {
			return err
		}
		u.Account, u.Created = t.w.newID(), time.Unix(t.now.Unix(), 0).UTC()
		a = &account{user: u, boxes: make(map[string]*box), subscribed: make(map[string]bool),
			validity: t.w.rand.Uint32N(1 << 30), threads: make(map[[16]byte][16]byte)}
		t.emit(mailbox.Event{Kind: mailbox.EventCredentialsChanged, Account: u.Account, Name: u.Name})
		for _, b := range boxes {
			if _, err := t.create(a, b.Name, b.SpecialUse); err != nil {
				return err
			}
			if err := t.subscribe(a, b.Name, true); err != nil {
				return err
			}
		}
		// From here on nothing fails.
		t.w.accounts[u.Account] = a
		for _, name := range names {
			t.w.names[name] = a
		}
		for _, b := range a.boxes {
			t.w.boxes[b.ID] = b
		}
		return nil
	})
	if err != nil {
		return mailbox.User{}, err
	}
	u.Aliases = slices.Clone(u.Aliases)
	return u, nil
}

func sortedSet(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }

// holder finds a user by name, not by alias.
func (t *tx) holder(name string) (*account, error) {
	a := t.w.names[name]
	if a == nil || a.user.Name != name {
		return nil, refuse(mailbox.NonExistent, t.op, "no such user")
	}
	return a, nil
}

// UpdateUser implements mailstore.Users.
func (s *Store) UpdateUser(ctx context.Context, u mailbox.User) error {
	u.Aliases = sortedSet(u.Aliases)
	return s.write(ctx, "UpdateUser", func(t *tx) error {
		a, err := t.holder(u.Name)
		if err != nil {
			return err
		}
		names, err := t.names(u, a)
		if err != nil {
			return err
		}
		for _, name := range a.user.Aliases {
			delete(t.w.names, name)
		}
		for _, name := range names {
			t.w.names[name] = a
		}
		u.Account, u.Created = a.user.Account, a.user.Created
		a.user = u
		t.emit(mailbox.Event{Kind: mailbox.EventCredentialsChanged, Account: u.Account, Name: u.Name})
		return nil
	})
}

// RemoveUser implements mailstore.Users.
func (s *Store) RemoveUser(ctx context.Context, name string) error {
	return s.write(ctx, "RemoveUser", func(t *tx) error {
		a, err := t.holder(name)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(a.boxes)) {
			t.bury(a.boxes[name])
		}
		delete(t.w.accounts, a.user.Account)
		for _, name := range append([]string{a.user.Name}, a.user.Aliases...) {
			delete(t.w.names, name)
		}
		t.emit(mailbox.Event{Kind: mailbox.EventCredentialsChanged, Account: a.user.Account, Name: name})
		return nil
	})
}
