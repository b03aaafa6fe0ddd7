package lmtp

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

func mailstoreInfo(account mailbox.AccountID, name string) mailstore.Info {
	return mailstore.Info{Account: account, Name: name, Subscribed: true}
}

// A dialogue is a client that writes and reads lines.
type dialogue struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

// talk connects and waits for the greeting.
func (s *testServer) talk(t *testing.T) *dialogue {
	t.Helper()
	d := &dialogue{t: t, Conn: s.dial(t)}
	d.r = bufio.NewReader(d)
	d.expect("220 ")
	return d
}

// expect reads lines up to one that ends a reply, which must start so.
func (d *dialogue) expect(prefix string) {
	d.t.Helper()
	for {
		line, err := d.r.ReadString('\n')
		if err != nil {
			d.t.Fatalf("%q instead of %q: %v", line, prefix, err)
		}
		if len(line) > 3 && line[3] == '-' {
			continue
		}
		if !strings.HasPrefix(line, prefix) {
			d.t.Fatalf("%q, want %q", line, prefix)
		}
		return
	}
}

// end reads the end of the connection.
func (d *dialogue) end() {
	d.t.Helper()
	if rest, err := io.ReadAll(d.r); err != nil || len(rest) != 0 {
		d.t.Errorf("%q %v, want the end", rest, err)
	}
}

func (d *dialogue) send(format string, v ...any) {
	d.t.Helper()
	if _, err := fmt.Fprintf(d.Conn, format, v...); err != nil {
		d.t.Fatal(err)
	}
}

// begin goes on until a message is asked for.
func (d *dialogue) begin(to string) {
	d.t.Helper()
	d.send("LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<%s>\r\n", to)
	for range 3 {
		d.expect("250 ")
	}
}

func TestIdleClientsAreSentAway(t *testing.T) {
	s := newTestServer(t, func(o *Options) { o.Grace = time.Hour })
	silent, greeted, begun := s.talk(t), s.talk(t), s.talk(t)
	greeted.send("LHLO x\r\n")
	greeted.expect("250 ")
	begun.begin("alice@example.org")
	s.stopped(t)
	for _, d := range []*dialogue{silent, greeted, begun} {
		d.expect("421 4.3.2 ")
		d.end()
	}
	if _, err := net.Dial("unix", s.ln.Addr().String()); err == nil {
		t.Error("the listener is open")
	}
}

func TestMessageUnderWayIsFinished(t *testing.T) {
	s := newTestServer(t, func(o *Options) { o.Grace = time.Hour })
	s.store.appends = make(chan struct{})
	sending, waiting := s.talk(t), s.talk(t)
	waiting.begin("bob@example.org")
	waiting.send("DATA\r\n")
	waiting.expect("354 ")
	waiting.send("x\r\n.\r\n")
	<-s.store.appends // it is being stored
	sending.begin("alice@example.org")
	sending.send("DATA\r\n")
	sending.expect("354 ")
	sending.send("Subject: a\r\n")
	s.stop()
	// Nobody gets in any more: the stop has begun.
	for {
		c, err := net.Dial("unix", s.ln.Addr().String())
		if err != nil {
			break
		}
		c.Close()
	}
	s.store.appends <- struct{}{}
	sending.send("\r\nb\r\n.\r\n")
	<-s.store.appends
	s.store.appends <- struct{}{}
	for _, d := range []*dialogue{sending, waiting} {
		d.expect("250 2.0.0 ")
		d.expect("421 4.3.2 ")
		d.end()
	}
	s.stopped(t)
	if a, b := s.store.delivered("alice", "INBOX"), s.store.delivered("bob", "INBOX"); len(a) != 1 || len(b) != 1 {
		t.Errorf("alice has %d, bob has %d", len(a), len(b))
	}
}

func TestGraceEnds(t *testing.T) {
	s := newTestServer(t, func(o *Options) { o.Grace = time.Millisecond })
	stuck, sending := s.talk(t), s.talk(t)
	stuck.begin("stuck@example.org")
	stuck.send("DATA\r\n")
	stuck.expect("354 ")
	stuck.send("x\r\n.\r\n")
	sending.begin("alice@example.org")
	sending.send("DATA\r\n")
	sending.expect("354 ")
	s.stopped(t)
	if n := len(s.store.delivered("alice", "INBOX")); n != 0 {
		t.Errorf("%d unfinished messages were delivered", n)
	}
}

