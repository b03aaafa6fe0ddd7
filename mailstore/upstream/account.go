package upstream

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/starling-mail/starling/mailstore/upstream/conn"
)

// An Account is one user of a server while somebody holds him: his password and his connections.
// When nobody holds him any more, both are gone. Any number of goroutines may use it.
type Account struct {
	server  *Server
	name    string
	holders int // guarded by server.mu

	mu       sync.Mutex
	auth     conn.Auth
	verified time.Time   // when the server has accepted auth
	refused  error       // why it does not any more: it is not asked again, lest it locks the user out
	idle     []parked    // the one used last at the end
	lent     []*Lease    // with watchers
	making   int         // connections being made for work
	watching int         // lent or being made for watchers
	waiters  []*waiter   // for a connection, first come first served
	sweep    *time.Timer // closes connections that nobody uses; nil if there are none
	closed   bool
}

// A parked is a connection that waits for work.
type parked struct {
	c     *conn.Conn
	since time.Time
}

// A waiter is told with a connection, or with nil that it may make one.
type waiter struct{ give chan *parked }

// A Want says what a connection is wanted for.
type Want struct {
	// One that has selected this is preferred. The name may be empty. UIDValidity, if not 0, tells
	// the mailbox from another one that had the name before; who does not know it has to select
	// it anew.
	Mailbox     string
	UIDValidity uint32
	ReadOnly    bool
	// Watch wants one of its own, to wait for news: it does not count among those for
	// work, and is closed when it comes back.
	Watch bool
	// Fresh wants one that was made for this.
	Fresh bool
}

// A Lease is a connection lent out. Release gives it back; it must not be used after that.
type Lease struct {
	*conn.Conn
	// Used says that the connection has worked before: it may turn out to be dead.
	Used  bool
	a     *Account
	watch bool
}

// ErrWatchers is returned to a watcher that would be one too many.
var ErrWatchers = errors.New("too many mailboxes are watched")

// Name is the account's.
func (a *Account) Name() string { return a.name }

// Release undoes one Login or Server.Account. With the last one connections and password go.
func (a *Account) Release() {
	s := a.server
	s.mu.Lock()
	a.holders--
	last := a.holders == 0
	if last && s.accounts[a.name] == a {
		delete(s.accounts, a.name)
	}
	s.mu.Unlock()
	if last {
		a.close(false)
	}
}

// trusts reports whether auth was accepted a short time ago.
func (a *Account) trusts(auth conn.Auth) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.closed && since(a.verified, a.server.o.Trust) && a.auth.Equal(auth)
}

// adopt takes a connection that was made with auth.
func (a *Account) adopt(c *conn.Conn, auth conn.Auth) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.auth, a.verified, a.refused = auth, time.Now(), nil
	if a.closed || len(a.idle)+a.working() >= a.server.o.MaxConnections {
		c.Close()
		return
	}
	a.park(c)
}

// working is how many connections are lent out for work or being made for it.
func (a *Account) working() int {
	n := a.making
	for _, l := range a.lent {
		if !l.watch {
			n++
		}
	}
	return n
}

// Get lends a connection. If there are too many, it waits for one. The error is of kind Unavailable,
// or the server's to the login, or ctx's.
func (a *Account) Get(ctx context.Context, w Want) (*Lease, error) {
	if w.Watch {
		return a.watcher(ctx)
	}
	for {
		p, err := a.take(ctx, w)
		switch {
		case err != nil:
			return nil, err
		case p == nil:
			return a.build(ctx)
		case a.alive(ctx, p):
			return a.lend(p.c, true, false)
		}
		p.c.Close()
		a.mu.Lock()
		a.making--
		a.next()
		a.mu.Unlock()
	}
}

// take returns a connection that waits for work, or nil if the caller may make one. Either way it
// counts in making.
func (a *Account) take(ctx context.Context, w Want) (*parked, error) {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return nil, unavailable(errShut)
	}
	room := a.server.o.MaxConnections - a.working()
	if len(a.waiters) == 0 && room > 0 {
		defer a.mu.Unlock()
		a.making++
		if i := a.best(w); i >= 0 && !w.Fresh {
			p := a.idle[i]
			a.idle = slices.Delete(a.idle, i, i+1)
			return &p, nil
		}
		if len(a.idle) >= room { // one that waits makes room
			a.idle[0].c.Close()
			a.idle = slices.Delete(a.idle, 0, 1)
		}
		return nil, nil
	}
	me := &waiter{give: make(chan *parked, 1)}
	a.waiters = append(a.waiters, me)
	a.mu.Unlock()
	select {
	case p, open := <-me.give:
		if !open {
			return nil, unavailable(errShut)
		}
		if p != nil && w.Fresh {
			p.c.Close()
			p = nil
		}
		return p, nil
	case <-ctx.Done():
		a.leave(me)
		return nil, context.Cause(ctx)
	}
}

// leave is for a waiter that has lost patience.
func (a *Account) leave(w *waiter) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := slices.Index(a.waiters, w); i >= 0 {
		a.waiters = slices.Delete(a.waiters, i, i+1)
		return
	}
	p, open := <-w.give // at the same moment
	if !open {
		return
	}
	a.making--
	if p != nil && a.closed {
		p.c.Close()
	} else if p != nil {
		a.park(p.c)
	}
	a.next()
}

