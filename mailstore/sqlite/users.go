package sqlite

import (
	"context"
	"slices"
	"time"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
)

// userQuery reads users; a WHERE clause follows.
const userQuery = `SELECT u.name, a.id, u.password, u.disabled, u.admin, u.created FROM users u JOIN accounts a ON a.account = u.account `

func scanUser(r *sqlite3.Stmt) (u mailbox.User) {
	u.Name = r.Text(0)
	copy(u.Account[:], r.Bytes(1))
	u.Password = r.Text(2)
	u.Disabled, u.Admin = r.Int(3) != 0, r.Int(4) != 0
	u.Created = time.Unix(r.Int(5), 0).UTC()
	return u
}

// aliases reads the aliases of a user into it.
func aliases(c *sqlite3.Conn, u *mailbox.User) error {
	return rows(c, `SELECT name FROM names WHERE user = ?1 AND name <> ?1 ORDER BY name`, func(r *sqlite3.Stmt) error {
		u.Aliases = append(u.Aliases, r.Text(0))
		return nil
	}, u.Name)
}

func findUser(c *sqlite3.Conn, op, name string) (u mailbox.User, err error) {
	ok, err := row(c, userQuery+`WHERE u.name = (SELECT user FROM names WHERE name = ?)`, func(r *sqlite3.Stmt) { u = scanUser(r) }, name)
	if err != nil {
		return u, err
	}
	if !ok {
		return u, refuse(mailbox.NonExistent, op, "no such user")
	}
	return u, aliases(c, &u)
}

// User implements mailstore.Users.
func (s *Store) User(ctx context.Context, name string) (u mailbox.User, err error) {
	const op = "find user"
	err = s.read(ctx, op, func(c *sqlite3.Conn) (err error) {
		u, err = findUser(c, op, name)
		return err
	})
	return u, err
}

// UserList implements mailstore.Users.
func (s *Store) UserList(ctx context.Context) (list []mailbox.User, err error) {
	err = s.read(ctx, "list users", func(c *sqlite3.Conn) error {
		if err := rows(c, userQuery+`ORDER BY u.name`, func(r *sqlite3.Stmt) error {
			list = append(list, scanUser(r))
			return nil
		}); err != nil {
			return err
		}
		for i := range list {
			if err := aliases(c, &list[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return list, err
}

// nameUser writes the user's name and aliases into the one space of names.
func (t *tx) nameUser(op string, u *mailbox.User) error {
	u.Aliases = slices.Compact(slices.Sorted(slices.Values(u.Aliases)))
	for _, name := range append([]string{u.Name}, u.Aliases...) {
		if name == "" {
			return refuse(mailbox.Cannot, op, "a name cannot be empty")
		}
		taken, err := t.row(`SELECT 1 FROM names WHERE name = ?`, func(*sqlite3.Stmt) {}, name)
		if err != nil {
			return err
		}
		if taken {
			return refuse(mailbox.AlreadyExists, op, "the name "+name+" is taken")
		}
		if err := t.exec(`INSERT INTO names (name, user) VALUES (?, ?)`, name, u.Name); err != nil {
			return err
		}
	}
	return nil
}

// AddUser implements mailstore.Users. Besides EventCreated and EventSubscribed
// for each mailbox it publishes EventCredentialsChanged, for those who remember that there was no such user.
func (s *Store) AddUser(ctx context.Context, u mailbox.User, boxes []mailstore.NewMailbox) (mailbox.User, error) {
	const op = "add user"
	u.Account, u.Aliases = mailbox.NewAccountID(), slices.Clone(u.Aliases)
	err := s.write(ctx, op, func(t *tx) error {
		u.Created = time.Unix(t.now.Unix(), 0).UTC()
		if err := t.nameUser(op, &u); err != nil {
			return err
		}
		if err := t.exec(`INSERT INTO accounts (id, uidvalidity, storage, messages) VALUES (?, 0, 0, 0)`, u.Account[:]); err != nil {
			return err
		}
		acct, err := accountNumber(t.c, op, u.Account)
		if err != nil {
			return err
		}
		if err := t.exec(`INSERT INTO users (name, account, password, disabled, admin, created) VALUES (?, ?, ?, ?, ?, ?)`,
			u.Name, acct, u.Password, u.Disabled, u.Admin, u.Created.Unix()); err != nil {
			return err
		}
		if err := t.emit(mailbox.Event{Kind: mailbox.EventCredentialsChanged, Account: u.Account, Name: u.Name}); err != nil {
			return err
		}
		boxes := boxes
		if !slices.ContainsFunc(boxes, func(b mailstore.NewMailbox) bool { return b.Name == mailbox.Inbox }) {
			boxes = append([]mailstore.NewMailbox{{Name: mailbox.Inbox}}, boxes...)
		}
		for _, b := range boxes {
			if _, err := t.create(op, acct, u.Account, b.Name, b.SpecialUse); err != nil {
				return err
			}
			if err := t.subscribe(op, acct, u.Account, b.Name, true); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return mailbox.User{}, err
	}
	return u, nil
}

// UpdateUser implements mailstore.Users.
func (s *Store) UpdateUser(ctx context.Context, u mailbox.User) error {
	const op = "change user"
	u.Aliases = slices.Clone(u.Aliases)
	return s.write(ctx, op, func(t *tx) error {
		old, err := t.userNamed(op, u.Name)
		if err != nil {
			return err
		}
		if err := t.exec(`DELETE FROM names WHERE user = ?`, u.Name); err != nil {
			return err
		}
		if err := t.nameUser(op, &u); err != nil {
			return err
		}
		if err := t.exec(`UPDATE users SET password = ?, disabled = ?, admin = ? WHERE name = ?`, u.Password, u.Disabled, u.Admin, u.Name); err != nil {
			return err
		}
		return t.emit(mailbox.Event{Kind: mailbox.EventCredentialsChanged, Account: old.Account, Name: u.Name})
	})
}

// userNamed finds a user by name, not by alias.
func (t *tx) userNamed(op, name string) (mailbox.User, error) {
	u, err := findUser(t.c, op, name)
	if err == nil && u.Name != name {
		err = refuse(mailbox.NonExistent, op, "no such user")
	}
	return u, err
}

// RemoveUser implements mailstore.Users. The messages are cleared away later, a
// piece at a time.
func (s *Store) RemoveUser(ctx context.Context, name string) error {
	const op = "remove user"
	return s.write(ctx, op, func(t *tx) error {
		u, err := t.userNamed(op, name)
		if err != nil {
			return err
		}
		acct, err := accountNumber(t.c, op, u.Account)
		if err != nil {
			return err
		}
		var boxes []box
		if err := t.rows(boxQuery+`WHERE a.id = ? ORDER BY m.name`, func(r *sqlite3.Stmt) error {
			var b box
			b.scan(r)
			boxes = append(boxes, b)
			return nil
		}, u.Account[:]); err != nil {
			return err
		}
		for i := range boxes {
			if err := t.bury(&boxes[i]); err != nil {
				return err
			}
		}
		for _, sql := range []string{
			`DELETE FROM subscriptions WHERE account = ?`,
			`DELETE FROM users WHERE account = ?`,
			`DELETE FROM accounts WHERE account = ?`,
			`INSERT INTO dead_accounts (account) VALUES (?)`,
		} {
			if err := t.exec(sql, acct); err != nil {
				return err
			}
		}
		if err := t.exec(`DELETE FROM names WHERE user = ?`, u.Name); err != nil {
			return err
		}
		return t.emit(mailbox.Event{Kind: mailbox.EventCredentialsChanged, Account: u.Account, Name: u.Name})
	})
}
