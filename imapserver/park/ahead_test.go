package park

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A fake is a connection in memory. It has no deadlines: nothing may need them.
type fake struct {
	net.Conn // none: any other method is a mistake
	mu       sync.Mutex
	more     *sync.Cond
	bytes    []byte
	closed   bool
	readers  int
}

func newFake() *fake {
	f := &fake{}
	f.more = sync.NewCond(&f.mu)
	return f
}

func (f *fake) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readers++
	defer func() { f.readers-- }()
	for len(f.bytes) == 0 && !f.closed {
		f.more.Wait()
	}
	if len(f.bytes) == 0 {
		return 0, io.EOF
	}
	n := copy(p, f.bytes)
	f.bytes = f.bytes[n:]
	return n, nil
}

func (f *fake) send(s string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bytes = append(f.bytes, s...)
	f.more.Broadcast()
}

func (f *fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.more.Broadcast()
	return nil
}

func (f *fake) reading() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.readers
}

// A goroutine stays blocked in Read while the connection is woken for other reasons.
// What it reads then is the owner's.
func TestOneReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openLot(t, 0)
		f := newFake()
		p := newParking(t, l, f)
		p.drain()
		for range 3 {
			p.Park(time.Now().Add(time.Hour))
			synctest.Wait()
			if n := f.reading(); n != 1 {
				t.Fatalf("%d readers while parked", n)
			}
			p.Wake()
			p.expect(Woken)
			p.drain() // gives up waiting, without giving up the Read
		}
		f.send("tick")
		if got := p.drain(); got != "tick" {
			t.Fatalf("read %q", got)
		}
		p.Park(time.Time{})
		f.send("tock")
		p.expect(Readable)
		synctest.Wait()
		if n := f.reading(); n != 0 {
			t.Fatal("it reads on before the owner has what came")
		}
		if p.Buffered() != 4 {
			t.Fatalf("%d bytes buffered, want 4", p.Buffered())
		}
		if got := p.drain(); got != "tock" {
			t.Fatalf("read %q", got)
		}
		p.Park(time.Time{})
		f.Close()
		p.expect(Readable)
		if _, err := p.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Fatalf("Read of a closed connection: %v", err)
		}
	})
}

func TestDeadlinesInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openLot(t, 0)
		p := newParking(t, l, newFake())
		for _, d := range []time.Duration{time.Nanosecond, 250 * time.Millisecond, 2 * time.Minute, 30 * time.Minute, 24 * time.Hour} {
			start := time.Now()
			p.Park(start.Add(d))
			if got := <-p.woken; got != Expired {
				t.Fatal(got)
			}
			if took := time.Since(start); took < d || took >= d+DefaultTick {
				t.Errorf("deadline after %v: woken after %v", d, took)
			}
		}
	})
}

func TestReadDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openLot(t, 0)
		f := newFake()
		p := newParking(t, l, f)
		start := time.Now()
		p.SetReadDeadline(start.Add(20 * time.Millisecond))
		n, err := p.Read(make([]byte, 10))
		if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 20*time.Millisecond {
			t.Fatalf("%d, %v after %v", n, err, time.Since(start))
		}
		if n, err := p.Read(make([]byte, 10)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("with a deadline that has passed: %d, %v", n, err)
		}
		f.send("late")
		synctest.Wait()
		if n, err := p.Read(make([]byte, 10)); n != 4 || err != nil {
			t.Fatalf("what is there must be read even then: %d, %v", n, err)
		}
	})
}

func TestSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openLot(t, 0)
		f := newFake()
		p := newParking(t, l, f)
		f.send("COMPRESS")
		if _, err := p.Read(make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
		over := newFake()
		if err := p.Switch(over); err != nil {
			t.Fatal(err)
		}
		p.Park(time.Time{})
		over.send("compressed")
		p.expect(Readable)
		if err := p.Switch(f); !errors.Is(err, ErrBusy) {
			t.Fatalf("Switch with bytes unread: %v", err)
		}
		p.drain() // leaves a reader behind
		if err := p.Switch(f); !errors.Is(err, ErrBusy) {
			t.Fatalf("Switch with a reader on the old stream: %v", err)
		}
		over.Close()
		f.Close()
		p.Close()
		if err := p.Switch(f); !errors.Is(err, net.ErrClosed) {
			t.Fatalf("Switch of a closed Spot: %v", err)
		}
	})
}

// From a socket to a layer over it, as COMPRESS does.
func TestSwitchFromSocket(t *testing.T) {
	l := openLot(t, 0)
	client, server := loopback(t)
	p := newParking(t, l, server)
	p.Park(time.Time{})
	send(t, client, "a")
	p.expect(Readable)
	p.drain()
	server.SetReadDeadline(time.Time{}) // the layer's reader must see no time-out
	if err := p.Switch(hidden{server}); err != nil {
		t.Fatal(err)
	}
	p.Park(time.Time{})
	send(t, client, "b")
	p.expect(Readable)
	if got := p.drain(); got != "b" {
		t.Fatalf("read %q", got)
	}
}
