package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/imaptest"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/upstream"
	"github.com/starling-mail/starling/mailstore/upstream/conn"
)

// A farm is a server whose users all have the password that it says.
type farm struct {
	mu       sync.Mutex
	password string
	down     bool // nobody gets a connection
	silent   bool // commands are not answered
	dials    []time.Time
	logins   int
	open     map[*imaptest.Conn]bool
	noops    int
	sick     bool // NOOP is refused
}

func newFarm() *farm { return &farm{password: "secret", open: map[*imaptest.Conn]bool{}} }

func (f *farm) options() upstream.Options {
	return upstream.DefaultOptions(&conn.Dialer{Addr: "mail.example.org:143", Security: conn.Plain,
		Limits: conn.DefaultLimits(), Timeouts: conn.DefaultTimeouts(), Connect: f.connect})
}

func (f *farm) connect(context.Context, string, string) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dials = append(f.dials, time.Now())
	if f.down {
		return nil, errors.New("connection refused")
	}
	nc := imaptest.NewConn()
	nc.Tap = func(b []byte) { f.hear(nc, string(b)) }
	nc.Ended = func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.open, nc)
	}
	f.open[nc] = true
	nc.Send("* OK [CAPABILITY IMAP4rev1] hi\r\n")
	return nc, nil
}

var login = regexp.MustCompile(`LOGIN "\w+" "(\w*)"`)

func (f *farm) hear(nc *imaptest.Conn, s string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for line := range strings.Lines(s) {
		tag, command, _ := strings.Cut(strings.TrimSpace(line), " ")
		if f.silent {
			return
		}
		if m := login.FindStringSubmatch(command); m != nil {
			f.logins++
			if m[1] != f.password {
				nc.Send(tag + " NO [AUTHENTICATIONFAILED] no\r\n")
				continue
			}
			tag += " OK [CAPABILITY IMAP4rev1] in\r\n"
			nc.Send(tag)
			continue
		}
		if command == "NOOP" {
			f.noops++
			if f.sick {
				nc.Send(tag + " NO not well\r\n")
				continue
			}
		}
		if strings.HasPrefix(command, "EXAMINE") {
			nc.Send("* OK [UIDVALIDITY 7] valid\r\n")
		}
		nc.Send(tag + " OK done\r\n")
	}
}

// cut ends all connections, without a word.
func (f *farm) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for nc := range f.open {
		nc.HangUp()
	}
}

func (f *farm) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *farm) count() (open, logins int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.open), f.logins
}

var secret = conn.PasswordLogin("ada", "secret")

// bubble runs f with a farm and a Server on it, in fake time.
func bubble(t *testing.T, change func(*upstream.Options), f func(t *testing.T, farm *farm, s *upstream.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		farm := newFarm()
		o := farm.options()
		if change != nil {
			change(&o)
		}
		s := upstream.New(o)
		defer s.Close()
		f(t, farm, s)
	})
}

func mustLogin(t *testing.T, s *upstream.Server) *upstream.Account {
	t.Helper()
	a, err := s.Login(t.Context(), "ada", secret)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func get(t *testing.T, a *upstream.Account, w upstream.Want) *upstream.Lease {
	t.Helper()
	l, err := a.Get(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestLoginAsksTheServer: right and wrong passwords, and how long one is believed.
func TestLoginAsksTheServer(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *farm, s *upstream.Server) {
		if _, err := s.Login(t.Context(), "ada", conn.PasswordLogin("ada", "wrong")); !upstream.Refused(err) {
			t.Fatalf("wrong password: %v", err)
		}
		if open, _ := f.count(); open != 0 {
			t.Errorf("%d connections after a refusal", open)
		}
		a := mustLogin(t, s)
		mustLogin(t, s)
		if _, n := f.count(); n != 2 {
			t.Errorf("%d logins, want 2: the second right one is believed", n)
		}
		if _, err := s.Login(t.Context(), "ada", conn.PasswordLogin("ada", "wrong")); !upstream.Refused(err) {
			t.Errorf("wrong password beside a right one: %v", err)
		}
		time.Sleep(upstream.DefaultOptions(nil).Trust)
		mustLogin(t, s)
		if _, n := f.count(); n != 4 {
			t.Errorf("%d logins, want 4: what was accepted a minute ago is asked again", n)
		}
		for i := range 3 {
			if _, held := s.Account("ada"); !held {
				t.Fatalf("nobody holds ada after %d releases", i)
			}
			a.Release()
			a.Release()
		}
		if _, held := s.Account("ada"); held {
			t.Error("ada is held after all releases")
		}
	})
}

// TestReleaseForgets: with the last holder connections and password go.
func TestReleaseForgets(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *farm, s *upstream.Server) {
		a := mustLogin(t, s)
		l := get(t, a, upstream.Want{})
		a.Release()
		if _, err := a.Get(t.Context(), upstream.Want{}); mailbox.KindOf(err) != mailbox.Unavailable {
			t.Errorf("a connection of an account that nobody holds: %v", err)
		}
		if _, held := s.Account("ada"); held {
			t.Error("ada is still held")
		}
		if err := l.Do(t.Context(), &conn.Noop{}); err != nil {
			t.Errorf("work in progress: %v", err)
		}
		l.Release()
		if open, _ := f.count(); open != 0 {
			t.Errorf("%d connections are open", open)
		}
	})
}

