package auth

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/mailbox"
)

// Why a login failed, apart from what the store says: an error of kind
// Unavailable is neither of these ([UNAVAILABLE], RFC 5530).
var (
	// ErrCredentials: no such user, or another password ([AUTHENTICATIONFAILED]).
	ErrCredentials = errors.New("invalid user name or password")
	// ErrDisabled: the password is right, but the user may not log in ([CONTACTADMIN]).
	ErrDisabled = errors.New("account is disabled")
	// ErrExpired: the password was right until a while ago ([EXPIRED]). Only upstreams say so.
	ErrExpired = errors.New("password has expired")
	// ErrThrottled: too many failures; the password was not looked at ([LIMIT]).
	ErrThrottled = errors.New("too many failed logins, try again later")
)

// A Directory knows users by name or alias, both normalised. mailstore.Users
// is one.
type Directory interface {
	// User returns the user with that name or alias, or kind NonExistent.
	User(ctx context.Context, name string) (mailbox.User, error)
}

// Options are what an Authenticator is made of. Users, Names and Hasher must be set.
type Options struct {
	Users    Directory
	Names    *Normalizer
	Hasher   *Hasher
	Cache    CacheOptions
	Throttle ThrottleOptions
	// Upstreams verify the users who belong to other servers; nil: nobody does.
	Upstreams Upstreams
	// Log gets one line for each failure; docs/fail2ban.md says which.
	Log zerolog.Logger
}

// An Authenticator verifies who logs in. It may be used from any number of
// goroutines. The composition root must hand it the events of all accounts
// (OnEvents): otherwise old passwords are good for the life of the cache.
type Authenticator struct {
	users    Directory
	names    *Normalizer
	hasher   *Hasher
	cache    *cache
	throttle *throttle
	upstream Upstreams
	log      zerolog.Logger
	counters counters
}

// New returns an Authenticator.
func New(o Options) *Authenticator {
	return &Authenticator{users: o.Users, names: o.Names, hasher: o.Hasher,
		cache: newCache(o.Cache), throttle: newThrottle(o.Throttle), upstream: o.Upstreams, log: o.Log}
}

// Mechanisms are the SASL mechanisms by which anybody may log in, as AUTH= capabilities tell them.
func (a *Authenticator) Mechanisms() []string {
	list := Mechanisms()
	if a.upstream != nil {
		list = append(list, a.upstream.Mechanisms()...)
	}
	return list
}

// Login verifies what a client at remote has shown, without its Identity. remote is zero where
// it has no address. It waits while earlier failures demand it, without
// holding anything; a context that ends gives kind Unavailable. Other errors: ErrCredentials,
// ErrDisabled, ErrExpired, ErrThrottled, or the store's or upstream's.
func (a *Authenticator) Login(ctx context.Context, remote netip.Addr, user, password string) (mailbox.User, error) {
	return a.LoginAs(ctx, remote, Credentials{User: user, Password: password})
}

// login is LoginAs, but for the identity of a user who is not an upstream's.
func (a *Authenticator) login(ctx context.Context, remote netip.Addr, c Credentials) (mailbox.User, error) {
	user := c.User
	name, err := a.names.Normalize(user)
	if err != nil {
		name = "" // no user has that name; only the address is known
	}
	a.counters.delayed.Add(1)
	err = a.throttle.wait(ctx, name, remote)
	a.counters.delayed.Add(-1)
	if errors.Is(err, ErrThrottled) {
		a.counters.throttled.Add(1)
		a.log.Info().Str("remote", remote.String()).Str("user", shorten(user)).Msg("authentication throttled")
		return mailbox.User{}, err
	} else if err != nil {
		a.counters.errors.Add(1)
		return mailbox.User{}, &mailbox.Error{Kind: mailbox.Unavailable, Op: "login", Err: err}
	}

	guess := a.cache.seal(name, c.secret())
	var u mailbox.User
	var reason string
	switch {
	case a.isUpstream(name):
		reason = "upstream"
		u, err = a.upstream.Verify(ctx, remote, name, c)
	case c.Mechanism != "": // a token is not to be mistaken for a password
		u, reason, err = a.refuse(ctx, "", "no-tokens")
	default:
		u, reason, err = a.verify(ctx, name, c.Password, guess)
	}
	switch {
	case err == nil:
		a.counters.ok.Add(1)
		a.throttle.succeeded(name, remote)
		return u, nil
	case errors.Is(err, ErrCredentials):
		a.counters.failed.Add(1)
		a.throttle.failed(name, remote, guess)
		// The order of the fields is what docs/fail2ban.md relies on: nothing
		// that the client chose may stand before the address.
		a.log.Warn().Str("remote", remote.String()).Str("reason", reason).Str("user", shorten(user)).Msg("authentication failed")
	case errors.Is(err, ErrDisabled), errors.Is(err, ErrExpired):
		a.counters.disabled.Add(1)
		a.log.Info().Str("remote", remote.String()).Str("user", name).Msg("login of a disabled user")
	default:
		a.counters.errors.Add(1)
	}
	return mailbox.User{}, err
}

