package imapserver_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/starling-mail/starling/imapserver"
)

// quick are settings with times short enough for a test.
func quick() imapserver.Settings {
	s := imapserver.DefaultSettings()
	s.LoginTimeout, s.CommandTimeout, s.WriteTimeout = 400*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond
	return s
}

// bye reports whether the last line is a BYE.
func bye(lines []string) bool {
	return len(lines) > 0 && strings.HasPrefix(lines[len(lines)-1], "* BYE")
}

func TestLimitOfConnections(t *testing.T) {
	for name, limit := range map[string]func(*imapserver.Settings){
		"in all":      func(s *imapserver.Settings) { s.MaxConnections = 2 },
		"per address": func(s *imapserver.Settings) { s.MaxPerAddress = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			settings := imapserver.DefaultSettings()
			limit(&settings)
			h := newHost(t, settings)
			addr := h.listen(imapserver.ListenerOptions{})
			a, b := h.login(addr), h.login(addr)
			for range 20 {
				if lines := h.dial(addr).gone(); !bye(lines) {
					t.Fatalf("one too many is told %q", lines)
				}
			}
			a.ok("NOOP")
			b.ok("LOGOUT")
			b.gone()
			h.retry(func() bool { // its place is free when the server is done with it
				c := h.dial(addr)
				return !strings.HasPrefix(c.line(), "* BYE")
			})
		})
	}
}

func TestLimitPerUser(t *testing.T) {
	settings := imapserver.DefaultSettings()
	settings.MaxPerUser = 2
	h := newHost(t, settings)
	addr := h.listen(imapserver.ListenerOptions{})
	a, b := h.login(addr), h.login(addr)
	c := h.greeted(addr)
	if _, tagged := c.do("LOGIN alice secret"); !strings.HasPrefix(tagged, "NO [LIMIT]") {
		t.Fatalf("one too many is told %q", tagged)
	}
	a.ok("NOOP")
	b.ok("LOGOUT")
	b.gone()
	h.retry(func() bool {
		_, tagged := c.do("LOGIN alice secret")
		return strings.HasPrefix(tagged, "OK")
	})
}

// retry waits until ok, which something on the server's side makes true soon.
func (h *host) retry(ok func() bool) {
	h.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			h.t.Fatal("it does not come true")
		}
	}
}

// drip sends s slowly, again and again, until the connection is gone, and returns how long that took.
func (c *client) drip(s string) time.Duration {
	c.t.Helper()
	began := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		<-tick.C
		if _, err := c.Write([]byte{s[i%len(s)]}); err != nil {
			return time.Since(began)
		}
		if time.Since(began) > patience {
			c.t.Fatal("the connection is still there")
		}
	}
}

// Before login the whole time is bounded, however busy the client seems.
func TestSlowlorisBeforeLogin(t *testing.T) {
	h := newHost(t, quick())
	addr := h.listen(imapserver.ListenerOptions{})
	var all sync.WaitGroup
	for _, s := range []string{"a", "a NOOP\r\n", "a LOGIN {100+}\r\n", "\r\n"} {
		all.Go(func() {
			if took := h.greeted(addr).drip(s); took > 5*time.Second {
				t.Errorf("%q: the connection lasted %v", s, took)
			}
		})
	}
	all.Go(func() { h.dial(addr).gone() }) // says nothing at all
	all.Wait()
	h.login(addr).ok("NOOP")
}

// After login a command that does not go on ends the connection, but waiting for the next
// one does not.
func TestSilenceInTheMiddleOfACommand(t *testing.T) {
	h := newHost(t, quick())
	addr := h.listen(imapserver.ListenerOptions{})
	waiting := h.login(addr)
	var all sync.WaitGroup
	for _, s := range []string{"a", "a NOO", "a LOGIN {5+}\r\nal", "a APPEND INBOX {1000000+}\r\nSubject", "a IDLE\r\nDON", "a APPEND INBOX {1000000}\r\n"} {
		all.Go(func() {
			c := h.login(addr)
			c.send(s)
			c.gone()
		})
	}
	all.Wait()
	waiting.ok("NOOP")
}

