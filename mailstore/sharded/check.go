package sharded

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/postgres"
)

var _ mailstore.Checker = (*Store)(nil)

// Check implements mailstore.Checker: each shard by itself, then whether the directory and the shards agree. It needs all shards.
func (s *Store) Check(ctx context.Context, o mailstore.CheckOptions, report func(mailstore.Finding)) error {
	for _, sh := range s.shards {
		store, err := sh.get("check store")
		if err != nil {
			return err
		}
		if err := store.Check(ctx, o, func(f mailstore.Finding) {
			f.What = "shard " + sh.Name + ": " + f.What
			report(f)
		}); err != nil {
			return err
		}
	}
	return s.checkDirectory(ctx, func(format string, args ...any) {
		report(mailstore.Finding{What: "directory: " + fmt.Sprintf(format, args...)})
	})
}

// checkDirectory compares the directory with the users of all shards. Accounts that are being
// added, removed or moved while it does so may be reported: whatever is wrong stays so.
func (s *Store) checkDirectory(ctx context.Context, found func(format string, args ...any)) error {
	entries, err := s.directory().Entries(ctx)
	if err != nil {
		return err
	}
	type resident struct {
		mailbox.User
		shard string
	}
	users := make(map[mailbox.AccountID]resident)
	if err := s.each("check store", func(store *postgres.Store) error {
		list, err := store.UserList(ctx)
		for _, u := range list {
			if other, twice := users[u.Account]; twice {
				found("account %s (%s) is on shards %s and %s", u.Account, u.Name, other.shard, store.Shard())
			}
			users[u.Account] = resident{u, store.Shard()}
		}
		return err
	}); err != nil {
		return err
	}
	for _, e := range entries {
		u, there := users[e.Account]
		delete(users, e.Account)
		switch {
		case e.State == postgres.Adding:
			found("the user %s was not added to the end: add or remove it again", e.UserName)
		case e.State == postgres.Removing:
			found("the user %s was not removed to the end: remove it again", e.UserName)
		case !there:
			found("account %s (%s) is not on shard %s", e.Account, e.UserName, e.Shard)
		case u.shard != e.Shard:
			found("account %s (%s) is on shard %s, not on %s", e.Account, e.UserName, u.shard, e.Shard)
		default:
			names := slices.Sorted(slices.Values(append(slices.Clone(u.Aliases), u.Name)))
			if !slices.Equal(e.Names, names) || e.UserName != u.Name {
				found("the user %s has the names %s, shard %s knows %s", e.UserName, strings.Join(e.Names, " "), e.Shard, strings.Join(names, " "))
			}
		}
	}
	for _, u := range users {
		found("the user %s of shard %s is not in it", u.Name, u.shard)
	}
	return nil
}
