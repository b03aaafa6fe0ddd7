package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/mailbox"
)

// A Directory says which of several databases keeps an account, and to whom a
// name belongs. It is in the database of the first shard.
type Directory struct{ s *Store }

// Directory returns the directory that this database has.
func (s *Store) Directory() Directory { return Directory{s} }

// A PlaceState says how far an account has come. Values are never reused.
type PlaceState int16

// The states of a Place.
const (
	Adding   PlaceState = 0 // the account may not be there yet
	Settled  PlaceState = 1
	Removing PlaceState = 2 // the account may be gone already
)

// A Place is the directory's entry of one account.
type Place struct {
	Account  mailbox.AccountID
	UserName string
	Shard    string
	State    PlaceState
	Moving   string // the shard that the account is being moved to, or empty
}

const placeQuery = `SELECT d.account, d.username, d.shard, d.state, coalesce(d.moving, '') FROM directory d `

func (p *Place) scan(r pgx.Rows) error {
	var id []byte
	err := r.Scan(&id, &p.UserName, &p.Shard, &p.State, &p.Moving)
	copy(p.Account[:], id)
	return err
}

// Find returns an account's entry, or an error of kind NonExistent.
func (d Directory) Find(ctx context.Context, account mailbox.AccountID) (Place, error) {
	return d.find(ctx, placeQuery+`WHERE d.account = $1`, account[:])
}

// FindName returns the entry of whom a name or alias belongs to, or an error of kind NonExistent.
func (d Directory) FindName(ctx context.Context, name string) (Place, error) {
	if !text(name) {
		name = ""
	}
	return d.find(ctx, placeQuery+`WHERE d.account = (SELECT account FROM directory_names WHERE name = $1)`, name)
}

func (d Directory) find(ctx context.Context, query string, arg any) (p Place, err error) {
	const op = "find account"
	if err := d.s.read(ctx, op, []stmt{{sql: query, args: []any{arg}, scan: p.scan}}); err != nil {
		return p, err
	}
	if p.Account.IsZero() {
		return p, refuse(mailbox.NonExistent, op, "no such account")
	}
	return p, nil
}

// Moves returns the entries of all accounts that are being moved.
func (d Directory) Moves(ctx context.Context) (list []Place, err error) {
	err = d.s.read(ctx, "find moves", []stmt{{sql: placeQuery + `WHERE d.moving IS NOT NULL`, scan: func(r pgx.Rows) error {
		var p Place
		err := p.scan(r)
		list = append(list, p)
		return err
	}}})
	return list, err
}

// change has f change the entry of an account, which is locked and there.
func (d Directory) change(ctx context.Context, op string, account mailbox.AccountID, f func(*tx, Place) error) error {
	return d.s.write(ctx, &request{op: op, run: func(t *tx) error {
		var p Place
		if err := t.rows(placeQuery+`WHERE d.account = $1 FOR UPDATE`, p.scan, account[:]); err != nil {
			return err
		}
		if p.Account.IsZero() {
			return refuse(mailbox.NonExistent, op, "no such account")
		}
		return f(t, p)
	}})
}

// claim takes names for an account. Kind AlreadyExists where one is another's.
func (t *tx) claim(op string, account mailbox.AccountID, names []string) error {
	for _, name := range names {
		if name == "" || !text(name) {
			return refuse(mailbox.Cannot, op, "a name cannot be empty, nor anything but text")
		}
		ours := false
		// Another who takes the name at this moment is waited for.
		t.exec(`INSERT INTO directory_names (name, account) VALUES ($1, $2) ON CONFLICT DO NOTHING`, name, account[:])
		if err := t.rows(`SELECT account = $2 FROM directory_names WHERE name = $1`, func(r pgx.Rows) error { return r.Scan(&ours) }, name, account[:]); err != nil {
			return err
		}
		if !ours {
			return refuse(mailbox.AlreadyExists, op, "the name "+name+" is taken")
		}
	}
	return nil
}

// Add makes an entry with the user's name and aliases, in the state Adding. If the user's name has an entry in that state already, which
// somebody began and may not have ended, it returns that. Kind AlreadyExists where a name is taken.
func (d Directory) Add(ctx context.Context, p Place, aliases []string) (Place, error) {
	const op = "add user"
	add := p
	err := d.s.write(ctx, &request{op: op, run: func(t *tx) error {
		p = add
		var old Place
		if err := t.rows(placeQuery+`WHERE d.account = (SELECT account FROM directory_names WHERE name = $1) FOR UPDATE`, old.scan, p.UserName); err != nil {
			return err
		}
		switch {
		case old.Account.IsZero():
			t.exec(`INSERT INTO directory (account, username, shard, state) VALUES ($1, $2, $3, $4)`, p.Account[:], p.UserName, p.Shard, int16(Adding))
		case old.UserName == p.UserName && old.State == Adding:
			p = old
		default:
			return refuse(mailbox.AlreadyExists, op, "the name "+p.UserName+" is taken")
		}
		return t.claim(op, p.Account, append([]string{p.UserName}, aliases...))
	}})
	return p, err
}

