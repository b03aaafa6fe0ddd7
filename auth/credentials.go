package auth

import (
	"context"
	"net/netip"

	"github.com/starling-mail/starling/mailbox"
)

// Credentials are what a client shows for who it is.
type Credentials struct {
	// Identity is whom to act for (RFC 4616 §2, authzid); empty: the user.
	Identity string
	User     string // as the client wrote it
	Password string // of PLAIN, LOGIN and the command LOGIN
	// Token and Mechanism are those of OAUTHBEARER and XOAUTH2; then there is no password.
	Token, Mechanism string
}

// String says nothing, so that nothing can be logged by mistake.
func (Credentials) String() string { return "(credentials)" }

// GoString says nothing either.
func (Credentials) GoString() string { return "auth.Credentials{}" }

// secret is what is guessed by those who have no right to it.
func (c *Credentials) secret() string { return c.Password + c.Token }

// Upstreams are other servers that verify their own users. Its methods may be called from any
// number of goroutines.
type Upstreams interface {
	// Serves reports whether the user with that normalised name belongs to one of the servers. It does not wait.
	Serves(name string) bool

	// Verify asks the server of the user with that normalised name whether the credentials, which a client at
	// remote has shown, are right, the identity included. On success a session of the account begins, which the caller of
	// Login has to end (mailstore.Sessions); the credentials may be kept that long, and nowhere else. Errors are ErrCredentials, ErrDisabled,
	// ErrExpired; of kind NoPerm where the user may not act for the identity; of kind Unavailable, Limit or InUse where the
	// credentials were not judged.
	Verify(ctx context.Context, remote netip.Addr, name string, c Credentials) (mailbox.User, error)

	// Mechanisms are those of OAuthBearer and XOAuth2 that any of the servers understands.
	Mechanisms() []string
}
