package sharded

import (
	"context"
	"sync/atomic"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/postgres"
)

// attempts is how often an account that is elsewhere is looked for anew: it may move more than once.
const attempts = 4

// missing reports whether a shard's answer may mean that the account is somewhere else. A body that is not there is
// Expunged, whether the message is gone or the mailbox is.
func missing(err error) bool {
	kind := mailbox.KindOf(err)
	return err != nil && (kind == mailbox.NonExistent || kind == mailbox.Expunged)
}

// on calls f with the shard that keeps an account, and again with another if the account turns out to be there. f fails with kind
// NonExistent or Expunged, and has done nothing, where the account is not.
func (s *Store) on(ctx context.Context, op string, account mailbox.AccountID, f func(*postgres.Store) error) error {
	sh, remembered := s.routes.accounts.get(account)
	for range attempts {
		if !remembered {
			var err error
			if sh, err = s.locate(ctx, op, account); err != nil {
				return err
			}
		}
		store, err := sh.get(op)
		if err != nil {
			return err
		}
		err = f(store)
		if !missing(err) {
			return err
		}
		// What is missing may be the account. A shard that has it now had it before.
		if here, e := store.Holds(ctx, account); e != nil {
			return e
		} else if here {
			return err
		}
		s.routes.accounts.forget(account)
		now, e := s.locate(ctx, op, account)
		if e == nil && now == sh { // the directory may not know yet, or not any more
			now, e = s.followed(ctx, op, postgres.Place{Account: account, Shard: sh.Name})
		}
		if mailbox.KindOf(e) == mailbox.NonExistent || e == nil && now == sh {
			return err // it is nowhere
		}
		if e != nil {
			return e
		}
		sh, remembered = now, true
	}
	return &mailbox.Error{Kind: mailbox.Unavailable, Op: op, Text: "the account is being moved"}
}

// locate asks the directory which shard keeps an account, and remembers it.
func (s *Store) locate(ctx context.Context, op string, account mailbox.AccountID) (*shard, error) {
	p, err := s.directory().Find(ctx, account)
	if err != nil {
		return nil, err
	}
	return s.arrived(ctx, op, p)
}

// arrived returns the shard of a place, and remembers it. A move that has passed its turning point is ended before.
func (s *Store) arrived(ctx context.Context, op string, p postgres.Place) (*shard, error) {
	if p.State == postgres.Removing {
		return nil, &mailbox.Error{Kind: mailbox.NonExistent, Op: op, Text: "no such account"}
	}
	if p.Moving != "" {
		return s.followed(ctx, op, p)
	}
	sh, err := s.named(op, p.Shard)
	if err != nil {
		return nil, err
	}
	s.routes.accounts.put(p.Account, sh)
	return sh, nil
}

// followed is arrived for an account that may have left p.Shard.
func (s *Store) followed(ctx context.Context, op string, p postgres.Place) (*shard, error) {
	to, err := s.departed(ctx, p)
	if err != nil {
		return nil, err
	}
	if to == "" {
		to = p.Shard
	} else {
		p.Moving = to
		if err := s.arrive(ctx, p); err != nil {
			return nil, err
		}
	}
	return s.arrived(ctx, op, postgres.Place{Account: p.Account, State: p.State, Shard: to})
}

// onBox is on for the account of a mailbox.
func (s *Store) onBox(ctx context.Context, op string, box mailbox.ID, f func(*postgres.Store) error) error {
	account, ok := s.routes.boxes.get(box)
	if !ok {
		var err error
		if account, err = s.owner(ctx, op, box); err != nil {
			return err
		}
		s.routes.boxes.put(box, account)
	}
	return s.on(ctx, op, account, f)
}

// owner finds whose a mailbox is. One whose account is between two shards is on none: then that is ended first.
func (s *Store) owner(ctx context.Context, op string, box mailbox.ID) (mailbox.AccountID, error) {
	account, err := s.askAll(ctx, op, box)
	if mailbox.KindOf(err) != mailbox.NonExistent {
		return account, err
	}
	if err := s.finishMoves(ctx); err != nil {
		return account, err
	}
	return s.askAll(ctx, op, box)
}

// askAll asks all shards whose a mailbox is.
func (s *Store) askAll(ctx context.Context, op string, box mailbox.ID) (mailbox.AccountID, error) {
	var found atomic.Pointer[mailbox.AccountID]
	errs := s.first(ctx, op, func(ctx context.Context, store *postgres.Store) error {
		account, err := store.Owner(ctx, box)
		if err == nil {
			found.Store(&account)
		}
		return err
	})
	if account := found.Load(); account != nil {
		return *account, nil
	}
	for _, err := range errs {
		if mailbox.KindOf(err) != mailbox.NonExistent {
			return mailbox.AccountID{}, err // it may be there
		}
	}
	return mailbox.AccountID{}, &mailbox.Error{Kind: mailbox.NonExistent, Op: op, Text: "no such mailbox"}
}