// TestBound: never more connections than allowed, whoever waits gets one in turn, and
// who loses patience takes nothing with him.
func TestBound(t *testing.T) {
	bubble(t, func(o *upstream.Options) { o.MaxConnections = 2 }, func(t *testing.T, f *farm, s *upstream.Server) {
		a := mustLogin(t, s)
		defer a.Release()
		first, second := get(t, a, upstream.Want{}), get(t, a, upstream.Want{})
		var order []int
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range 5 {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i == 2 {
				time.AfterFunc(time.Minute, cancel)
			}
			all.Go(func() {
				l, err := a.Get(ctx, upstream.Want{Fresh: i == 3})
				if i == 2 {
					if !errors.Is(err, context.Canceled) {
						t.Errorf("waiter %d: %v", i, err)
					}
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				if open, _ := f.count(); open > 2 {
					t.Errorf("%d connections", open)
				}
				time.Sleep(time.Second)
				l.Release()
			})
			synctest.Wait() // one behind the other
		}
		time.Sleep(2 * time.Minute)
		first.Release()
		second.Conn.Close() // one that has died makes room too
		second.Release()
		second.Release()
		all.Wait()
		slices.Sort(order[:2])
		slices.Sort(order[2:])
		if fmt.Sprint(order) != "[0 1 3 4]" {
			t.Errorf("served in the order %v", order)
		}
		if open, _ := f.count(); open > 2 {
			t.Errorf("%d connections", open)
		}
	})
}

// TestFreshMakesRoom: a new connection takes the place of one that waits.
func TestFreshMakesRoom(t *testing.T) {
	bubble(t, func(o *upstream.Options) { o.MaxConnections = 2 }, func(t *testing.T, f *farm, s *upstream.Server) {
		a := mustLogin(t, s)
		defer a.Release()
		used, waits := get(t, a, upstream.Want{}), get(t, a, upstream.Want{})
		waits.Release()
		fresh := get(t, a, upstream.Want{Fresh: true})
		if open, _ := f.count(); open != 2 || fresh.Used || waits.Err() == nil {
			t.Errorf("%d connections", open)
		}
		used.Release()
		fresh.Release()
	})
}

// TestImpatientAtTheLastMoment: what was given to somebody who leaves is not lost.
func TestImpatientAtTheLastMoment(t *testing.T) {
	bubble(t, func(o *upstream.Options) { o.MaxConnections = 1 }, func(t *testing.T, f *farm, s *upstream.Server) {
		a := mustLogin(t, s)
		defer a.Release()
		for range 40 {
			l := get(t, a, upstream.Want{})
			ctx, cancel := context.WithCancel(t.Context())
			got := make(chan *upstream.Lease, 1)
			go func() {
				l, _ := a.Get(ctx, upstream.Want{})
				got <- l
			}()
			synctest.Wait()
			cancel()
			l.Release()
			if l := <-got; l != nil {
				l.Release()
			}
		}
		get(t, a, upstream.Want{}).Release()
	})
}

// TestOnlyOneFindsOut whether a server is back; the others are told at once that it is not.
func TestOnlyOneFindsOut(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *farm, s *upstream.Server) {
		f.set(func() { f.down = true })
		if _, err := s.Login(t.Context(), "ada", secret); err == nil {
			t.Fatal("logged in to a server that is down")
		}
		time.Sleep(time.Second)
		f.set(func() { f.down, f.silent = false, true })
		start := time.Now()
		var all sync.WaitGroup
		var mu sync.Mutex
		atOnce := 0
		for range 10 {
			all.Go(func() {
				if _, err := s.Login(t.Context(), "ada", secret); mailbox.KindOf(err) != mailbox.Unavailable {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if time.Since(start) == 0 {
					atOnce++
				}
			})
		}
		all.Wait()
		if len(f.dials) != 2 || atOnce != 9 {
			t.Errorf("%d attempts, %d told at once", len(f.dials), atOnce)
		}
	})
}