// heap returns the bytes that live objects take.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A client that asks for much and reads nothing costs a buffer until its write timeout, and
// nobody else waits for it.
func TestStuckReaders(t *testing.T) {
	settings := quick()
	settings.WriteTimeout = 2 * time.Second
	h := newHost(t, settings)
	h.deliver(100, 500_000)
	addr := h.listen(imapserver.ListenerOptions{})
	other := h.login(addr)
	other.ok("SELECT INBOX")
	before := heap()
	const n = 20
	var stuck [n]*client
	for i := range stuck {
		c := h.login(addr)
		c.Conn.(*net.TCPConn).SetReadBuffer(4096)
		c.ok("SELECT INBOX")
		c.send("a FETCH 1:* (BODY.PEEK[])\r\n")
		stuck[i] = c
	}
	for range 50 {
		began := time.Now()
		other.ok("STORE 1 +FLAGS (\\Seen)")
		other.ok("STORE 1 -FLAGS (\\Seen)")
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("somebody else waited for %v", took)
		}
	}
	if after := heap(); after > before+n*1<<20 {
		t.Errorf("each stuck reader costs %d bytes", (after-before)/n)
	}
	for _, c := range stuck {
		// Sooner or later it finds out, but the server has given up first.
		h.retry(func() bool {
			_, err := c.Write([]byte("a"))
			return err != nil
		})
	}
}

func TestGarbageBeforeLogin(t *testing.T) {
	h := newHost(t, imapserver.DefaultSettings())
	addr := h.listen(imapserver.ListenerOptions{})
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: b\r\nAccept: c\r\nX: d\r\nY: e\r\nZ: f\r\n\r\n",
		strings.Repeat("\r\n", 10),
		strings.Repeat("a FETCH 1 BODY[]\r\n", 10),
		strings.Repeat("a LOGIN {1}\r\n", 3) + strings.Repeat("\x00\xff\r\n", 10),
		strings.Repeat(strings.Repeat("x", 20_000)+"\r\n", 10),
	} {
		c := h.greeted(addr)
		c.send(s)
		bad := 0
		for _, line := range c.gone() { // BYE may be lost: what the server did not read resets the connection
			if strings.Contains(line, " BAD ") {
				bad++
			}
		}
		if bad == 0 || bad > 6 {
			t.Errorf("%.40q: %d times BAD", s, bad)
		}
	}
	h.login(addr).ok("NOOP")
}

func TestHugeLiteralsAreRefusedUnread(t *testing.T) {
	h := newHost(t, imapserver.DefaultSettings())
	addr := h.listen(imapserver.ListenerOptions{})

	c := h.greeted(addr)
	if _, tagged := c.do("LOGIN {1000000000}"); !strings.HasPrefix(tagged, "BAD ") {
		t.Error(tagged)
	}
	if _, tagged := c.do("LOGIN {99999999999999999999999999}"); !strings.HasPrefix(tagged, "BAD ") {
		t.Error(tagged)
	}
	c.ok("LOGIN alice secret")
	if _, tagged := c.do("APPEND INBOX {10000000000}"); !strings.HasPrefix(tagged, "NO [TOOBIG]") {
		t.Error(tagged)
	}
	if _, tagged := c.do("SELECT {1000000}"); !strings.HasPrefix(tagged, "BAD ") {
		t.Error(tagged)
	}
	if _, tagged := c.do("APPEND Nowhere {100}"); !strings.HasPrefix(tagged, "NO [TRYCREATE]") {
		t.Error(tagged)
	}
	// What is sent without asking is skipped as far as it is bearable.
	c.send("a APPEND Nowhere {100+}\r\n" + strings.Repeat("x", 100) + "\r\nb NOOP\r\n")
	if _, tagged := c.answer("a"); !strings.HasPrefix(tagged, "NO [TRYCREATE]") {
		t.Error(tagged)
	}
	c.expect("b OK")
	c.send("a APPEND INBOX {10000000000+}\r\n")
	if lines := c.gone(); len(lines) != 2 || !strings.HasPrefix(lines[0], "a NO [TOOBIG]") || !bye(lines) {
		t.Errorf("%q", lines)
	}

	c = h.greeted(addr)
	c.send("a LOGIN {1000000+}\r\n")
	if lines := c.gone(); !bye(lines) {
		t.Errorf("%q", lines)
	}
}

