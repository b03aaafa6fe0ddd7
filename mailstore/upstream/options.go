package upstream

import (
	"context"
	"time"

	"github.com/starling-mail/starling/mailstore/upstream/conn"
)

// Options say how a server is used.
type Options struct {
	Dialer *conn.Dialer
	// Prepare, if set, is run on each connection behind the login: ID, ENABLE.
	Prepare func(ctx context.Context, c *conn.Conn) error

	// MaxConnections bounds the connections of one account that are lent out for work or wait for
	// it, MaxWatchers those that are lent out to wait for news.
	MaxConnections, MaxWatchers int
	// MaxIdle is how long a connection is kept that nobody uses.
	MaxIdle time.Duration
	// CheckAfter is how long a connection may have been unused to be lent out unchecked;
	// CheckTimeout is the time for that check.
	CheckAfter, CheckTimeout time.Duration

	// LoginInterval is the time between two connections to the server, over a longer time, LoginBurst how many may
	// come at once. Who would have to wait for longer than LoginWait is refused.
	LoginInterval time.Duration
	LoginBurst    int
	LoginWait     time.Duration
	// Trust is how long a password that the server has accepted is believed without asking
	// again, while the account is held. 0: each login asks.
	Trust time.Duration

	// BackoffMin and BackoffMax bound how long a server that could not be reached is left alone. The time
	// doubles from the first to the second.
	BackoffMin, BackoffMax time.Duration
}

// DefaultOptions suit a server of one's own.
func DefaultOptions(d *conn.Dialer) Options {
	return Options{
		Dialer:         d,
		MaxConnections: 4, MaxWatchers: 50,
		MaxIdle:    5 * time.Minute,
		CheckAfter: 30 * time.Second, CheckTimeout: 5 * time.Second,
		LoginInterval: 5 * time.Millisecond, LoginBurst: 100, LoginWait: 10 * time.Second,
		Trust:      time.Minute,
		BackoffMin: 250 * time.Millisecond, BackoffMax: 15 * time.Second,
	}
}
