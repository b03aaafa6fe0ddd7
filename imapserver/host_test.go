package imapserver_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/imapserver"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/sqlite"
	"github.com/starling-mail/starling/tracker"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// A host is a server on real loopback sockets. Its user alice has the password of fakeAuth.
type host struct {
	t      testing.TB
	server *imapserver.Server
	store  mailstore.Store
	user   mailbox.User
	log    *testLog
	served sync.WaitGroup
	closed bool

	options imapserver.Options // of server
}

// newHost starts a server that listens nowhere yet.
func newHost(t testing.TB, settings imapserver.Settings) *host {
	t.Helper()
	return newHostOver(t, settings, func(s mailstore.Store) tracker.Source { return s })
}

// newHostOver is newHost whose trackers have what wrap makes of the store.
func newHostOver(t testing.TB, settings imapserver.Settings, wrap func(mailstore.Store) tracker.Source) *host {
	t.Helper()
	h := &host{t: t, log: &testLog{}}
	bus := eventbus.New(eventbus.Options{Log: zerolog.Nop()})
	store, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Publish: bus.Publish, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	h.store = store
	trackers := tracker.New(tracker.Options{Store: wrap(store), Bus: bus, Log: zerolog.Nop()})
	if h.user, err = store.AddUser(t.Context(), mailbox.User{Name: "alice"}, nil); err != nil {
		t.Fatal(err)
	}
	h.options = imapserver.Options{
		Store: store, Trackers: trackers, Auth: fakeAuth{store}, Settings: settings, Log: zerolog.New(h.log),
		TLS: &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}},
	}
	if h.server, err = imapserver.New(h.options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.shutdown()
		trackers.Close()
		bus.Close(context.Background())
		if err := store.Close(); err != nil {
			t.Error("store:", err)
		}
		h.noPanic(t)
	})
	return h
}

// shutdown stops the server if it runs.
func (h *host) shutdown() {
	if h.closed {
		return
	}
	h.closed = true
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.server.Shutdown(ctx); err != nil {
		h.t.Error("shutdown:", err)
	}
	h.served.Wait()
}

// noPanic fails if the server has had to recover from a panic.
func (h *host) noPanic(t testing.TB) {
	t.Helper()
	if s := h.log.String(); strings.Contains(s, `"panic"`) {
		t.Error("the server has recovered from a panic:", s)
	}
}

// listen begins to serve a new address and returns it.
func (h *host) listen(o imapserver.ListenerOptions) string {
	h.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	h.serve(ln, o)
	return ln.Addr().String()
}

// serve serves the clients of ln, and allows logins without TLS.
func (h *host) serve(ln net.Listener, o imapserver.ListenerOptions) {
	o.PlaintextAuth = imapserver.PlaintextAlways
	h.served.Go(func() {
		if err := h.server.Serve(context.Background(), ln, o); err != nil {
			h.t.Error("serve:", err)
		}
	})
}

// deliver puts messages of about size octets into alice's INBOX, not by IMAP.
func (h *host) deliver(n, size int) {
	h.t.Helper()
	info, err := h.store.Lookup(h.t.Context(), h.user.Account, "INBOX")
	if err != nil {
		h.t.Fatal(err)
	}
	line := strings.Repeat("x", 70) + "\r\n"
	for i := range n {
		text := fmt.Sprintf("Subject: message %d\r\n\r\n%s", i, strings.Repeat(line, size/len(line)+1))
		draft, err := h.store.Receive(h.t.Context(), strings.NewReader(text), 1<<30)
		if err != nil {
			h.t.Fatal(err)
		}
		if _, err := h.store.Append(h.t.Context(), info.ID, []mailstore.Incoming{{Draft: draft}}); err != nil {
			h.t.Fatal(err)
		}
		draft.Discard()
	}
}

// A testLog collects what the server logs.
type testLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A client is the other end of a connection.
type client struct {
	t testing.TB
	net.Conn
	r    *bufio.Reader
	tags int
}

func newClient(t testing.TB, c net.Conn) *client {
	return &client{t: t, Conn: c, r: bufio.NewReader(c)}
}

// dial connects without a word.
func (h *host) dial(addr string) *client {
	h.t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	return newClient(h.t, c)
}

// greeted connects and reads the greeting.
func (h *host) greeted(addr string) *client {
	h.t.Helper()
	c := h.dial(addr)
	c.expect("* OK [CAPABILITY ")
	return c
}

// login connects and logs in as alice.
func (h *host) login(addr string) *client {
	h.t.Helper()
	c := h.greeted(addr)
	c.ok("LOGIN alice secret")
	return c
}

func (c *client) send(s string) {
	c.t.Helper()
	c.SetWriteDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte(s)); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// read returns the next line, without CRLF, or the error that the connection ended with.
func (c *client) read() (string, error) {
	c.SetReadDeadline(time.Now().Add(patience))
	s, err := c.r.ReadString('\n')
	if err == nil && !strings.HasSuffix(s, "\r\n") {
		err = errors.New("line without CRLF")
	}
	return strings.TrimSuffix(s, "\r\n"), err
}

func (c *client) line() string {
	c.t.Helper()
	s, err := c.read()
	if err != nil {
		c.t.Fatalf("read %q: %v", s, err)
	}
	return s
}

func (c *client) expect(prefix string) string {
	c.t.Helper()
	s := c.line()
	if !strings.HasPrefix(s, prefix) {
		c.t.Fatalf("got %q, want %q", s, prefix)
	}
	return s
}

// do sends a command and returns the untagged lines and the tagged one, without its
// tag.
func (c *client) do(command string) (untagged []string, tagged string) {
	c.t.Helper()
	c.tags++
	tag := "t" + strconv.Itoa(c.tags)
	c.send(tag + " " + command + "\r\n")
	return c.answer(tag)
}

// answer reads up to the tagged response.
func (c *client) answer(tag string) (untagged []string, tagged string) {
	c.t.Helper()
	for {
		s := c.line()
		if rest, ok := strings.CutPrefix(s, tag+" "); ok {
			return untagged, rest
		}
		untagged = append(untagged, s)
	}
}

func (c *client) ok(command string) []string {
	c.t.Helper()
	untagged, tagged := c.do(command)
	if !strings.HasPrefix(tagged, "OK ") {
		c.t.Fatalf("%s: %s", command, tagged)
	}
	return untagged
}

// news returns the next line that is not just a sign of life.
func (c *client) news() string {
	c.t.Helper()
	for {
		if s := c.line(); s != "* OK Still here" {
			return s
		}
	}
}

// idle begins IDLE in INBOX.
func (c *client) idle() {
	c.t.Helper()
	c.ok("SELECT INBOX")
	c.send("i IDLE\r\n")
	c.expect("+ ")
}

// done ends it.
func (c *client) done() {
	c.t.Helper()
	c.send("DONE\r\n")
	if _, tagged := c.answer("i"); !strings.HasPrefix(tagged, "OK ") {
		c.t.Fatalf("DONE: %s", tagged)
	}
}

// gone returns what the server still says until it ends the connection.
func (c *client) gone() []string {
	c.t.Helper()
	var lines []string
	for {
		s, err := c.read()
		if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
			c.t.Fatalf("the connection is still there, after %q", lines)
		}
		if s != "" {
			lines = append(lines, s)
		}
		if err != nil {
			return lines
		}
	}
}

// selfSigned makes a certificate for the loopback address.
func selfSigned(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