// TestAffinity: the connection that has the mailbox selected is preferred, then one without.
func TestAffinity(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *farm, s *upstream.Server) {
		a := mustLogin(t, s)
		defer a.Release()
		var leases []*upstream.Lease
		for _, name := range []string{"a", "b", ""} {
			l := get(t, a, upstream.Want{})
			if name != "" {
				if err := l.Do(t.Context(), &conn.Select{Mailbox: name, ReadOnly: true}); err != nil {
					t.Fatal(err)
				}
			}
			leases = append(leases, l)
		}
		for _, l := range leases {
			l.Release()
		}
		for _, c := range []struct {
			want upstream.Want
			got  *conn.Conn
		}{
			{upstream.Want{Mailbox: "b", ReadOnly: true}, leases[1].Conn},
			{upstream.Want{Mailbox: "a", ReadOnly: true, UIDValidity: 7}, leases[0].Conn},
			{upstream.Want{Mailbox: "a", ReadOnly: true, UIDValidity: 8}, leases[2].Conn}, // renamed, and made again
			{upstream.Want{Mailbox: "c"}, leases[2].Conn},
			{upstream.Want{}, leases[2].Conn},
			{upstream.Want{Mailbox: "a"}, leases[2].Conn}, // read only is another thing
		} {
			l := get(t, a, c.want)
			if l.Conn != c.got || !l.Used {
				t.Errorf("%+v got the connection of %+v", c.want, l.Selected())
			}
			l.Release()
		}
		if _, n := f.count(); n != 3 {
			t.Errorf("%d logins", n)
		}
	})
}

// TestIdleOnesAreClosed, and those used in between are not.
func TestIdleOnesAreClosed(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *farm, s *upstream.Server) {
		a := mustLogin(t, s)
		defer a.Release()
		x, y := get(t, a, upstream.Want{}), get(t, a, upstream.Want{})
		x.Release()
		time.Sleep(3 * time.Minute)
		y.Release()
		time.Sleep(3 * time.Minute)
		if open, _ := f.count(); open != 1 {
			t.Errorf("%d connections, one has been idle for 6 minutes, one for 3", open)
		}
		time.Sleep(3 * time.Minute)
		if open, _ := f.count(); open != 0 {
			t.Errorf("%d connections", open)
		}
		get(t, a, upstream.Want{}).Release()
	})
}

// TestDeadOnesAreFound: those that have waited long are checked, and work that hits one that was not
// is done again.
func TestDeadOnesAreFound(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *farm, s *upstream.Server) {
		a := mustLogin(t, s)
		defer a.Release()
		time.Sleep(time.Minute)
		get(t, a, upstream.Want{}).Release()
		if f.noops != 1 {
			t.Errorf("%d checks", f.noops)
		}
		f.cut()
		time.Sleep(time.Minute)
		if l := get(t, a, upstream.Want{}); l.Used {
			t.Error("a dead connection was lent")
		} else {
			l.Release()
		}
		f.set(func() { f.sick = true })
		time.Sleep(time.Minute)
		if l := get(t, a, upstream.Want{}); l.Used {
			t.Error("a connection was lent that had failed its check")
		} else {
			l.Release()
		}
		if open, _ := f.count(); open != 1 {
			t.Errorf("%d connections after one had failed its check", open)
		}
		f.cut() // not long ago
		runs := 0
		work := func(c *conn.Conn) error { runs++; return c.Do(t.Context(), &conn.Unselect{}) }
		if err := a.Run(t.Context(), upstream.Want{}, true, work); err != nil || runs != 2 {
			t.Errorf("%v in %d runs", err, runs)
		}
		f.cut()
		runs = 0
		if err := a.Run(t.Context(), upstream.Want{}, false, work); err == nil || runs != 1 {
			t.Errorf("%v in %d runs of what must not be repeated", err, runs)
		}
	})
}