// Announcing is free: it must cost the server nothing.
func TestAnnouncedLiteralsCostNothing(t *testing.T) {
	settings := imapserver.DefaultSettings()
	h := newHost(t, settings)
	addr := h.listen(imapserver.ListenerOptions{})
	before := heap()
	const n = 50
	for range n {
		c := h.login(addr)
		c.send("a APPEND INBOX {60000000}\r\n")
		c.expect("+ ")
	}
	if after := heap(); after > before+n<<20 {
		t.Errorf("an announced literal costs %d bytes", (after-before)/n)
	}
}

func TestThousandPipelinedCommands(t *testing.T) {
	h := newHost(t, imapserver.DefaultSettings())
	addr := h.listen(imapserver.ListenerOptions{})
	c := h.login(addr)
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "n%d NOOP\r\n", i)
	}
	c.send(b.String() + "x LOGOUT\r\ny NOOP\r\n")
	for i := range 1000 {
		c.expect(fmt.Sprintf("n%d OK", i))
	}
	c.expect("* BYE")
	c.expect("x OK")
	if rest := c.gone(); len(rest) > 0 {
		t.Errorf("after LOGOUT: %q", rest)
	}
}

// Clients that come and vanish in every way leave nothing behind.
func TestConnectAndVanish(t *testing.T) {
	settings := imapserver.DefaultSettings()
	settings.MaxConnections = 64
	h := newHost(t, settings)
	h.deliver(1, 100_000)
	plain := h.listen(imapserver.ListenerOptions{})
	secure := h.listen(imapserver.ListenerOptions{ImplicitTLS: true})
	proxied := h.listen(imapserver.ListenerOptions{ProxyFrom: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	watcher := h.login(plain)
	watcher.idle()
	before := runtime.NumGoroutine()
	starts := []string{
		"", "a", "a LOGIN alice secret\r\n", "a LOGIN {5}\r\n", "a STARTTLS\r\n", "a LOGIN alice secret\r\nb SELECT INBOX\r\nc IDLE\r\n",
		"a LOGIN alice secret\r\nb SELECT INBOX\r\nc FETCH 1:* BODY[]\r\n", "a LOGIN alice secret\r\nb APPEND INBOX {100+}\r\nhalf",
		"a LOGIN alice secret\r\nb COMPRESS DEFLATE\r\n", "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\na NOOP\r\n", "PROXY TC", "\x16\x03\x01\x02\x00\x01\x00",
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100 {
				addr := []string{plain, secure, proxied}[rand.IntN(3)]
				c, err := net.Dial("tcp", addr)
				if err != nil {
					continue
				}
				c.Write([]byte(starts[rand.IntN(len(starts))]))
				switch rand.IntN(3) {
				case 0:
					c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
					io.Copy(io.Discard, c)
				case 1:
					c.(*net.TCPConn).SetLinger(0) // RST
				}
				c.Close()
			}
		})
	}
	all.Wait()
	h.retry(func() bool { return runtime.NumGoroutine() <= before+2 })
	for range 60 {
		h.login(plain)
	}
	h.deliver(1, 100)
	for !strings.HasSuffix(watcher.line(), "2 EXISTS") { // \Seen of the first comes before
	}
}
