package stream

import (
	"compress/flate"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/starling-mail/starling/imapserver/park"
)

// A parked is a stream on a Spot, owned by the test after each wake-up.
type parked struct {
	*park.Spot
	t     testing.TB
	woken chan park.Reason
}

func newParked(t testing.TB, l *park.Lot, c *Conn) *parked {
	p := &parked{t: t, woken: make(chan park.Reason, 1)}
	p.Spot = l.Spot(c, func(r park.Reason) { p.woken <- r })
	return p
}

// next parks until the client speaks, and returns what it said.
func (p *parked) next() string {
	p.t.Helper()
	p.Park(time.Now().Add(soon))
	if r := <-p.woken; r != park.Readable {
		p.t.Fatalf("woken by %v", r)
	}
	var got []byte
	buf := make([]byte, 4096)
	for {
		p.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		n, err := p.Read(buf)
		got = append(got, buf[:n]...)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return string(got)
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *parked) expect(want string) {
	p.t.Helper()
	if got := p.next(); got != want {
		p.t.Fatalf("read %q, want %q", got, want)
	}
}

// A connection's life on one Spot: plain, then TLS, then DEFLATE on TLS.
func TestLayersOnASpot(t *testing.T) {
	certs := certificates(t, "mail.example")
	client, server := loopback(t)
	l := park.NewLot(0)
	defer l.Close()
	c := accept(t, server, &Options{WriteTimeout: soon, HandshakeTimeout: soon})
	p := newParked(t, l, c)
	send(t, client, "a STARTTLS\r\n")
	p.expect("a STARTTLS\r\n")

	tc := tls.Client(client, &tls.Config{InsecureSkipVerify: true})
	handshake := make(chan error, 1)
	go func() { handshake <- tc.Handshake() }()
	if err := c.StartTLS(t.Context(), certs.Config(), p.Buffered()); err != nil {
		t.Fatal(err)
	}
	if err := <-handshake; err != nil {
		t.Fatal(err)
	}
	send(t, tc, "b COMPRESS DEFLATE\r\n") // the Spot sees through to the same socket
	p.expect("b COMPRESS DEFLATE\r\n")

	// The drain's deadline has passed, and must not meet the uncompressing reader.
	if err := c.StartDeflate(newDeflate(t), p.Buffered()); err != nil {
		t.Fatal(err)
	}
	if err := p.Switch(c); err != nil {
		t.Fatal(err)
	}
	w, err := flate.NewWriter(tc, 6)
	if err != nil {
		t.Fatal(err)
	}
	r := flate.NewReader(tc)
	for _, line := range []string{"c IDLE\r\n", "DONE\r\n", "d NOOP\r\n"} {
		send(t, w, line)
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		p.expect(line)
		p.Park(time.Time{}) // a notice comes while the reader is blocked
		p.Wake()
		if got := <-p.woken; got != park.Woken {
			t.Fatal(got)
		}
		send(t, c, "* 1 EXISTS\r\n")
		receive(t, r, "* 1 EXISTS\r\n")
	}
	tc.Close()
	p.Park(time.Time{})
	if got := <-p.woken; got != park.Readable {
		t.Fatal(got)
	}
	if _, err := p.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the client hung up: %v", err)
	}
	p.Close()
	c.Close()
}

// BenchmarkIdleMemory tells what a parked stream costs beyond its socket, after a line
// each way.
func BenchmarkIdleMemory(b *testing.B) {
	certs := certificates(b, "mail.example")
	for _, bench := range []struct {
		name     string
		tls, zip bool
	}{{"plain", false, false}, {"tls", true, false}, {"deflate", false, true}, {"tls+deflate", true, true}} {
		b.Run(bench.name, func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(idleMemory(b, certs, bench.tls, bench.zip), "B/conn")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func idleMemory(b *testing.B, certs *Certificates, withTLS, zip bool) float64 {
	const connections = 500
	type connection struct {
		client, server *net.TCPConn
		stream         *Conn
		spot           *parked
	}
	l := park.NewLot(0)
	defer l.Close()
	d := newDeflate(b)
	o := &Options{WriteTimeout: soon, HandshakeTimeout: soon}
	config := certs.Config()
	all := make([]connection, connections)
	for i := range all {
		all[i].client, all[i].server = loopback(b)
	}
	before := memory()
	for i := range all {
		c := &all[i]
		c.stream = accept(b, c.server, o)
		var client io.ReadWriter = c.client
		if withTLS {
			client = upgrade(b, c.client, c.stream, config)
		}
		if zip {
			if err := c.stream.StartDeflate(d, 0); err != nil {
				b.Fatal(err)
			}
		}
		c.spot = newParked(b, l, c.stream)
		if zip {
			w, err := flate.NewWriter(client, 1)
			if err != nil {
				b.Fatal(err)
			}
			send(b, w, "a NOOP\r\n")
			w.Flush()
		} else {
			send(b, client, "a NOOP\r\n")
		}
		c.spot.expect("a NOOP\r\n")
		send(b, c.stream, "a OK\r\n")
		if _, err := client.Read(make([]byte, 64)); err != nil {
			b.Fatal(err)
		}
		c.spot.Park(time.Now().Add(soon))
	}
	d.writers, d.outputs = sync.Pool{}, sync.Pool{} // shared: not a connection's
	after := memory()
	for i := range all {
		all[i].spot.Close()
		all[i].stream.Close()
		all[i].client.Close()
	}
	return (after - before) / connections
}

func memory() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}