func TestPanicEndsOneConnection(t *testing.T) {
	s := newTestServer(t, nil)
	other := s.talk(t)
	for _, transfer := range []string{"DATA\r\nx\r\n.\r\n", "BDAT 3 LAST\r\nx\r\n"} {
		d := s.talk(t)
		d.begin("panic@example.org")
		d.send("%s", transfer)
		if strings.HasPrefix(transfer, "DATA") {
			d.expect("354 ")
		}
		d.expect("421 ")
		d.end()
	}
	other.begin("alice@example.org")
	other.send("DATA\r\n")
	other.expect("354 ")
	other.send("x\r\n.\r\n")
	other.expect("250 ")
}

// RFC 3030: the message comes in chunks.
func TestChunks(t *testing.T) {
	s := newTestServer(t, nil)
	d := s.talk(t)
	d.begin("alice@example.org")
	long := strings.Repeat("x", maxCommandLine*3) + "\r\n"
	d.send("BDAT 10\r\nSubject: aBDAT %d\r\n%s", len(long)+4, "\r\n\r\n"+long)
	d.expect("250 ")
	d.expect("250 ")
	d.send("BDAT 3 LAST\r\nb\r\nNOOP\r\n")
	d.expect("250 2.0.0 <alice@example.org> ")
	d.expect("250 2.0.0 ")
	if mail := s.store.delivered("alice", "INBOX"); len(mail) != 1 || !strings.HasSuffix(mail[0], "\r\nSubject: a\r\n\r\n"+long+"b\r\n") {
		t.Errorf("%d messages", len(mail))
	}
	// Given up, by command and by leaving.
	d.begin("alice@example.org")
	d.send("BDAT 3\r\nx\r\n")
	d.expect("250 ")
	d.send("RSET\r\n")
	d.end()
	d = s.talk(t)
	d.begin("alice@example.org")
	d.send("BDAT 30\r\nx\r\n")
	d.Close()
	s.stopped(t)
	if n := len(s.store.delivered("alice", "INBOX")); n != 1 {
		t.Errorf("%d messages", n)
	}
}

func TestUnfinishedMessageIsNotDelivered(t *testing.T) {
	s := newTestServer(t, nil)
	d := s.talk(t)
	d.begin("alice@example.org")
	d.send("DATA\r\n")
	d.expect("354 ")
	d.send("Subject: a\r\n\r\nb\r\n")
	d.Close()
	s.stopped(t)
	if n := len(s.store.delivered("alice", "INBOX")); n != 0 {
		t.Errorf("%d messages", n)
	}
}

// A dot after a bare LF ends no message (SMTP smuggling), and the LF becomes a CRLF.
func TestBareLF(t *testing.T) {
	s := newTestServer(t, nil)
	d := s.talk(t)
	d.begin("alice@example.org")
	d.send("DATA\r\n")
	d.expect("354 ")
	d.send("a: b\n\nc\n.\nMAIL FROM:<x>\r\n.\r\n")
	d.expect("250 ")
	if mail := s.store.delivered("alice", "INBOX"); len(mail) != 1 || !strings.HasSuffix(mail[0], "\r\na: b\r\n\r\nc\r\n.\r\nMAIL FROM:<x>\r\n") {
		t.Errorf("%q", mail)
	}
}

