package park

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// soon is long enough for whatever is going to happen, and only spent by a failing test.
const soon = 20 * time.Second

// hidden is a connection that does not tell of its socket, so that it is read ahead.
type hidden struct{ net.Conn }

// variants are the two ways to wait, the same to an owner.
var variants = map[string]func(net.Conn) net.Conn{
	"socket": func(c net.Conn) net.Conn { return c },
	"ahead":  func(c net.Conn) net.Conn { return hidden{c} },
}

// eachVariant runs f with a fresh Lot for each way to wait.
func eachVariant(t *testing.T, f func(t *testing.T, l *Lot, wrap func(net.Conn) net.Conn)) {
	for name, wrap := range variants {
		t.Run(name, func(t *testing.T) { f(t, openLot(t, 10*time.Millisecond), wrap) })
	}
}

func openLot(t testing.TB, tick time.Duration) *Lot {
	l := NewLot(tick)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// loopback returns both ends of a TCP connection, closed with the test.
func loopback(t testing.TB) (client, server *net.TCPConn) {
	t.Helper()
	p := loopbacks(t, 1)[0]
	t.Cleanup(func() { p.client.Close(); p.server.Close() })
	return p.client, p.server
}

// parking is a Spot whose wake-ups go to a channel.
type parking struct {
	*Spot
	t     testing.TB
	woken chan Reason
}

func newParking(t testing.TB, l *Lot, c net.Conn) *parking {
	p := &parking{t: t, woken: make(chan Reason, 16)}
	p.Spot = l.Spot(c, func(r Reason) { p.woken <- r })
	t.Cleanup(func() { p.Close(); c.Close() }) // before the Lot's
	return p
}

func (p *parking) expect(want Reason) {
	p.t.Helper()
	select {
	case got := <-p.woken:
		if got != want {
			p.t.Fatalf("woken by %v, want %v", got, want)
		}
	case <-time.After(soon):
		p.t.Fatalf("not woken, want %v", want)
	}
}

// expectAsleep shows that nothing wakes p by closing it: what was parked until then had no wake-up.
func (p *parking) expectAsleep() {
	p.t.Helper()
	if !p.Close() {
		p.t.Fatal("it was not parked any more")
	}
	select {
	case r := <-p.woken:
		p.t.Fatalf("woken by %v", r)
	default:
	}
}

// drain reads until nothing is there, like an owner.
func (p *parking) drain() string {
	p.t.Helper()
	var got []byte
	buf := make([]byte, 512)
	for {
		if err := p.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			p.t.Fatal(err)
		}
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

func send(t testing.TB, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

func TestReadable(t *testing.T) {
	eachVariant(t, func(t *testing.T, l *Lot, wrap func(net.Conn) net.Conn) {
		client, server := loopback(t)
		p := newParking(t, l, wrap(server))
		for _, line := range []string{"a NOOP\r\n", "b IDLE\r\n", "DONE\r\n"} {
			p.Park(time.Time{})
			send(t, client, line)
			p.expect(Readable)
			if got := p.drain(); got != line {
				t.Fatalf("read %q, want %q", got, line)
			}
		}
		p.Park(time.Time{})
		p.expectAsleep()
	})
}

func TestBytesBeforePark(t *testing.T) {
	eachVariant(t, func(t *testing.T, l *Lot, wrap func(net.Conn) net.Conn) {
		client, server := loopback(t)
		p := newParking(t, l, wrap(server))
		p.drain()
		send(t, client, "early")
		p.Park(time.Time{})
		p.expect(Readable)
		p.Park(time.Time{}) // still there: nobody read it
		p.expect(Readable)
		if got := p.drain(); got != "early" {
			t.Fatalf("read %q", got)
		}
	})
}

func TestWake(t *testing.T) {
	eachVariant(t, func(t *testing.T, l *Lot, wrap func(net.Conn) net.Conn) {
		client, server := loopback(t)
		p := newParking(t, l, wrap(server))
		if p.Pending() {
			t.Fatal("pending before Wake")
		}
		p.Park(time.Time{})
		p.Wake()
		p.expect(Woken)
		if p.Pending() {
			t.Fatal("the Wake that woke is pending as well")
		}

		p.Wake() // while the owner works
		p.Wake() // counts once
		p.Park(time.Time{})
		p.expect(Woken)
		p.Wake()
		if !p.Pending() || p.Pending() {
			t.Fatal("want pending once")
		}

		p.Park(time.Time{})
		send(t, client, "x") // bytes still wake after all this
		p.expect(Readable)
		p.drain()
		p.Park(time.Time{})
		p.expectAsleep()
		p.Wake() // on a closed Spot
		if p.Park(time.Time{}) {
			t.Fatal("a closed Spot was parked")
		}
	})
}

func TestDeadline(t *testing.T) {
	eachVariant(t, func(t *testing.T, l *Lot, wrap func(net.Conn) net.Conn) {
		client, server := loopback(t)
		p := newParking(t, l, wrap(server))
		p.Park(time.Now().Add(-time.Second))
		p.expect(Expired)
		deadline := time.Now().Add(50 * time.Millisecond)
		p.Park(deadline)
		p.expect(Expired)
		if early := time.Until(deadline); early > 0 {
			t.Fatalf("woken %v early", early)
		}
		p.Park(time.Now().Add(30 * time.Millisecond)) // left behind by bytes
		send(t, client, "x")
		p.expect(Readable)
		p.drain()
		p.drain()
		p.Park(time.Time{}) // the old deadline passes meanwhile, and is void
		p.drainTimers()
		p.expectAsleep()
	})
}

// drainTimers waits until every deadline that p left in the wheel has passed.
func (p *parking) drainTimers() {
	other := &parking{t: p.t, woken: make(chan Reason, 1)}
	other.Spot = &Spot{lot: p.lot, wake: func(r Reason) { other.woken <- r }}
	other.state.Store(1<<parkShift | parked)
	p.lot.wheel.set(other.Spot, 1, time.Now().Add(60*time.Millisecond))
	other.expect(Expired)
}

func TestHangUp(t *testing.T) {
	for name, hangUp := range map[string]func(*net.TCPConn){
		"close": func(c *net.TCPConn) { c.Close() },
		"half":  func(c *net.TCPConn) { c.CloseWrite() },
		"reset": func(c *net.TCPConn) { c.SetLinger(0); c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			eachVariant(t, func(t *testing.T, l *Lot, wrap func(net.Conn) net.Conn) {
				client, server := loopback(t)
				p := newParking(t, l, wrap(server))
				p.Park(time.Time{})
				hangUp(client)
				p.expect(Readable)
				if _, err := p.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("Read after the client hung up: %v", err)
				}
				p.Park(time.Time{}) // and it stays so
				p.expect(Readable)
			})
		})
	}
}

func TestConnectionClosedFirst(t *testing.T) {
	eachVariant(t, func(t *testing.T, l *Lot, wrap func(net.Conn) net.Conn) {
		_, server := loopback(t)
		p := newParking(t, l, wrap(server))
		server.Close()
		p.Park(time.Time{})
		p.expect(Readable)
		p.Close()
	})
}

func TestLotClose(t *testing.T) {
	client, server := loopback(t)
	l := NewLot(0)
	p := newParking(t, l, server)
	p.Park(time.Now().Add(time.Millisecond))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	send(t, client, "unheard")
	p.Wake()
	p.expect(Woken)
	p.Park(time.Time{})
	p.expect(Readable) // it cannot be watched any more
	late := newParking(t, l, server)
	late.Park(time.Time{})
	late.expect(Readable)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
