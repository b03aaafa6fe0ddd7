package lmtp

import (
	"context"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/auth"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// A Store is what delivery needs of a mailstore.Store.
type Store interface {
	auth.Directory
	Lookup(ctx context.Context, account mailbox.AccountID, name string) (mailstore.Info, error)
	List(ctx context.Context, account mailbox.AccountID) ([]mailstore.Info, error)
	Receive(ctx context.Context, r io.Reader, limit int64) (mailstore.Draft, error)
	Append(ctx context.Context, box mailbox.ID, messages []mailstore.Incoming) (mailstore.Appended, error)
}

// Options are what a Server is made of. Store, Names and Hostname must be set;
// for other fields, a zero value takes the default.
type Options struct {
	Store    Store
	Names    *auth.Normalizer
	Hostname string // what the server calls itself

	// MaxMessage is the largest message, in bytes, without the header fields
	// added here. It is advertised (SIZE, RFC 1870). Default 50 MiB.
	MaxMessage    int64
	MaxRecipients int // of one message, default 1000; RFC 5321 §4.5.3.1.8 asks for at least 100
	// MaxConnections is how many clients are served at one time, over all
	// listeners; more are told 421. Default 100.
	MaxConnections int
	// Timeout is the longest wait for a client to send or take something.
	// Default 5 minutes (RFC 5321 §4.5.3.2).
	Timeout time.Duration
	// Grace is how long, after Serve's context has ended, a message whose
	// transfer had begun may take. Default 10 seconds.
	Grace time.Duration

	// Trusted are the addresses from which TCP connections are served: who may
	// speak LMTP may put mail into any mailbox. Default: loopback. Unix
	// sockets are guarded by their file permissions.
	Trusted []netip.Prefix
	// IgnoreDetail delivers mail for user+detail to INBOX. Otherwise it goes into
	// the mailbox called detail, if there is one; none is ever created.
	IgnoreDetail bool
	// OverQuotaPermanent refuses mail for a full mailbox for good (552 5.2.2)
	// instead of for a time (452 4.2.2). For a time is the default because
	// then nothing is lost when the user tidies up before the sender's queue gives up.
	OverQuotaPermanent bool

	// TempDir is where messages over 128 KiB wait while they are received. Default: the system's.
	TempDir string
	Log     zerolog.Logger
}

// A Server receives mail. It may serve several listeners.
type Server struct {
	o         Options
	slots     chan struct{} // one for each connection
	connected atomic.Uint64 // numbers connections for the log
	counters  counters

	mu        sync.Mutex
	listeners map[*listener]struct{} // that are served
	draining  bool                   // see Drain
}

// New returns a Server.
func New(o Options) *Server {
	if o.MaxMessage <= 0 {
		o.MaxMessage = 50 << 20
	}
	if o.MaxRecipients <= 0 {
		o.MaxRecipients = 1000
	}
	if o.MaxConnections <= 0 {
		o.MaxConnections = 100
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Minute
	}
	if o.Grace <= 0 {
		o.Grace = 10 * time.Second
	}
	if o.Trusted == nil {
		o.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	return &Server{o: o, slots: make(chan struct{}, o.MaxConnections), listeners: make(map[*listener]struct{})}
}
