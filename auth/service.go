package auth

import (
	"context"
	"slices"
	"sync"

	"github.com/starling-mail/starling/mailbox"
)

// A UserStore keeps users. It is mailstore.Users but for AddUser, which here
// takes no mailboxes: those that a new account starts with are for the
// composition root to add.
type UserStore interface {
	Directory
	// UserList returns all users, sorted by name.
	UserList(ctx context.Context) ([]mailbox.User, error)
	// AddUser adds u with a new account. Kind AlreadyExists where the name or
	// an alias is taken.
	AddUser(ctx context.Context, u mailbox.User) (mailbox.User, error)
	// UpdateUser replaces password, aliases and marks of the user with u.Name.
	UpdateUser(ctx context.Context, u mailbox.User) error
	// RemoveUser removes a user and all their mail.
	RemoveUser(ctx context.Context, name string) error
}

// A Service administers users. Names are normalised, and resolved like those
// at login: an alias will do. It may be used from any number of goroutines.
type Service struct {
	store  UserStore
	names  *Normalizer
	hasher *Hasher
	mu     sync.Mutex // held while a user is read and written back
}

// NewService returns a Service.
func NewService(store UserStore, names *Normalizer, hasher *Hasher) *Service {
	return &Service{store: store, names: names, hasher: hasher}
}

// A NewUser is what Add is told.
type NewUser struct {
	Name     string
	Password string // in plain text; empty: the user cannot log in yet
	Aliases  []string
	Admin    bool
}

// Add makes a user with an account.
func (s *Service) Add(ctx context.Context, n NewUser) (mailbox.User, error) {
	u := mailbox.User{Admin: n.Admin}
	var err error
	if u.Name, err = s.names.Normalize(n.Name); err != nil {
		return mailbox.User{}, err
	}
	if u.Aliases, err = s.aliases(u.Name, n.Aliases); err != nil {
		return mailbox.User{}, err
	}
	if n.Password != "" {
		if u.Password, err = s.hash(ctx, n.Password); err != nil {
			return mailbox.User{}, err
		}
	}
	u, err = s.store.AddUser(ctx, u)
	return hide(u), err
}

// aliases normalises, sorts and dedups.
func (s *Service) aliases(name string, list []string) ([]string, error) {
	var out []string
	for _, a := range list {
		a, err := s.names.Normalize(a)
		if err != nil {
			return nil, err
		}
		if a != name {
			out = append(out, a)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// SetPassword gives a user another password, in plain text.
func (s *Service) SetPassword(ctx context.Context, name, password string) error {
	hash, err := s.hash(ctx, password)
	if err != nil {
		return err
	}
	return s.update(ctx, name, func(u *mailbox.User) { u.Password = hash })
}

// SetAliases replaces a user's aliases.
func (s *Service) SetAliases(ctx context.Context, name string, aliases []string) error {
	aliases, err := s.aliases("", aliases)
	if err != nil {
		return err
	}
	return s.update(ctx, name, func(u *mailbox.User) {
		u.Aliases = slices.DeleteFunc(aliases, func(a string) bool { return a == u.Name })
	})
}

// Disable keeps a user from logging in, and mail to them waiting at its
// sender's, until Enable. Sessions that are open go on.
func (s *Service) Disable(ctx context.Context, name string) error {
	return s.update(ctx, name, func(u *mailbox.User) { u.Disabled = true })
}

// Enable undoes Disable.
func (s *Service) Enable(ctx context.Context, name string) error {
	return s.update(ctx, name, func(u *mailbox.User) { u.Disabled = false })
}

// Remove removes a user with all their mail. It takes the user's own name
// only: an alias is too easily somebody else's.
func (s *Service) Remove(ctx context.Context, name string) error {
	name, err := s.names.Normalize(name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store.RemoveUser(ctx, name)
}

// List returns all users, sorted by name, without their passwords' hashes.
func (s *Service) List(ctx context.Context) ([]mailbox.User, error) {
	list, err := s.store.UserList(ctx)
	for i := range list {
		list[i] = hide(list[i])
	}
	return list, err
}

func (s *Service) update(ctx context.Context, name string, change func(*mailbox.User)) error {
	name, err := s.names.Normalize(name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.store.User(ctx, name)
	if err != nil {
		return err
	}
	change(&u)
	return s.store.UpdateUser(ctx, u)
}

func (s *Service) hash(ctx context.Context, password string) (string, error) {
	if password == "" || len(password) > MaxPasswordLen {
		return "", &mailbox.Error{Kind: mailbox.Cannot, Op: "set password", Text: "a password must have between 1 and 1024 bytes"}
	}
	return s.hasher.Hash(ctx, password)
}

func hide(u mailbox.User) mailbox.User {
	u.Password = ""
	return u
}
