package sharded

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/postgres"
)

// User implements mailstore.Users. The directory knows whose a name is, the account's shard the rest.
func (s *Store) User(ctx context.Context, name string) (u mailbox.User, err error) {
	const op = "find user"
	ask := func(account mailbox.AccountID) error {
		return s.on(ctx, op, account, func(store *postgres.Store) (err error) {
			u, err = store.User(ctx, name)
			if err == nil && u.Account != account { // the name is another's, of the same shard, by now
				err = &mailbox.Error{Kind: mailbox.NonExistent, Op: op, Text: "no such user"}
			}
			return err
		})
	}
	if account, ok := s.routes.names.get(name); ok {
		if err := ask(account); !missing(err) {
			return u, err
		}
		s.routes.names.forget(name)
	}
	p, err := s.directory().FindName(ctx, name)
	if err == nil {
		_, err = s.arrived(ctx, op, p)
	}
	if err == nil {
		err = ask(p.Account)
	}
	if mailbox.KindOf(err) == mailbox.NonExistent {
		return mailbox.User{}, &mailbox.Error{Kind: mailbox.NonExistent, Op: op, Text: "no such user"}
	}
	if err != nil {
		return mailbox.User{}, err
	}
	s.routes.names.put(name, p.Account)
	return u, nil
}

// UserList implements mailstore.Users. It needs all shards.
func (s *Store) UserList(ctx context.Context) ([]mailbox.User, error) {
	const op = "list users"
	lists, errs := make([][]mailbox.User, len(s.shards)), make([]error, len(s.shards))
	var asking sync.WaitGroup
	for i, sh := range s.shards {
		asking.Go(func() {
			var store *postgres.Store
			if store, errs[i] = sh.get(op); errs[i] == nil {
				lists[i], errs[i] = store.UserList(ctx)
			}
		})
	}
	asking.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	all := slices.Concat(lists...)
	slices.SortFunc(all, func(a, b mailbox.User) int { return strings.Compare(a.Name, b.Name) })
	// One that was moved meanwhile may have been seen on both sides.
	return slices.CompactFunc(all, func(a, b mailbox.User) bool { return a.Account == b.Account }), nil
}

// choose returns the shard for a new account: by rendezvous hashing, so that each gets its share and another shard
// takes as much from each.
func (s *Store) choose(account mailbox.AccountID) (*shard, error) {
	open := slices.DeleteFunc(slices.Clone(s.shards), func(sh *shard) bool { return sh.Closed })
	if len(open) == 0 {
		return nil, &mailbox.Error{Kind: mailbox.Limit, Op: "add user", Text: "no shard takes new accounts"}
	}
	return slices.MaxFunc(open, func(a, b *shard) int { return cmp.Compare(a.score(account), b.score(account)) }), nil
}

// score is by which shards compete for an account.
func (sh *shard) score(account mailbox.AccountID) uint64 {
	sum := sha256.Sum256(append(account[:], sh.Name...))
	return binary.BigEndian.Uint64(sum[:])
}

// AddUser implements mailstore.Users. The directory's entry is there before the account, and confirmed after it: what a crash leaves
// between the two belongs to nobody, and whoever adds the user again goes on from there.
func (s *Store) AddUser(ctx context.Context, u mailbox.User, boxes []mailstore.NewMailbox) (mailbox.User, error) {
	const op = "add user"
	account := mailbox.NewAccountID()
	sh, err := s.choose(account)
	if err != nil {
		return mailbox.User{}, err
	}
	if _, err := sh.get(op); err != nil {
		return mailbox.User{}, err
	}
	p := postgres.Place{Account: account, UserName: u.Name, Shard: sh.Name}
	d := s.directory()
	if err := s.finishRemoval(ctx, u.Name); err != nil {
		return mailbox.User{}, err
	}
	if p, err = d.Add(ctx, p, u.Aliases); err != nil {
		return mailbox.User{}, err
	}
	if sh, err = s.named(op, p.Shard); err != nil {
		return mailbox.User{}, err
	}
	store, err := sh.get(op)
	if err != nil {
		return mailbox.User{}, err
	}
	u.Account = p.Account
	added, err := store.AddAccount(ctx, u, boxes)
	switch mailbox.KindOf(err) {
	case mailbox.AlreadyExists: // perhaps all but the confirmation was done before
		if old, e := store.User(ctx, u.Name); e == nil && old.Account == p.Account {
			err = errors.Join(err, d.Settle(ctx, p.Account, old.Aliases))
		}
	case mailbox.Unknown, mailbox.Unavailable:
	default:
		if err != nil {
			err = errors.Join(err, d.Abandon(ctx, p.Account)) // what was refused leaves nothing behind
		}
	}
	if err != nil {
		return mailbox.User{}, err
	}
	if err := d.Settle(ctx, p.Account, added.Aliases); err != nil {
		if mailbox.KindOf(err) == mailbox.NonExistent { // removed by somebody who found the beginning of it
			err = errors.Join(err, store.RemoveUser(ctx, u.Name))
		}
		return mailbox.User{}, &mailbox.Error{Kind: mailbox.Unknown, Op: op, Err: err}
	}
	return added, nil
}