func TestHostileAddresses(t *testing.T) {
	s := newTestServer(t, nil)
	d := s.talk(t)
	d.send("LHLO x\ty\"(\r\n")
	d.expect("250 ")
	d.send("MAIL FROM:<\"a\rX: y\"@example.com>\r\n")
	d.expect("553 5.1.7 ")
	d.send("MAIL FROM:<\"a b\\\"\"@example.com>\r\n")
	d.expect("250 ")
	d.send("RCPT TO:<\"alice+\x01\"@example.org>\r\n")
	d.expect("553 5.1.3 ")
	d.send("RCPT TO:<%s@example.org>\r\n", strings.Repeat("a", 1000))
	d.expect("553 5.1.3 ")
	d.send("RCPT TO:<alice@example.org>\r\nDATA\r\n")
	d.expect("250 ")
	d.expect("354 ")
	d.send("x\r\n.\r\n")
	d.expect("250 ")
	mail := s.store.delivered("alice", "INBOX")
	if len(mail) != 1 || !strings.Contains(mail[0], "Return-Path: <\"a b\\\"\"@example.com>\r\n") || !strings.Contains(mail[0], "\r\nReceived: from x?y??\r\n") {
		t.Errorf("%q", mail)
	}
}

func TestLongCommand(t *testing.T) {
	s := newTestServer(t, nil)
	d := s.talk(t)
	go io.Copy(d.Conn, strings.NewReader(strings.Repeat("x", 2*maxCommandLine))) // may fail: it is cut off
	d.expect("500 5.4.0 ")
}

func TestSilentClient(t *testing.T) {
	s := newTestServer(t, func(o *Options) { o.Timeout = 50 * time.Millisecond })
	d := s.talk(t)
	d.expect("421 4.4.2 ")
	d.end()
	d = s.talk(t)
	d.begin("alice@example.org")
	d.send("DATA\r\n")
	d.expect("354 ")
	d.expect("451 4.3.0 ") // in the middle of a message
}

func TestConnectionLimit(t *testing.T) {
	s := newTestServer(t, func(o *Options) { o.MaxConnections = 1 })
	first := s.talk(t)
	second := &dialogue{t: t, Conn: s.dial(t)}
	second.r = bufio.NewReader(second)
	second.expect("421 4.3.2 ")
	second.end()
	first.send("QUIT\r\n")
	first.expect("221 ")
	first.end()
	s.talk(t)
}

func TestTrustedAddresses(t *testing.T) {
	for prefix, want := range map[string]string{"": "220 ", "127.0.0.0/8": "220 ", "192.0.2.0/24": "554 5.7.1 "} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := serveOn(t, ln, func(o *Options) {
			if prefix != "" {
				o.Trusted = []netip.Prefix{netip.MustParsePrefix(prefix)}
			}
		})
		d := &dialogue{t: t, Conn: s.dial(t)}
		d.r = bufio.NewReader(d)
		d.expect(want)
		if want != "220 " {
			d.end()
			continue
		}
		d.begin("alice@example.org")
		d.send("DATA\r\n")
		d.expect("354 ")
		d.send("x\r\n.\r\n")
		d.expect("250 ")
		if mail := s.store.delivered("alice", "INBOX"); len(mail) != 1 || !strings.Contains(mail[0], "\r\nReceived: from x ([127.0.0.1])\r\n") {
			t.Errorf("%q", mail)
		}
	}
}

func TestListenerFails(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := New(Options{Hostname: "x"}).Serve(t.Context(), ln); err == nil {
		t.Error("no error")
	}
}

// TestDrain: who has no message under way goes, nobody new is served, what is being sent
// is taken in; and then the server serves again.
func TestDrain(t *testing.T) {
	s := newTestServer(t, nil)
	sending, waiting := s.talk(t), s.talk(t)
	sending.begin("alice@example.org")
	sending.send("DATA\r\n")
	sending.expect("354 ")
	s.Drain(true)
	waiting.expect("421 4.3.2 ")
	waiting.end()
	late := &dialogue{t: t, Conn: s.dial(t)}
	late.r = bufio.NewReader(late)
	late.expect("421 4.3.2 ")
	late.end()
	sending.send("Subject: a\r\n\r\nb\r\n.\r\n")
	sending.expect("250 2.0.0 ")
	sending.expect("421 4.3.2 ")
	sending.end()
	if n := len(s.store.delivered("alice", "INBOX")); n != 1 {
		t.Errorf("%d messages", n)
	}
	s.Drain(false)
	s.talk(t)
	if n := len(s.slots); n != 1 {
		t.Errorf("%d connections are counted, want 1", n)
	}
}
