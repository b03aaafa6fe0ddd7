package imapserver_test

import (
	"compress/flate"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/starling-mail/starling/imapserver"
)

// RFC 9051 §6.2.1: what came in clear behind STARTTLS is never run.
func TestStartTLSInjection(t *testing.T) {
	h := newHost(t, imapserver.DefaultSettings())
	addr := h.listen(imapserver.ListenerOptions{})
	c := h.greeted(addr)
	c.send("a STARTTLS\r\nb CAPABILITY\r\nc LOGIN alice secret\r\n")
	for _, line := range c.gone() {
		if strings.HasPrefix(line, "b ") || strings.HasPrefix(line, "c ") || strings.HasPrefix(line, "* CAPABILITY") {
			t.Errorf("injected command was answered: %q", line)
		}
	}

	c = h.greeted(addr)
	c.ok("STARTTLS")
	secure := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})
	s := newClient(t, secure)
	for _, line := range s.ok("CAPABILITY") {
		if strings.Contains(line, "STARTTLS") {
			t.Error(line)
		}
	}
	if _, tagged := s.do("STARTTLS"); !strings.HasPrefix(tagged, "BAD") {
		t.Error(tagged)
	}
	s.ok("LOGIN alice secret")
	s.idle()
	h.deliver(1, 100)
	s.expect("* 1 EXISTS")
	s.expect("* 1 RECENT")
	s.done()
}

// deflated is a connection with COMPRESS=DEFLATE as a client with the standard library has it.
type deflated struct {
	net.Conn
	r io.Reader
	w *flate.Writer
}

func (d deflated) Read(p []byte) (int, error) { return d.r.Read(p) }

func (d deflated) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	if err == nil {
		err = d.w.Flush()
	}
	return n, err
}

// compress begins COMPRESS and returns the client that goes on.
func (c *client) compress() *client {
	c.t.Helper()
	c.ok("COMPRESS DEFLATE")
	w, err := flate.NewWriter(c.Conn, flate.DefaultCompression)
	if err != nil {
		c.t.Fatal(err)
	}
	return newClient(c.t, deflated{c.Conn, flate.NewReader(c.Conn), w})
}

func TestCompress(t *testing.T) {
	settings := imapserver.DefaultSettings()
	settings.KeepAlive = 50 * time.Millisecond // longer than the server waits before it parks
	h := newHost(t, settings)
	h.deliver(3, 200_000)
	plain := h.listen(imapserver.ListenerOptions{})
	secure := h.listen(imapserver.ListenerOptions{ImplicitTLS: true})
	for name, connect := range map[string]func() *client{
		"plain": func() *client { return h.login(plain) },
		"tls":   func() *client { return h.loginTLS(secure) },
	} {
		t.Run(name, func(t *testing.T) {
			c := connect().compress()
			c.send("i IDLE\r\n") // any deadline left behind passes meanwhile
			c.expect("+ ")
			c.expect("* OK Still here")
			c.expect("* OK Still here")
			c.done()
			if _, tagged := c.do("COMPRESS DEFLATE"); !strings.HasPrefix(tagged, "BAD") {
				t.Errorf("COMPRESS twice: %s", tagged) // RFC 4978 §3
			}
			c.ok("SELECT INBOX")
			if lines := c.ok("FETCH 1:* (BODY.PEEK[])"); len(lines) < 3*200_000/72 {
				t.Errorf("%d lines", len(lines))
			}
			c.send("l APPEND INBOX {3}\r\n")
			c.expect("+ ")
			c.send("a: \r\n")
			if _, tagged := c.answer("l"); !strings.HasPrefix(tagged, "OK [APPENDUID") {
				t.Error(tagged)
			}
			c.idle()
			for range 3 {
				c.expect("* OK Still here")
				h.deliver(1, 1000)
				if s := c.news(); !strings.HasSuffix(s, "EXISTS") {
					t.Error(s)
				}
				if s := c.news(); !strings.HasSuffix(s, "RECENT") {
					t.Error(s)
				}
			}
			c.done()
			c.ok("LOGOUT")
		})
	}
}

// loginTLS connects to a listener with implicit TLS and logs in.
func (h *host) loginTLS(addr string) *client {
	h.t.Helper()
	c := newClient(h.t, tls.Client(h.dial(addr).Conn, &tls.Config{InsecureSkipVerify: true}))
	c.expect("* OK [CAPABILITY ")
	c.ok("LOGIN alice secret")
	return c
}