// best is the index of the connection that waits and suits w best, or -1 if none waits: the mailbox
// is selected already; or none is; or else the one that was unused for longest, whose
// mailbox is missed least. To select another is cheaper than to log in.
func (a *Account) best(w Want) int {
	free := -1
	for i, p := range a.idle {
		switch s := p.c.Selected(); {
		case w.Mailbox != "" && s.Name == w.Mailbox && s.ReadOnly == w.ReadOnly && (w.UIDValidity == 0 || s.UIDValidity == w.UIDValidity):
			return i
		case s.Name == "" && free < 0:
			free = i
		}
	}
	if free < 0 && len(a.idle) > 0 {
		return 0
	}
	return free
}

// alive reports whether a connection that has waited still works.
func (a *Account) alive(ctx context.Context, p *parked) bool {
	if p.c.Err() != nil {
		return false
	}
	if since(p.since, a.server.o.CheckAfter) {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, a.server.o.CheckTimeout)
	defer cancel()
	return p.c.Do(ctx, &conn.Noop{}) == nil
}

// build makes a connection for work, which counts in making already.
func (a *Account) build(ctx context.Context) (*Lease, error) {
	c, err := a.connect(ctx)
	if err != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.making--
		a.next()
		return nil, err
	}
	return a.lend(c, false, false)
}

func (a *Account) connect(ctx context.Context) (*conn.Conn, error) {
	a.mu.Lock()
	auth, closed, refused := a.auth, a.closed, a.refused
	a.mu.Unlock()
	if closed {
		return nil, unavailable(errShut)
	}
	if refused != nil {
		return nil, refused
	}
	c, err := a.server.connect(ctx, auth)
	if Refused(err) {
		a.mu.Lock()
		if a.auth.Equal(auth) { // nobody has logged in with another one meanwhile
			a.refused, a.verified = err, time.Time{}
		}
		a.mu.Unlock()
	}
	return c, err
}

// watcher makes a connection for a watcher.
func (a *Account) watcher(ctx context.Context) (*Lease, error) {
	a.mu.Lock()
	if a.watching >= a.server.o.MaxWatchers {
		a.mu.Unlock()
		return nil, unavailable(ErrWatchers)
	}
	a.watching++
	a.mu.Unlock()
	c, err := a.connect(ctx)
	if err != nil {
		a.mu.Lock()
		a.watching--
		a.mu.Unlock()
		return nil, err
	}
	return a.lend(c, false, true)
}

// lend lends c out.
func (a *Account) lend(c *conn.Conn, used, watch bool) (*Lease, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !watch {
		a.making--
	}
	if a.closed {
		if watch {
			a.watching--
		}
		c.Close()
		return nil, unavailable(errShut)
	}
	l := &Lease{Conn: c, Used: used, a: a, watch: watch}
	a.lent = append(a.lent, l)
	return l, nil
}

// Release gives the connection back. One that has ended is forgotten.
func (l *Lease) Release() {
	a := l.a
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.Index(a.lent, l)
	if i < 0 {
		return // twice
	}
	a.lent = slices.Delete(a.lent, i, i+1)
	l.Updates = nil
	if l.watch {
		a.watching--
		l.Close()
		return
	}
	if a.closed {
		l.Close()
	} else if l.Err() == nil {
		a.park(l.Conn)
	}
	a.next()
}

// park keeps c for whoever comes next. mu is held.
func (a *Account) park(c *conn.Conn) {
	a.idle = append(a.idle, parked{c, time.Now()})
	if a.sweep == nil {
		a.sweep = time.AfterFunc(a.server.o.MaxIdle, a.tidy)
	}
}

// next serves whoever waits, while there is room. mu is held.
func (a *Account) next() {
	for len(a.waiters) > 0 && a.working() < a.server.o.MaxConnections {
		w := a.waiters[0]
		a.waiters = slices.Delete(a.waiters, 0, 1)
		var p *parked
		if n := len(a.idle); n > 0 {
			p = &parked{a.idle[n-1].c, a.idle[n-1].since}
			a.idle = a.idle[:n-1]
		}
		a.making++
		w.give <- p
	}
}

// tidy closes the connections that nobody has used for MaxIdle.
func (a *Account) tidy() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sweep = nil
	var kept []parked
	oldest := time.Duration(0)
	for _, p := range a.idle {
		age := time.Since(p.since)
		if age >= a.server.o.MaxIdle {
			p.c.Close()
			continue
		}
		oldest = max(oldest, age)
		kept = append(kept, p)
	}
	a.idle = kept
	if len(kept) > 0 && !a.closed {
		a.sweep = time.AfterFunc(a.server.o.MaxIdle-oldest, a.tidy)
	}
}

// close forgets the password and closes the connections; those that are lent out are closed when they come
// back, or at once.
func (a *Account) close(atOnce bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed, a.auth = true, conn.Auth{}
	for _, p := range a.idle {
		p.c.Close()
	}
	a.idle = nil
	if atOnce {
		for _, l := range a.lent {
			l.Close()
		}
	}
	for _, w := range a.waiters {
		close(w.give)
	}
	a.waiters = nil
	if a.sweep != nil {
		a.sweep.Stop()
		a.sweep = nil
	}
}

// Run lends a connection to f. If it turns out to have died while nobody used it, and f changes nothing
// that could not be changed twice, f is run again on a new one.
func (a *Account) Run(ctx context.Context, w Want, repeat bool, f func(c *conn.Conn) error) error {
	for {
		l, err := a.Get(ctx, w)
		if err != nil {
			return err
		}
		err = f(l.Conn)
		died := l.Err() != nil
		l.Release()
		if err == nil || !died || !l.Used || !repeat || w.Fresh || ctx.Err() != nil {
			return err
		}
		w.Fresh = true
	}
}