// TestWatchersCountByThemselves.
func TestWatchersCountByThemselves(t *testing.T) {
	bubble(t, func(o *upstream.Options) { o.MaxConnections, o.MaxWatchers = 1, 2 }, func(t *testing.T, f *farm, s *upstream.Server) {
		a := mustLogin(t, s)
		defer a.Release()
		work := get(t, a, upstream.Want{})
		w1, w2 := get(t, a, upstream.Want{Watch: true}), get(t, a, upstream.Want{Watch: true})
		if _, err := a.Get(t.Context(), upstream.Want{Watch: true}); !errors.Is(err, upstream.ErrWatchers) {
			t.Errorf("a third watcher: %v", err)
		}
		w1.Release()
		get(t, a, upstream.Want{Watch: true}).Release()
		w2.Release()
		work.Release()
		if open, _ := f.count(); open != 1 {
			t.Errorf("%d connections", open)
		}
	})
}

// TestLoginsAreSpread: a storm becomes a rate.
func TestLoginsAreSpread(t *testing.T) {
	bubble(t, func(o *upstream.Options) {
		o.LoginInterval, o.LoginBurst, o.LoginWait, o.Trust = 100*time.Millisecond, 10, 5*time.Second, 0
	}, func(t *testing.T, f *farm, s *upstream.Server) {
		start := time.Now()
		var storm sync.WaitGroup
		var mu sync.Mutex
		refused := 0
		for i := range 100 {
			storm.Go(func() {
				_, err := s.Login(t.Context(), fmt.Sprint(i), secret)
				mu.Lock()
				defer mu.Unlock()
				if mailbox.KindOf(err) == mailbox.Unavailable {
					refused++
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		storm.Wait()
		if _, n := f.count(); n+refused != 100 || n < 55 || n > 61 {
			t.Errorf("%d logins, %d refused; at once 10, and 10 a second for 5 seconds", n, refused)
		}
		slices.SortFunc(f.dials, time.Time.Compare)
		for i, at := range f.dials {
			if earliest := time.Duration(i-9) * 100 * time.Millisecond; at.Sub(start) < earliest {
				t.Fatalf("login %d after %v", i, at.Sub(start))
			}
		}
	})
}

// TestBackOff: a server that is down is left alone, longer and longer; and found again.
func TestBackOff(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *farm, s *upstream.Server) {
		f.set(func() { f.down = true })
		for range 60_000 {
			if _, err := s.Login(t.Context(), "ada", secret); mailbox.KindOf(err) != mailbox.Unavailable {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		// 10 minutes: 0.25 s to 15 s in 7 steps, then 7.5 to 15 s each.
		if n := len(f.dials); n < 40 || n > 90 {
			t.Errorf("%d attempts in 10 minutes", n)
		}
		f.set(func() { f.down = false })
		start := time.Now()
		for {
			a, err := s.Login(t.Context(), "ada", secret)
			if err == nil {
				a.Release()
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if d := time.Since(start); d > 16*time.Second {
			t.Errorf("found again after %v", d)
		}
	})
}

// TestClientsPatienceIsNotAnOutage: who hangs up in the middle of a login closes the server for nobody.
func TestClientsPatienceIsNotAnOutage(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *farm, s *upstream.Server) {
		f.set(func() { f.silent = true })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Login(ctx, "ada", secret); err == nil {
			t.Fatal("logged in to a silent server")
		}
		f.set(func() { f.silent = false })
		mustLogin(t, s).Release()
	})
}

// TestPasswordChanged: the old one is not tried again and again.
func TestPasswordChanged(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *farm, s *upstream.Server) {
		a := mustLogin(t, s)
		defer a.Release()
		f.set(func() { f.password = "other" })
		f.cut()
		time.Sleep(time.Hour)
		for range 5 {
			if _, err := a.Get(t.Context(), upstream.Want{}); !upstream.Refused(err) {
				t.Errorf("old password: %v", err)
			}
		}
		if _, n := f.count(); n != 2 {
			t.Errorf("%d logins", n)
		}
		if _, err := s.Login(t.Context(), "ada", secret); !upstream.Refused(err) {
			t.Errorf("old password of a client: %v", err)
		}
		b, err := s.Login(t.Context(), "ada", conn.PasswordLogin("ada", "other"))
		if err != nil || b != a {
			t.Fatal(err)
		}
		b.Release()
		get(t, a, upstream.Want{}).Release()
	})
}

// TestPrepare: what fails behind the login is not about the password, nor an outage.
func TestPrepare(t *testing.T) {
	var fails error
	bubble(t, func(o *upstream.Options) {
		o.Trust = 0
		o.Prepare = func(context.Context, *conn.Conn) error { return fails }
	}, func(t *testing.T, f *farm, s *upstream.Server) {
		mustLogin(t, s).Release()
		fails = &conn.StatusError{Command: "ENABLE", Type: "NO"}
		if _, err := s.Login(t.Context(), "ada", secret); upstream.Refused(err) || mailbox.KindOf(err) != mailbox.Unavailable {
			t.Error(err)
		}
		if open, _ := f.count(); open != 0 {
			t.Errorf("%d connections", open)
		}
		fails = nil
		mustLogin(t, s).Release()
	})
}

// TestFault: errors have the kind that clients are told of.
func TestFault(t *testing.T) {
	no := func(code imap.ResponseCode) error {
		return fmt.Errorf("wrapped: %w", &conn.StatusError{Command: "X", Type: imap.StatusResponseTypeNo, Code: code})
	}
	for _, c := range []struct {
		err    error
		writes bool
		want   mailbox.Kind
	}{
		{no(imap.ResponseCodeTryCreate), true, mailbox.NonExistent},
		{no(imap.ResponseCodeOverQuota), true, mailbox.OverQuota},
		{no("EXPUNGEISSUED"), false, mailbox.Expunged},
		{no(imap.ResponseCodeUnavailable), true, mailbox.Unavailable},
		{no(""), true, mailbox.Cannot},
		{&conn.NetworkError{Op: "read", Err: io.ErrUnexpectedEOF}, true, mailbox.Unknown},
		{&conn.ByeError{}, false, mailbox.Unavailable},
		{&mailbox.Error{Kind: mailbox.Limit}, true, mailbox.Limit},
	} {
		if err := upstream.Fault("copy", c.err, c.writes); mailbox.KindOf(err) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%v: %v", c.err, err)
		}
	}
	if upstream.Fault("copy", nil, true) != nil {
		t.Error("no fault is a fault")
	}
}

// TestClose ends what is lent out, and whoever waits.
func TestClose(t *testing.T) {
	bubble(t, func(o *upstream.Options) { o.MaxConnections = 1 }, func(t *testing.T, f *farm, s *upstream.Server) {
		a := mustLogin(t, s)
		l := get(t, a, upstream.Want{})
		waited := make(chan error)
		go func() {
			_, err := a.Get(t.Context(), upstream.Want{})
			waited <- err
		}()
		synctest.Wait()
		s.Close()
		if err := <-waited; mailbox.KindOf(err) != mailbox.Unavailable {
			t.Error(err)
		}
		if l.Err() == nil {
			t.Error("what is lent out works on")
		}
		l.Release()
		a.Release()
		if _, err := s.Login(t.Context(), "ada", secret); mailbox.KindOf(err) != mailbox.Unavailable {
			t.Error(err)
		}
		if open, _ := f.count(); open != 0 {
			t.Errorf("%d connections", open)
		}
	})
}