// UpdateUser implements mailstore.Users. New aliases are taken before, old ones given up after.
func (s *Store) UpdateUser(ctx context.Context, u mailbox.User) error {
	const op = "change user"
	d := s.directory()
	p, err := s.owned(ctx, op, u.Name)
	if err != nil {
		return err
	}
	if err := d.Claim(ctx, p.Account, u.Aliases); err != nil {
		return err
	}
	err = s.on(ctx, op, p.Account, func(store *postgres.Store) error { return store.UpdateUser(ctx, u) })
	if err != nil {
		return err
	}
	if err := d.Settle(ctx, p.Account, u.Aliases); err != nil {
		return &mailbox.Error{Kind: mailbox.Unknown, Op: op, Err: err}
	}
	return nil
}

// owned returns the place of the user with that name, which is no alias.
func (s *Store) owned(ctx context.Context, op, name string) (postgres.Place, error) {
	p, err := s.directory().FindName(ctx, name)
	if mailbox.KindOf(err) == mailbox.NonExistent || err == nil && (p.UserName != name || p.State == postgres.Removing) {
		return p, &mailbox.Error{Kind: mailbox.NonExistent, Op: op, Text: "no such user"}
	}
	return p, err
}

// RemoveUser implements mailstore.Users. From the directory's word on the user is gone for all who ask it; what follows can be done
// by removing the user again, or adding another of that name.
func (s *Store) RemoveUser(ctx context.Context, name string) error {
	p, err := s.directory().FindName(ctx, name)
	if mailbox.KindOf(err) == mailbox.NonExistent || err == nil && p.UserName != name {
		return &mailbox.Error{Kind: mailbox.NonExistent, Op: "remove user", Text: "no such user"}
	}
	if err != nil {
		return err
	}
	if err := s.directory().Remove(ctx, p.Account); err != nil {
		return err
	}
	p.State = postgres.Removing
	existed, err := s.remove(ctx, p)
	if err == nil && !existed {
		err = &mailbox.Error{Kind: mailbox.NonExistent, Op: "remove user", Text: "no such user"}
	}
	return err
}

// remove ends what RemoveUser began, and reports whether there was an account.
func (s *Store) remove(ctx context.Context, p postgres.Place) (existed bool, err error) {
	const op = "remove user"
	sh, err := s.named(op, p.Shard)
	if err != nil {
		return false, err
	}
	store, err := sh.get(op)
	if err != nil {
		return false, err
	}
	if existed, err = store.Holds(ctx, p.Account); err != nil {
		return false, err
	}
	if existed {
		if err := store.RemoveUser(ctx, p.UserName); err != nil && mailbox.KindOf(err) != mailbox.NonExistent {
			return existed, err
		}
	}
	s.routes.accounts.forget(p.Account)
	return existed, s.directory().Forget(ctx, p.Account)
}

// finishRemoval frees a name whose user was removed, where that was not ended.
func (s *Store) finishRemoval(ctx context.Context, name string) error {
	p, err := s.directory().FindName(ctx, name)
	switch {
	case mailbox.KindOf(err) == mailbox.NonExistent:
		return nil
	case err != nil || p.State != postgres.Removing:
		return err
	}
	_, err = s.remove(ctx, p)
	return err
}
