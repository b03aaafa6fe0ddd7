package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// userQuery reads users with their aliases; a WHERE clause follows.
const userQuery = `SELECT u.name, a.id, u.password, u.disabled, u.admin, u.created,
	ARRAY(SELECT n.name FROM names n WHERE n.username = u.name AND n.name <> u.name ORDER BY n.name)
	FROM users u JOIN accounts a ON a.account = u.account `

func scanUser(r pgx.Rows) (u mailbox.User, err error) {
	var id []byte
	var created int64
	if err := r.Scan(&u.Name, &id, &u.Password, &u.Disabled, &u.Admin, &created, &u.Aliases); err != nil {
		return u, err
	}
	if len(u.Aliases) == 0 {
		u.Aliases = nil
	}
	copy(u.Account[:], id)
	u.Created = time.Unix(created, 0).UTC()
	return u, nil
}

// User implements mailstore.Users.
func (s *Store) User(ctx context.Context, name string) (u mailbox.User, err error) {
	const op = "find user"
	if text(name) {
		if err := s.read(ctx, op, []stmt{{sql: userQuery + `WHERE u.name = (SELECT username FROM names WHERE name = $1)`, args: []any{name},
			scan: func(r pgx.Rows) (err error) { u, err = scanUser(r); return err }}}); err != nil {
			return mailbox.User{}, err
		}
	}
	if u.Name == "" {
		return u, refuse(mailbox.NonExistent, op, "no such user")
	}
	return u, nil
}

