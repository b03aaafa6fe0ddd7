package imapserver

import (
	"context"
	"crypto/tls"
	"net/netip"
	"time"

	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/auth"
	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/tracker"
)

// Options are what a Server is made of. All are needed unless said otherwise.
type Options struct {
	Store    mailstore.Store
	Trackers *tracker.Set
	Auth     Authenticator
	// TLS serves STARTTLS and listeners with ImplicitTLS; nil: there is neither.
	TLS      *tls.Config
	Settings Settings
	// Lacks is what some accounts of the Store lack, so that it cannot be offered before login
	// (mailstore.Distinguisher); zero: nothing.
	Lacks mailstore.Ability
	// ID is what the ID command answers (RFC 2971); empty: NIL.
	ID  []wire.IDField
	Log zerolog.Logger
}

// An Authenticator checks who a client is; *auth.Authenticator is one. It throttles,
// logs failures and may take long. Its errors are auth's or those of the store.
type Authenticator interface {
	// Mechanisms are the SASL mechanisms that are offered, of those that auth.NewSASLServer knows.
	Mechanisms() []string
	LoginAs(ctx context.Context, remote netip.Addr, c auth.Credentials) (mailbox.User, error)
}

// Settings are limits and times. They may be replaced while the Server runs:
// new values hold for what begins after.
type Settings struct {
	// MaxConnections bounds the connections of the Server, PerUser those that
	// are logged in as one user and PerAddress those from one address (of IPv6,
	// from one /64).
	MaxConnections, MaxPerUser, MaxPerAddress int

	// AppendLimit is the size of the largest message that APPEND takes, in bytes
	// (RFC 7889).
	AppendLimit int64
	// MaxKeywords is how many keywords the store keeps in a mailbox: when there are as
	// many, clients learn that they cannot make more (RFC 9051 §7.1, PERMANENTFLAGS).
	MaxKeywords int
	// MaxBadCommands is how many commands before login may be answered with BAD
	// until the connection ends.
	MaxBadCommands int
	// Command and PreAuth bound what one command may cost, after and before login.
	Command, PreAuth wire.Limits

	LoginTimeout   time.Duration // from the connection to a login
	CommandTimeout time.Duration // without a byte in the middle of a command
	Autologout     time.Duration // without a command, IDLE included (RFC 9051 §5.4)
	WriteTimeout   time.Duration // for a client that does not read
	KeepAlive      time.Duration // between "* OK Still here" in IDLE; 0: never
	ParkAfter      time.Duration // without input until the connection is parked

	Compress bool // offer COMPRESS=DEFLATE (RFC 4978)
}

// DefaultSettings suit a server with some thousand users.
func DefaultSettings() Settings {
	return Settings{
		MaxConnections: 100_000, MaxPerUser: 100, MaxPerAddress: 1000,
		AppendLimit:    64 << 20,
		MaxKeywords:    200,
		MaxBadCommands: 5,
		Command:        wire.DefaultLimits(),
		PreAuth:        wire.PreAuthLimits(),
		LoginTimeout:   time.Minute,
		CommandTimeout: 2 * time.Minute,
		Autologout:     30 * time.Minute,
		WriteTimeout:   time.Minute,
		KeepAlive:      2 * time.Minute,
		ParkAfter:      20 * time.Millisecond,
		Compress:       true,
	}
}

// ListenerOptions say how one listener's connections begin.
type ListenerOptions struct {
	// ImplicitTLS: TLS from the first byte (RFC 8314 §3.2).
	ImplicitTLS bool
	// ProxyFrom are the peers that must begin with a PROXY protocol header,
	// whose source address is then the client's. Others must not.
	ProxyFrom []netip.Prefix
	// PlaintextAuth allows credentials without TLS: to nobody, to clients on
	// loopback addresses, or to all.
	PlaintextAuth PlaintextAuth
}

// PlaintextAuth says who may log in without TLS.
type PlaintextAuth uint8

// Who may log in without TLS.
const (
	PlaintextNever PlaintextAuth = iota
	PlaintextLoopback
	PlaintextAlways
)

// allows reports whether a client at addr may log in without TLS.
func (p PlaintextAuth) allows(addr netip.Addr) bool {
	return p == PlaintextAlways || p == PlaintextLoopback && addr.IsLoopback()
}
