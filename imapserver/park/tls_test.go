package park

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// A cutter keeps back what is written to a connection, to send it in other pieces.
type cutter struct {
	net.Conn
	mu   sync.Mutex
	keep bool
	kept bytes.Buffer
}

func (c *cutter) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keep {
		return c.kept.Write(p)
	}
	return c.Conn.Write(p)
}

// release sends n bytes of what was kept, in one segment.
func (c *cutter) release(t testing.TB, n int) {
	t.Helper()
	if _, err := c.Conn.Write(c.kept.Next(n)); err != nil {
		t.Fatal(err)
	}
}

func selfSigned(t testing.TB) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func handshake(t testing.TB, cert tls.Certificate, client, server net.Conn) (*tls.Conn, *tls.Conn) {
	c := tls.Client(client, &tls.Config{InsecureSkipVerify: true})
	s := tls.Server(server, &tls.Config{Certificates: []tls.Certificate{cert}})
	done := make(chan error, 1)
	go func() { done <- s.Handshake() }()
	if err := errors.Join(c.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	return c, s
}

func TestTLS(t *testing.T) {
	cert := selfSigned(t)
	long := strings.Repeat("long", 10_000) // several records
	tests := map[string]struct {
		records []string
		cuts    []int // segments of this size, the rest in one
	}{
		"one record":                     {[]string{"a NOOP\r\n"}, nil},
		"half a record":                  {[]string{"a NOOP\r\n"}, []int{7}},
		"half a header":                  {[]string{"a NOOP\r\n"}, []int{2}},
		"all but one byte":               {[]string{"a"}, []int{22}},
		"records in one segment":         {[]string{"a", "b", "c", "d"}, nil},
		"a record and a half":            {[]string{"a", "b"}, []int{23 + 9}},
		"longer than the owner's buffer": {[]string{long}, []int{1, 5, 4000, 16_500}},
		"bytes":                          {[]string{"ab"}, []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			eachVariant(t, func(t *testing.T, l *Lot, wrap func(net.Conn) net.Conn) {
				client, server := loopback(t)
				cut := &cutter{Conn: client}
				tc, ts := handshake(t, cert, cut, server)
				p := newParking(t, l, wrap(ts))
				cut.keep = true
				for _, r := range test.records {
					send(t, tc, r)
				}
				want := strings.Join(test.records, "")
				var got string
				p.Park(time.Time{})
				for _, n := range append(test.cuts, cut.kept.Len()) {
					cut.release(t, n)
					if cut.kept.Len() > 0 && isHidden(ts, p) {
						continue // its reader is woken by whole records only
					}
					p.expect(Readable)
					got += p.drain()
					p.Park(time.Time{})
				}
				for len(got) < len(want) { // more segments than one may be left
					p.expect(Readable)
					got += p.drain()
					p.Park(time.Time{})
				}
				if got != want {
					t.Fatalf("read %d bytes, want %d", len(got), len(want))
				}
				p.expectAsleep()
			})
		})
	}
}

func isHidden(c net.Conn, p *parking) bool { return p.conn != c }

// A deadline in the past brings out what the tls.Conn holds, so that a Park after it misses nothing.
func TestTLSDrainWithoutWaiting(t *testing.T) {
	l := openLot(t, 0)
	client, server := loopback(t)
	cut := &cutter{Conn: client}
	tc, ts := handshake(t, selfSigned(t), cut, server)
	p := newParking(t, l, ts)
	cut.keep = true
	send(t, tc, "first")
	send(t, tc, "second")
	p.Park(time.Time{})
	cut.release(t, cut.kept.Len())
	p.expect(Readable)
	p.SetReadDeadline(time.Time{})
	buf := make([]byte, 3)
	var got []byte
	for {
		n, err := p.Read(buf)
		got = append(got, buf[:n]...)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		p.SetReadDeadline(time.Unix(1, 0))
	}
	if string(got) != "firstsecond" {
		t.Fatalf("read %q", got)
	}
	p.Park(time.Time{})
	p.expectAsleep()
}
