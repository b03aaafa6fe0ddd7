package upstream

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/upstream/conn"
)

// A Server is a server that keeps mail, and its accounts that are in use. Any number of
// goroutines may use it.
type Server struct {
	o    Options
	gate gate

	mu       sync.Mutex
	accounts map[string]*Account
	closed   bool
}

// New returns a Server; nothing is connected yet.
func New(o Options) *Server {
	return &Server{o: o, accounts: map[string]*Account{},
		gate: gate{interval: o.LoginInterval, burst: max(o.LoginBurst, 1), wait: o.LoginWait, min: o.BackoffMin, max: o.BackoffMax}}
}

// errShut is why nothing works after Close.
var errShut = errors.New("upstream is closed")

// Login asks the server whether auth is right for the account called name, and holds the account
// if so: each success needs one Release. If the server has accepted the same auth less
// than Options.Trust ago, and the account is held, it is not asked.
//
// Of a refusal by the server Refused is true. Whatever else goes wrong is of kind Unavailable, or ctx's
// cause.
func (s *Server) Login(ctx context.Context, name string, auth conn.Auth) (*Account, error) {
	if a := s.hold(name, auth); a != nil {
		return a, nil
	}
	c, err := s.connect(ctx, auth)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		c.Close()
		return nil, unavailable(errShut)
	}
	a := s.accounts[name]
	if a == nil {
		a = &Account{server: s, name: name}
		s.accounts[name] = a
	}
	a.holders++
	s.mu.Unlock()
	a.adopt(c, auth)
	return a, nil
}

// hold holds an account whose password is known.
func (s *Server) hold(name string, auth conn.Auth) *Account {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[name]
	if a == nil || !a.trusts(auth) {
		return nil
	}
	a.holders++
	return a
}

// Account returns the account called name if it is held, and holds it once more.
func (s *Server) Account(name string) (*Account, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[name]
	if a == nil {
		return nil, false
	}
	a.holders++
	return a, true
}

// Close closes all connections, those that are lent out too.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	accounts := s.accounts
	s.accounts = map[string]*Account{}
	s.mu.Unlock()
	for _, a := range accounts {
		a.close(true)
	}
}

// connect makes a connection and logs in.
func (s *Server) connect(ctx context.Context, auth conn.Auth) (*conn.Conn, error) {
	if err := s.gate.enter(ctx); err != nil {
		return nil, err
	}
	c, err := s.dial(ctx, auth)
	s.gate.leave(err, down(ctx, err))
	if Refused(err) {
		return nil, err
	}
	if err == nil && s.o.Prepare != nil {
		if err = s.o.Prepare(ctx, c); err != nil {
			c.Close()
		}
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return c, nil
}

func (s *Server) dial(ctx context.Context, auth conn.Auth) (*conn.Conn, error) {
	c, err := s.o.Dialer.Dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.Login(ctx, auth); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// down reports whether err is the fault of the server as a whole.
func down(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil {
		return false // the client's patience is not the server's fault
	}
	if e, ok := errors.AsType[*conn.StatusError](err); ok {
		return e.Code == imap.ResponseCodeUnavailable
	}
	return true
}

// Refused reports whether err is a server's refusal of a user or password, not of the moment.
func Refused(err error) bool {
	e, ok := errors.AsType[*conn.StatusError](err)
	if !ok || e.Command != "LOGIN" && e.Command != "AUTHENTICATE" {
		return false
	}
	switch e.Code {
	case imap.ResponseCodeUnavailable, imap.ResponseCodeInUse, imap.ResponseCodeLimit, imap.ResponseCodeServerBug, imap.ResponseCodeContactAdmin:
		return false
	}
	return e.Type == imap.StatusResponseTypeNo
}

// Fault gives an error of a connection its kind. op is what was tried. What a command that changes
// something has done is unknown if its connection ended: writes says that it was one.
func Fault(op string, err error, writes bool) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*mailbox.Error](err); ok {
		return err
	}
	kind := mailbox.Unavailable
	if e, ok := errors.AsType[*conn.StatusError](err); ok {
		kind = statusKind(e)
	} else if writes {
		kind = mailbox.Unknown
	}
	return &mailbox.Error{Kind: kind, Op: op, Err: err}
}

// statusKind is the kind of a NO or BAD (RFC 5530 §3).
func statusKind(e *conn.StatusError) mailbox.Kind {
	switch e.Code {
	case imap.ResponseCodeNonExistent, imap.ResponseCodeTryCreate:
		return mailbox.NonExistent
	case imap.ResponseCodeAlreadyExists:
		return mailbox.AlreadyExists
	case imap.ResponseCodeOverQuota:
		return mailbox.OverQuota
	case imap.ResponseCodeTooBig:
		return mailbox.TooBig
	case imap.ResponseCodeLimit:
		return mailbox.Limit
	case imap.ResponseCodeNoPerm, imap.ResponseCodeAuthorizationFailed:
		return mailbox.NoPerm
	case imap.ResponseCodeInUse:
		return mailbox.InUse
	case "EXPUNGEISSUED":
		return mailbox.Expunged
	case imap.ResponseCodeCorruption:
		return mailbox.Corrupt
	case imap.ResponseCodeUnavailable, imap.ResponseCodeServerBug, imap.ResponseCodeContactAdmin:
		return mailbox.Unavailable
	}
	return mailbox.Cannot // NO without a code, and BAD: it will not do it
}

// since reports whether t is less than d ago.
func since(t time.Time, d time.Duration) bool { return time.Since(t) < d }
