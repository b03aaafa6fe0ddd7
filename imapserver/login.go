package imapserver

import (
	"errors"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/auth"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// login is LOGIN (RFC 9051 §6.2.3).
func (c *conn) login() error {
	args, err := c.dec.Login()
	if err != nil {
		return err
	}
	return loginFailure(c.logIn(auth.Credentials{User: args.User, Password: args.Password}))
}

// logIn lets a user in, or returns what loginFailure explains.
func (c *conn) logIn(shown auth.Credentials) error {
	if !c.mayLogin() {
		return no(imap.ResponseCodePrivacyRequired, "use TLS to log in")
	}
	user, err := c.srv.opts.Auth.LoginAs(c.srv.commands, c.remote, shown)
	if err != nil {
		return err
	}
	if !c.srv.census.login(user.Account, c.srv.settings.Load()) {
		c.endLogin(user.Account)
		return no(imap.ResponseCodeLimit, "too many connections for this user")
	}
	user.Password, user.Aliases = "", nil // not needed here
	c.user, c.state, c.began = user, authenticated, time.Now()
	c.traits = mailstore.TraitsOf(c.srv.opts.Store, user.Account)
	c.tune()
	c.reply = func(tag string) {
		c.enc.Begin(tag, imap.StatusResponseTypeOK)
		c.enc.Raw("[")
		c.enc.Capability(c.capabilities())
		c.enc.Raw("] ")
		c.enc.Text("Logged in")
	}
	return nil
}

// loginFailure is the answer to what logIn has returned (RFC 5530).
func loginFailure(err error) error {
	switch {
	case errors.Is(err, auth.ErrCredentials):
		return no(imap.ResponseCodeAuthenticationFailed, "wrong user name or password")
	case errors.Is(err, auth.ErrDisabled):
		return no(imap.ResponseCodeContactAdmin, "this account is disabled")
	case errors.Is(err, auth.ErrExpired):
		return no(imap.ResponseCodeExpired, "the password has expired")
	case errors.Is(err, auth.ErrThrottled):
		return no(imap.ResponseCodeLimit, "too many failed logins, try again later")
	case mailbox.KindOf(err) == mailbox.NoPerm:
		return no(imap.ResponseCodeAuthorizationFailed, "acting for another user is not allowed")
	}
	return err
}

// authenticate is AUTHENTICATE (RFC 9051 §6.2.2) with SASL-IR (RFC 4959).
func (c *conn) authenticate() error {
	args, err := c.dec.Authenticate()
	if err != nil {
		return err
	}
	var outcome error
	exchange, known := auth.NewSASLServer(args.Mechanism, func(shown auth.Credentials) error {
		outcome = c.logIn(shown)
		return outcome
	})
	switch {
	case !known || !slices.Contains(c.srv.opts.Auth.Mechanisms(), args.Mechanism):
		return no(imap.ResponseCodeCannot, "unknown mechanism")
	case !c.mayLogin(): // before the client has sent a secret
		return no(imap.ResponseCodePrivacyRequired, "use TLS to log in")
	}
	for response := args.Initial; ; {
		challenge, done, err := exchange.Next(response)
		switch {
		case err != nil && outcome != nil:
			return loginFailure(outcome)
		case err != nil:
			return bad("malformed response")
		case done:
			return nil
		}
		c.enc.Challenge(challenge)
		if err := c.flush(); err != nil {
			return err
		}
		var cancelled bool
		if response, cancelled, err = c.dec.AuthResponse(); err != nil {
			return err
		}
		if cancelled {
			return bad("authentication cancelled")
		}
	}
}
