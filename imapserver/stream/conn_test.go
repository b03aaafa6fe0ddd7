package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// soon is long enough for whatever is going to happen, and only spent by a failing test.
const soon = 20 * time.Second

func loopback(t testing.TB) (client, server *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

func accept(t testing.TB, c net.Conn, o *Options) *Conn {
	t.Helper()
	s, err := Accept(c, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func send(t testing.TB, w io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
}

func receive(t testing.TB, r io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Fatalf("received %.100q, %v; want %.100q", got, err, want)
	}
}

// upgrade puts TLS on both ends.
func upgrade(t testing.TB, client net.Conn, server *Conn, config *tls.Config) *tls.Conn {
	t.Helper()
	c := tls.Client(client, &tls.Config{InsecureSkipVerify: true})
	done := make(chan error, 1)
	go func() { done <- c.Handshake() }()
	if err := server.StartTLS(t.Context(), config, 0); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return c
}

func TestStartTLS(t *testing.T) {
	certs := certificates(t, "mail.example")
	client, server := loopback(t)
	c := accept(t, server, &Options{WriteTimeout: soon, HandshakeTimeout: soon})
	send(t, c, "* OK\r\n")
	receive(t, client, "* OK\r\n")
	if _, ok := c.TLS(); ok {
		t.Error("TLS before StartTLS")
	}
	tc := upgrade(t, client, c, certs.Config())
	if state, ok := c.TLS(); !ok || state.Version != tls.VersionTLS13 {
		t.Errorf("state is %+v", state)
	}
	send(t, c, "* OK again\r\n")
	receive(t, tc, "* OK again\r\n")
	send(t, tc, "a NOOP\r\n")
	receive(t, c, "a NOOP\r\n")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := tc.Read(make([]byte, 1)); err != io.EOF { // not a truncation: it was told
		t.Errorf("the client reads %v", err)
	}
}

// RFC 9051 §6.2.1: what an attacker slipped in before the handshake must not be taken
// for the client's words after it.
func TestStartTLSPipelined(t *testing.T) {
	certs := certificates(t, "mail.example")
	_, server := loopback(t)
	c := accept(t, server, &Options{})
	if err := c.StartTLS(t.Context(), certs.Config(), 1); !errors.Is(err, ErrPipelined) {
		t.Errorf("with a byte unread: %v", err)
	}
	client, server := loopback(t)
	c = accept(t, server, &Options{HandshakeTimeout: soon})
	send(t, client, "b NOOP\r\n") // and in the socket still, it is no handshake
	if err := c.StartTLS(t.Context(), certs.Config(), 0); err == nil {
		t.Error("plain text was taken for a handshake")
	}
}

func TestHandshakeTimeout(t *testing.T) {
	certs := certificates(t, "mail.example")
	_, server := loopback(t)
	c := accept(t, server, &Options{HandshakeTimeout: 10 * time.Millisecond})
	if err := c.StartTLS(t.Context(), certs.Config(), 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	c.Close()
}

// A client that takes nothing costs its write timeout, once.
func TestStuckClient(t *testing.T) {
	certs := certificates(t, "mail.example")
	for name, withTLS := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			client, server := loopback(t)
			c := accept(t, server, &Options{WriteTimeout: 100 * time.Millisecond})
			if withTLS {
				upgrade(t, client, c, certs.Config())
			}
			body := make([]byte, 1<<20)
			var err error
			for i := 0; i < 1000 && err == nil; i++ {
				_, err = c.Write(body)
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("Write to a stuck client: %v", err)
			}
			start := time.Now()
			if _, err := c.Write(body); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Write after that: %v", err)
			}
			c.Close() // must not wait for the client either
			if took := time.Since(start); took > time.Second {
				t.Errorf("took %v more", took)
			}
		})
	}
}

// A slow is a socket whose peer takes 32 KiB in nearly the write timeout.
type slow struct {
	net.Conn
	timeout  time.Duration
	deadline time.Time
	taken    int
}

func (s *slow) RemoteAddr() net.Addr               { return &net.TCPAddr{} }
func (s *slow) SetWriteDeadline(t time.Time) error { s.deadline = t; return nil }
func (s *slow) Write(p []byte) (int, error) {
	time.Sleep(s.timeout * 9 / 10 * time.Duration(len(p)) / pace)
	if time.Now().After(s.deadline) {
		return 0, os.ErrDeadlineExceeded
	}
	s.taken += len(p)
	return len(p), nil
}

func TestSlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{timeout: time.Minute}
		c := accept(t, s, &Options{WriteTimeout: s.timeout})
		const size = 5<<20 + 1
		n, err := c.Write(make([]byte, size))
		if n != size || s.taken != size || err != nil {
			t.Fatalf("wrote %d of %d: %v", n, size, err)
		}
		if n, err := c.Write(nil); n != 0 || err != nil {
			t.Fatalf("wrote nothing: %d, %v", n, err)
		}
	})
}

// Shutting down closes connections that are being written to.
func TestCloseWhileWriting(t *testing.T) {
	certs := certificates(t, "mail.example")
	client, server := loopback(t)
	c := accept(t, server, &Options{WriteTimeout: soon})
	upgrade(t, client, c, certs.Config())
	done := make(chan error, 1)
	go func() {
		body := make([]byte, 1<<20)
		for {
			if _, err := c.Write(body); err != nil {
				done <- err
				return
			}
		}
	}()
	c.Close()
	select {
	case <-done:
	case <-time.After(soon):
		t.Fatal("Write goes on")
	}
}