// UserList implements mailstore.Users.
func (s *Store) UserList(ctx context.Context) (list []mailbox.User, err error) {
	err = s.read(ctx, "list users", []stmt{{sql: userQuery + `ORDER BY u.name`, scan: func(r pgx.Rows) error {
		u, err := scanUser(r)
		list = append(list, u)
		return err
	}}})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// nameUser writes the user's name and aliases into the one space of names.
func (t *tx) nameUser(op string, u *mailbox.User) error {
	u.Aliases = slices.Compact(slices.Sorted(slices.Values(u.Aliases)))
	for _, name := range append([]string{u.Name}, u.Aliases...) {
		if name == "" || !text(name) {
			return refuse(mailbox.Cannot, op, "a name cannot be empty, nor anything but text")
		}
		free := false
		// Another who takes the name at this moment is waited for.
		if err := t.rows(`INSERT INTO names (name, username) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING true`,
			func(r pgx.Rows) error { return r.Scan(&free) }, name, u.Name); err != nil {
			return err
		}
		if !free {
			return refuse(mailbox.AlreadyExists, op, "the name "+name+" is taken")
		}
	}
	return nil
}

// AddUser implements mailstore.Users. Besides EventCreated and EventSubscribed
// for each mailbox it publishes EventCredentialsChanged, for those who remember that there was no such user.
func (s *Store) AddUser(ctx context.Context, u mailbox.User, boxes []mailstore.NewMailbox) (mailbox.User, error) {
	u.Account = mailbox.NewAccountID()
	return s.AddAccount(ctx, u, boxes)
}

// AddAccount is AddUser with an account whose ID was chosen before: one that has never been
// given to another. Kind AlreadyExists where it has been added.
func (s *Store) AddAccount(ctx context.Context, u mailbox.User, boxes []mailstore.NewMailbox) (mailbox.User, error) {
	const op = "add user"
	aliases := u.Aliases
	if !slices.ContainsFunc(boxes, func(b mailstore.NewMailbox) bool { return b.Name == mailbox.Inbox }) {
		boxes = append([]mailstore.NewMailbox{{Name: mailbox.Inbox}}, boxes...)
	}
	for _, b := range boxes {
		if err := mailbox.CheckName(b.Name); err != nil {
			return mailbox.User{}, err
		}
	}
	err := s.write(ctx, &request{op: op, account: u.Account, run: func(t *tx) error {
		u.Aliases = slices.Clone(aliases)
		u.Created = time.Unix(t.now.Unix(), 0).UTC()
		if err := t.nameUser(op, &u); err != nil {
			return err
		}
		t.exec(`INSERT INTO accounts (id) VALUES ($1)`, u.Account[:])
		a, err := t.account(op, u.Account)
		if err != nil {
			return err
		}
		t.exec(`INSERT INTO users (name, account, password, disabled, admin, created) VALUES ($1, $2, $3, $4, $5, $6)`,
			u.Name, a.num, u.Password, u.Disabled, u.Admin, u.Created.Unix())
		t.emit(mailbox.Event{Kind: mailbox.EventCredentialsChanged, Account: u.Account, Name: u.Name})
		for _, b := range boxes {
			if _, err := t.create(op, a, b.Name, b.SpecialUse); err != nil {
				return err
			}
			if err := t.subscribe(op, a, b.Name, true); err != nil {
				return err
			}
		}
		return nil
	}})
	if err != nil {
		return mailbox.User{}, err
	}
	return u, nil
}

// lockUser finds a user by name, not by alias, and keeps it from being changed
// meanwhile.
func (t *tx) lockUser(op, name string) (u mailbox.User, err error) {
	if text(name) {
		if err := t.rows(userQuery+`WHERE u.name = $1 FOR UPDATE OF u`, func(r pgx.Rows) (err error) { u, err = scanUser(r); return err }, name); err != nil {
			return u, err
		}
	}
	if u.Name == "" {
		return u, refuse(mailbox.NonExistent, op, "no such user")
	}
	return u, nil
}

// UpdateUser implements mailstore.Users.
func (s *Store) UpdateUser(ctx context.Context, u mailbox.User) error {
	const op = "change user"
	aliases := u.Aliases
	return s.write(ctx, &request{op: op, run: func(t *tx) error {
		u.Aliases = slices.Clone(aliases)
		old, err := t.lockUser(op, u.Name)
		if err != nil {
			return err
		}
		t.exec(`DELETE FROM names WHERE username = $1`, u.Name)
		if err := t.nameUser(op, &u); err != nil {
			return err
		}
		t.exec(`UPDATE users SET password = $2, disabled = $3, admin = $4 WHERE name = $1`, u.Name, u.Password, u.Disabled, u.Admin)
		t.emit(mailbox.Event{Kind: mailbox.EventCredentialsChanged, Account: old.Account, Name: u.Name})
		return nil
	}})
}

// RemoveUser implements mailstore.Users. The messages are cleared away later, a
// piece at a time.
func (s *Store) RemoveUser(ctx context.Context, name string) error {
	const op = "remove user"
	return s.write(ctx, &request{op: op, run: func(t *tx) error {
		u, err := t.lockUser(op, name)
		if err != nil {
			return err
		}
		lock := func() (boxes []*box, err error) {
			err = t.rows(boxQuery+`WHERE a.id = $1 ORDER BY m.id FOR UPDATE OF m`, func(r pgx.Rows) error {
				b := new(box)
				boxes = append(boxes, b)
				return b.scan(r)
			}, u.Account[:])
			return boxes, err
		}
		if _, err := lock(); err != nil {
			return err
		}
		a, err := t.account(op, u.Account)
		if err != nil {
			return err
		}
		boxes, err := lock() // with the account none can come
		if err != nil {
			return err
		}
		for _, b := range boxes {
			t.bury(b)
		}
		t.exec(`DELETE FROM subscriptions WHERE account = $1`, a.num)
		t.exec(`DELETE FROM users WHERE account = $1`, a.num)
		t.exec(`DELETE FROM accounts WHERE account = $1`, a.num)
		t.exec(`INSERT INTO dead_accounts (account) VALUES ($1)`, a.num)
		t.exec(`DELETE FROM names WHERE username = $1`, u.Name)
		t.emit(mailbox.Event{Kind: mailbox.EventCredentialsChanged, Account: u.Account, Name: u.Name})
		return nil
	}})
}