// LoginAs verifies what a client at remote has shown, as Login does, and whether it may act for the
// identity. Users of an upstream may if that says so; others for themselves only, under
// whichever of their names: otherwise the error's kind is NoPerm ([AUTHORIZATIONFAILED]).
func (a *Authenticator) LoginAs(ctx context.Context, remote netip.Addr, c Credentials) (mailbox.User, error) {
	u, err := a.login(ctx, remote, c)
	if err != nil || c.Identity == "" || a.isNameOf(u, c.Identity) {
		return u, err
	}
	if name, err := a.names.Normalize(c.User); err == nil && a.isUpstream(name) {
		return u, nil // it was asked
	}
	a.log.Info().Str("remote", remote.String()).Str("user", u.Name).Str("authzid", shorten(c.Identity)).Msg("login as somebody else refused")
	return mailbox.User{}, &mailbox.Error{Kind: mailbox.NoPerm, Op: "login", Text: "not allowed to act for this user"}
}

// isUpstream reports whether another server verifies the user with that name; nothing of it is remembered here.
func (a *Authenticator) isUpstream(name string) bool {
	return a.upstream != nil && name != "" && a.upstream.Serves(name)
}

func (a *Authenticator) isNameOf(u mailbox.User, name string) bool {
	name, err := a.names.Normalize(name)
	if err != nil {
		return false
	}
	return u.Name == name || slices.Contains(u.Aliases, name)
}

// OnEvents drops what is remembered of the accounts whose credentials changed.
func (a *Authenticator) OnEvents(events []mailbox.Event) {
	for i := range events {
		if events[i].Kind == mailbox.EventCredentialsChanged {
			a.Forget(events[i].Account)
		}
	}
}

// Forget drops what is remembered of one account.
func (a *Authenticator) Forget(account mailbox.AccountID) { a.cache.forget(account) }

// ForgetAll drops everything remembered, for when events may have been lost.
func (a *Authenticator) ForgetAll() { a.cache.reset() }

// verify finds the user and checks the password. It takes as long for whoever
// is not there as for users whose hashes have the configured parameters. Why ErrCredentials is
// returned, reason says in one word.
func (a *Authenticator) verify(ctx context.Context, name, password string, guess seal) (u mailbox.User, reason string, err error) {
	u, generation, ok := a.cache.lookup(name, guess)
	if ok {
		a.counters.cached.Add(1)
		return u, "", nil
	}
	if name == "" {
		return a.refuse(ctx, password, "bad-name")
	}
	u, err = a.users.User(ctx, name)
	if mailbox.KindOf(err) == mailbox.NonExistent {
		return a.refuse(ctx, password, "unknown-user")
	}
	if err != nil {
		return mailbox.User{}, "", err
	}
	if u.Password == "" || password == "" || len(password) > MaxPasswordLen {
		return a.refuse(ctx, password, "no-password")
	}
	right, err := a.hasher.Verify(ctx, u.Password, password)
	switch {
	case err != nil:
		return mailbox.User{}, "", err
	case !right:
		return mailbox.User{}, "wrong-password", ErrCredentials
	case u.Disabled:
		return u, "", ErrDisabled
	}
	if a.hasher.NeedsRehash(u.Password) {
		a.log.Debug().Str("user", u.Name).Msg("password hash has other parameters than configured; setting the password anew makes a new one")
	}
	a.cache.remember(name, guess, u, generation)
	return u, "", nil
}

// refuse spends the time of a verification.
func (a *Authenticator) refuse(ctx context.Context, password, reason string) (mailbox.User, string, error) {
	if err := a.hasher.spend(ctx, password[:min(len(password), MaxPasswordLen)]); err != nil {
		return mailbox.User{}, "", err
	}
	return mailbox.User{}, reason, ErrCredentials
}

// shorten bounds what a client may write into the log.
func shorten(s string) string { return s[:min(len(s), 128)] }
