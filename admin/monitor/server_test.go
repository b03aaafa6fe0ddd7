package monitor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// TestReady: not ready while the node says why, or without its store; alive all the
// time.
func TestReady(t *testing.T) {
	var state atomic.Value
	var failure atomic.Pointer[error]
	state.Store("")
	var log bytes.Buffer
	url := serve(t, Options{
		Log:   zerolog.New(zerolog.SyncWriter(&log)),
		State: func() string { return state.Load().(string) },
		Store: func(context.Context) error {
			if err := failure.Load(); err != nil {
				return *err
			}
			return nil
		},
	})
	want := func(status int, body string) {
		t.Helper()
		if s, b := get(t, url+"/readyz"); s != status || b != body+"\n" {
			t.Errorf("%d %q, want %d %q", s, b, status, body)
		}
		if s, _ := get(t, url+"/healthz"); s != http.StatusOK {
			t.Errorf("not alive: %d", s)
		}
	}
	want(http.StatusOK, "ready")
	away := errors.New("dial tcp 10.0.0.1: connection refused")
	failure.Store(&away)
	want(http.StatusServiceUnavailable, "the store is not available")
	want(http.StatusServiceUnavailable, "the store is not available")
	failure.Store(nil)
	want(http.StatusOK, "ready")
	for _, why := range []string{"joining the cluster", "draining", "stopping"} {
		state.Store(why)
		want(http.StatusServiceUnavailable, why)
	}
	state.Store("")
	want(http.StatusOK, "ready")
	if s := log.String(); strings.Count(s, "\n") != 2 || !strings.Contains(s, "connection refused") || !strings.Contains(s, "ready again") {
		t.Errorf("logged:\n%s", s)
	}
}

// TestProbe: however many ask, the store is asked once, and one that does not
// answer is asked no second time before it has.
func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		answer := make(chan error)
		p := newProbe(func(context.Context) error {
			asked.Add(1)
			return <-answer // it does not look at its context
		}, 2*time.Second, time.Second)

		results := make(chan error)
		for range 100 {
			go func() { results <- p.ask(t.Context()) }()
		}
		synctest.Wait()
		answer <- nil
		for range 100 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if err := p.ask(t.Context()); err != nil || asked.Load() != 1 {
			t.Errorf("asked %d times, then %v", asked.Load(), err)
		}

		time.Sleep(time.Second) // the answer is old now
		for range 3 {
			if err := p.ask(t.Context()); err != errSilent {
				t.Errorf("a store that is silent: %v", err)
			}
		}
		if n := asked.Load(); n != 2 {
			t.Errorf("asked %d times, want 2", n)
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		if err := p.ask(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("who does not wait is told %v", err)
		}
		away := errors.New("away")
		closed := make(chan error)
		go func() { closed <- p.close(t.Context()) }()
		synctest.Wait()
		select {
		case err := <-closed:
			t.Errorf("closed while the store is being asked: %v", err)
		default:
		}
		answer <- away
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if err := p.ask(t.Context()); err != away || asked.Load() != 2 {
			t.Errorf("asked %d times, then %v", asked.Load(), err)
		}
	})
}

func TestPprof(t *testing.T) {
	for on, want := range map[bool]int{false: http.StatusNotFound, true: http.StatusOK} {
		url := serve(t, Options{Pprof: on})
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline"} {
			if status, _ := get(t, url+path); status != want {
				t.Errorf("pprof %v: %s is %d, want %d", on, path, status, want)
			}
		}
	}
}

func TestOnlyGet(t *testing.T) {
	url := serve(t, Options{})
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		resp, err := http.Post(url+path, "text/plain", strings.NewReader("x"))
		must(t, err)
		resp.Body.Close()
		if resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", path, resp.StatusCode)
		}
	}
	if status, _ := get(t, url+"/"); status != http.StatusNotFound {
		t.Errorf("/: %d", status)
	}
}

// TestUntrusted: who is not trusted hears nothing.
func TestUntrusted(t *testing.T) {
	url := serve(t, Options{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	if resp, err := http.Get(url + "/healthz"); err == nil {
		resp.Body.Close()
		t.Errorf("answered %d", resp.StatusCode)
	}
}

// TestManyConnections: those over the limit are closed, and places become free again.
func TestManyConnections(t *testing.T) {
	ln := listenLocal(t)
	l := newListener(ln, &Options{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, MaxConnections: 1, Log: zerolog.Nop()})
	defer l.Close()
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", ln.Addr().String())
		must(t, err)
		t.Cleanup(func() { c.Close() })
		return c
	}
	dial()
	first := <-accepted
	if _, err := bufio.NewReader(dial()).ReadByte(); err == nil {
		t.Error("a second connection was heard")
	}
	first.Close()
	first.Close() // gives one place back, not two
	dial()
	second := <-accepted
	if _, err := bufio.NewReader(dial()).ReadByte(); err == nil {
		t.Error("a second connection was heard")
	}
	second.Close()
}