// Claim takes further names for an account. Kind AlreadyExists where one is
// another's.
func (d Directory) Claim(ctx context.Context, account mailbox.AccountID, names []string) error {
	const op = "change user"
	return d.change(ctx, op, account, func(t *tx, _ Place) error { return t.claim(op, account, names) })
}

// Settle says that the account is there, with the user's name and these aliases; other names
// are given up. Kind NonExistent where the entry is gone or its account is being removed.
func (d Directory) Settle(ctx context.Context, account mailbox.AccountID, aliases []string) error {
	const op = "settle account"
	return d.change(ctx, op, account, func(t *tx, p Place) error {
		if p.State == Removing {
			return refuse(mailbox.NonExistent, op, "no such account")
		}
		names := append(slices.Clone(aliases), p.UserName)
		t.exec(`UPDATE directory SET state = $2 WHERE account = $1`, account[:], int16(Settled))
		t.exec(`DELETE FROM directory_names WHERE account = $1 AND name <> ALL($2)`, account[:], names)
		return t.claim(op, account, names)
	})
}

// Remove says that the account is about to be removed: for everybody else it is gone. Kind InUse while it is being
// moved.
func (d Directory) Remove(ctx context.Context, account mailbox.AccountID) error {
	const op = "remove user"
	return d.change(ctx, op, account, func(t *tx, p Place) error {
		if p.Moving != "" {
			return refuse(mailbox.InUse, op, "the account is being moved to shard "+p.Moving)
		}
		t.exec(`UPDATE directory SET state = $2 WHERE account = $1`, account[:], int16(Removing))
		return nil
	})
}

// BeginMove says that an account is being moved to another shard. Kind InUse where it is being moved elsewhere, or
// being added or removed.
func (d Directory) BeginMove(ctx context.Context, account mailbox.AccountID, from, to string) error {
	return d.change(ctx, opMove, account, func(t *tx, p Place) error {
		switch {
		case p.Shard != from || p.Moving != "" && p.Moving != to:
			return refuse(mailbox.InUse, opMove, "another process moves the account")
		case p.State != Settled:
			return refuse(mailbox.InUse, opMove, "the account is being added or removed")
		}
		t.exec(`UPDATE directory SET moving = $2 WHERE account = $1`, account[:], to)
		return nil
	})
}

// EndMove says that an account has left p.Shard for p.Moving, which keeps it from now on. Doing so twice is no error.
func (d Directory) EndMove(ctx context.Context, p Place) error {
	return d.s.write(ctx, &request{op: opMove, run: func(t *tx) error {
		t.exec(`UPDATE directory SET shard = $3, moving = NULL WHERE account = $1 AND shard = $2`, p.Account[:], p.Shard, p.Moving)
		return nil
	}})
}

// CancelMove says that an account stays where it is.
func (d Directory) CancelMove(ctx context.Context, p Place) error {
	return d.s.write(ctx, &request{op: opMove, run: func(t *tx) error {
		t.exec(`UPDATE directory SET moving = NULL WHERE account = $1 AND shard = $2 AND moving = $3`, p.Account[:], p.Shard, p.Moving)
		return nil
	}})
}

// Abandon removes the entry of a user who was not added, unless somebody else has done so.
func (d Directory) Abandon(ctx context.Context, account mailbox.AccountID) error {
	return d.s.write(ctx, &request{op: "add user", run: func(t *tx) error {
		t.exec(`WITH gone AS (DELETE FROM directory WHERE account = $1 AND state = $2 RETURNING account)
			DELETE FROM directory_names WHERE account IN (SELECT account FROM gone)`, account[:], int16(Adding))
		return nil
	}})
}

// Forget removes the entry of an account that is gone.
func (d Directory) Forget(ctx context.Context, account mailbox.AccountID) error {
	return d.s.write(ctx, &request{op: "remove user", run: func(t *tx) error {
		t.exec(`DELETE FROM directory_names WHERE account = $1`, account[:])
		t.exec(`DELETE FROM directory WHERE account = $1`, account[:])
		return nil
	}})
}

// An Entry is a Place with all names of its user, sorted.
type Entry struct {
	Place
	Names []string
}

// Entries returns all entries.
func (d Directory) Entries(ctx context.Context) (list []Entry, err error) {
	err = d.s.read(ctx, "read directory", []stmt{{sql: `SELECT d.account, d.username, d.shard, d.state, coalesce(d.moving, ''),
		ARRAY(SELECT n.name FROM directory_names n WHERE n.account = d.account ORDER BY n.name) FROM directory d ORDER BY d.username`, scan: func(r pgx.Rows) error {
		var e Entry
		var id []byte
		err := r.Scan(&id, &e.UserName, &e.Shard, &e.State, &e.Moving, &e.Names)
		copy(e.Account[:], id)
		list = append(list, e)
		return err
	}}})
	return list, err
}
