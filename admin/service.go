package admin

import (
	"context"
	"io"
	"path/filepath"

	"github.com/starling-mail/starling/auth"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/quota"
	"github.com/starling-mail/starling/transfer"
)

// A Service is the Control of an open store.
type Service struct {
	Store mailstore.Store
	Names *auth.Normalizer
	// Accounts administers the users of Store.
	Accounts *auth.Service
	// Delivery delivers into Store, such as an lmtp.Server.
	Delivery Deliverer
	// Members describes the cluster that the running server is in; nil: it is in none.
	Members func() Cluster
	// Running is the server that runs on Store; nil: none does.
	Running Runner
	// Closing ends what belongs to the Service; nil: nothing does. In a running server,
	// which outlives its Service, it is nil.
	Closing func() error
}

// A Deliverer delivers one message to one address.
type Deliverer interface {
	Deliver(ctx context.Context, to, from string, r io.Reader) error
}

var _ Control = (*Service)(nil)

// Close implements Control.
func (s *Service) Close() error {
	if s.Closing == nil {
		return nil
	}
	return s.Closing()
}

// user finds a user by name or alias.
func (s *Service) user(ctx context.Context, name string) (mailbox.User, error) {
	name, err := s.Names.Normalize(name)
	if err != nil {
		return mailbox.User{}, err
	}
	return s.Store.User(ctx, name)
}

func publicUser(u mailbox.User) User {
	return User{Name: u.Name, Account: u.Account, Aliases: u.Aliases, Disabled: u.Disabled, Admin: u.Admin,
		HasPassword: u.Password != "", Created: u.Created}
}

// Users implements Control.
func (s *Service) Users(ctx context.Context) ([]User, error) {
	list, err := s.Store.UserList(ctx)
	users := make([]User, len(list))
	for i, u := range list {
		users[i] = publicUser(u)
	}
	return users, err
}

// AddUser implements Control.
func (s *Service) AddUser(ctx context.Context, n NewUser) (User, error) {
	u, err := s.Accounts.Add(ctx, auth.NewUser{Name: n.Name, Password: n.Password, Aliases: n.Aliases, Admin: n.Admin})
	made := publicUser(u)
	made.HasPassword = n.Password != "" // auth keeps the hash to itself
	return made, err
}

// SetPassword implements Control.
func (s *Service) SetPassword(ctx context.Context, user, password string) error {
	return s.Accounts.SetPassword(ctx, user, password)
}

// SetDisabled implements Control.
func (s *Service) SetDisabled(ctx context.Context, user string, disabled bool) error {
	if disabled {
		return s.Accounts.Disable(ctx, user)
	}
	return s.Accounts.Enable(ctx, user)
}

// SetAliases implements Control.
func (s *Service) SetAliases(ctx context.Context, user string, aliases []string) error {
	return s.Accounts.SetAliases(ctx, user, aliases)
}

// RemoveUser implements Control.
func (s *Service) RemoveUser(ctx context.Context, user string) error {
	return s.Accounts.Remove(ctx, user)
}

// Quota implements Control.
func (s *Service) Quota(ctx context.Context, user string) (mailbox.Quota, error) {
	u, err := s.user(ctx, user)
	if err != nil {
		return mailbox.Quota{}, err
	}
	return s.Store.Quota(ctx, u.Account)
}

// SetQuota implements Control.
func (s *Service) SetQuota(ctx context.Context, user string, l *mailbox.QuotaLimits) error {
	u, err := s.user(ctx, user)
	if err != nil {
		return err
	}
	return s.Store.SetQuota(ctx, u.Account, l)
}

// Recount implements Control.
func (s *Service) Recount(ctx context.Context, names []string, mend bool, report func(quota.Recounted)) (quota.Summary, error) {
	var users []mailbox.User
	for _, name := range names {
		u, err := s.user(ctx, name)
		if err != nil {
			return quota.Summary{}, err
		}
		users = append(users, u)
	}
	if len(names) == 0 {
		var err error
		if users, err = s.Store.UserList(ctx); err != nil {
			return quota.Summary{}, err
		}
	}
	return quota.Recount(ctx, s.Store, users, mend, report)
}

// Deliver implements Control.
func (s *Service) Deliver(ctx context.Context, to, from string, r io.Reader) error {
	return s.Delivery.Deliver(ctx, to, from, r)
}

// Check implements Control.
func (s *Service) Check(ctx context.Context, o mailstore.CheckOptions, report func(mailstore.Finding)) error {
	c, ok := s.Store.(mailstore.Checker)
	if !ok {
		return &mailbox.Error{Kind: mailbox.Cannot, Op: "check store", Text: "this kind of store has no check"}
	}
	return c.Check(ctx, o, report)
}

// Backup implements Control.
func (s *Service) Backup(ctx context.Context, folder string) error {
	const op = "back up"
	b, ok := s.Store.(interface {
		Backup(ctx context.Context, folder string) error
	})
	if !ok {
		return &mailbox.Error{Kind: mailbox.Cannot, Op: op, Text: "this kind of store is backed up by its own tools"}
	}
	if !filepath.IsAbs(folder) {
		return &mailbox.Error{Kind: mailbox.Cannot, Op: op, Text: "the folder's path is not absolute"}
	}
	return b.Backup(ctx, folder)
}

// Mail implements Control.
func (s *Service) Mail(ctx context.Context, user string) (transfer.Store, error) {
	u, err := s.user(ctx, user)
	if err != nil {
		return nil, err
	}
	return &mail{store: s.Store, account: u.Account}, nil
}