// Notifications reach a client that idles on TLS, however long it was parked, and what it
// sends in the same record as DONE is not lost in the TLS layer.
func TestIdleOnTLS(t *testing.T) {
	settings := imapserver.DefaultSettings()
	settings.KeepAlive = 50 * time.Millisecond
	h := newHost(t, settings)
	c := h.loginTLS(h.listen(imapserver.ListenerOptions{ImplicitTLS: true}))
	c.idle()
	c.expect("* OK Still here")
	h.deliver(1, 100)
	if s := c.news(); s != "* 1 EXISTS" {
		t.Error(s)
	}
	c.send("DONE\r\nx NOOP\r\ny IDLE\r\n")
	c.answer("i")
	c.answer("x")
	c.expect("+ ")
	h.deliver(1, 100)
	if s := c.news(); s != "* 2 EXISTS" {
		t.Error(s)
	}
	c.send("DONE\r\n")
	if _, tagged := c.answer("y"); !strings.HasPrefix(tagged, "OK") {
		t.Error(tagged)
	}
}

func TestProxyProtocol(t *testing.T) {
	settings := imapserver.DefaultSettings()
	settings.MaxPerAddress = 1
	h := newHost(t, settings)
	trusted := h.listen(imapserver.ListenerOptions{ProxyFrom: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	untrusted := h.listen(imapserver.ListenerOptions{ProxyFrom: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})

	v1 := func(ip string) string { return "PROXY TCP4 " + ip + " 127.0.0.1 4000 143\r\n" }
	v2 := func(ip string) string {
		a := netip.MustParseAddr(ip).As4()
		return "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + string(a[:]) + "\x7f\x00\x00\x01\x0f\xa0\x00\x8f"
	}
	for i, header := range []func(string) string{v1, v2} {
		ip := fmt.Sprintf("198.51.100.%d", i)
		c := h.dial(trusted)
		c.send(header(ip) + "a LOGIN alice secret\r\n") // in one packet: not a byte of it is lost
		c.expect("* OK")
		c.expect("a OK")
		// The limit is the client's, not the proxy's.
		second := h.dial(trusted)
		second.send(header(ip))
		if lines := second.gone(); !bye(lines) {
			t.Errorf("second connection from %s: %q", ip, lines)
		}
	}
	for _, s := range []string{"a NOOP\r\na NOOP\r\n", "PROXY TCP4 nonsense\r\n\r\n", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff"} {
		c := h.dial(trusted)
		c.send(s)
		if lines := c.gone(); len(lines) > 0 {
			t.Errorf("%q from a proxy: %q", s, lines)
		}
	}
	c := h.dial(untrusted)
	c.expect("* OK")
	c.send(v1("198.51.100.9"))
	c.expect("PROXY BAD")
	c.ok("LOGIN alice secret")
}

// P9: everybody who idles gets BYE, and nothing is left behind.
func TestShutdownWithManyIdle(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) }) // after the host's
	h := newHost(t, imapserver.DefaultSettings())
	plain := h.listen(imapserver.ListenerOptions{})
	secure := h.listen(imapserver.ListenerOptions{ImplicitTLS: true})
	proxied := h.listen(imapserver.ListenerOptions{ProxyFrom: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	settings := imapserver.DefaultSettings()
	settings.MaxPerUser = 10_000
	h.server.SetSettings(settings)
	var clients []*client
	for i := range 500 {
		var c *client
		switch {
		case i%10 == 0:
			c = h.loginTLS(secure)
		case i%10 == 1:
			c = h.login(plain).compress()
		default:
			c = h.login(plain)
		}
		if i%3 > 0 {
			c.idle()
		}
		clients = append(clients, c)
	}
	silent := h.dial(proxied) // says nothing: no PROXY header, so no place among the connections yet
	var all sync.WaitGroup
	var told sync.Map
	for i, c := range clients {
		all.Go(func() {
			lines := c.gone()
			told.Store(i, bye(lines))
			c.Close()
		})
	}
	began := time.Now()
	h.shutdown()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("shutdown took %v", took)
	}
	all.Wait()
	silent.gone()
	for i := range clients {
		if v, _ := told.Load(i); v != true {
			t.Fatalf("client %d was not told", i)
		}
	}
	if log := h.log.String(); strings.Contains(log, `"level":"error"`) {
		t.Errorf("errors were logged: %s", log)
	}
}
