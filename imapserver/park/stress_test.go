package park

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A subject is a connection under stress. Its owner is strict: it takes note of bytes
// only when Readable, of Wakes only when Woken, of time only when Expired, so one
// wake-up that is lost cannot be made up for by another.
type subject struct {
	t      testing.TB
	spot   *Spot
	client net.Conn
	server net.Conn

	owned    atomic.Bool
	asked    atomic.Int64 // Wakes
	read     atomic.Int64 // bytes
	woken    atomic.Int64 // Wakes that the owner knows of
	expired  atomic.Int64
	progress chan struct{}
	over     chan struct{}
}

// run is the owner.
func (s *subject) run(why Reason) {
	if !s.owned.CompareAndSwap(false, true) {
		s.t.Error("two owners")
	}
	if why == Woken || s.spot.Pending() {
		s.woken.Store(s.asked.Load())
	}
	switch why {
	case Expired:
		s.expired.Add(1)
	case Readable:
		if err := s.drain(); err != nil {
			if !errors.Is(err, io.EOF) {
				s.t.Error(err)
			}
			s.spot.Close()
			s.server.Close()
			close(s.over)
			return
		}
	}
	select {
	case s.progress <- struct{}{}:
	default:
	}
	s.owned.Store(false)
	s.spot.Park(time.Now().Add(time.Duration(1+rand.IntN(20)) * time.Millisecond))
}

func (s *subject) drain() error {
	buf := make([]byte, 64)
	for {
		linger := time.Duration(rand.IntN(300)) * time.Microsecond // at times none
		if err := s.spot.SetReadDeadline(time.Now().Add(linger)); err != nil {
			return err
		}
		n, err := s.spot.Read(buf)
		s.read.Add(int64(n))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// drive makes events and waits until the owner has seen each.
func (s *subject) drive(rounds int) {
	defer func() {
		s.client.Close()
		select {
		case <-s.over:
		case <-time.After(soon):
			s.t.Error("the hang-up was missed")
		}
	}()
	var sent, expired int64
	for range rounds {
		if kind := rand.IntN(8); kind == 0 {
			expired = s.expired.Load() + 1
		} else {
			var both sync.WaitGroup
			if kind&1 != 0 {
				n := 1 + rand.IntN(100)
				sent += int64(n)
				both.Go(func() {
					if _, err := s.client.Write(make([]byte, n)); err != nil {
						s.t.Error(err)
					}
				})
			}
			if kind&2 != 0 {
				both.Go(func() { s.asked.Add(1); s.spot.Wake() })
			}
			if kind&4 != 0 {
				both.Go(func() { s.asked.Add(1); s.spot.Wake() })
			}
			both.Wait()
		}
		timeout := time.After(soon)
		for s.read.Load() != sent || s.woken.Load() != s.asked.Load() || s.expired.Load() < expired {
			select {
			case <-s.progress:
			case <-timeout:
				s.t.Errorf("lost: read %d of %d bytes, %d of %d Wakes, %d of %d deadlines",
					s.read.Load(), sent, s.woken.Load(), s.asked.Load(), s.expired.Load(), expired)
				return
			}
		}
	}
}

func TestStress(t *testing.T) {
	eachVariant(t, func(t *testing.T, _ *Lot, wrap func(net.Conn) net.Conn) {
		subjects, rounds := 500, 40
		if testing.Short() {
			subjects, rounds = 100, 20
		}
		l := openLot(t, time.Millisecond)
		var all sync.WaitGroup
		defer all.Wait()
		for _, pair := range loopbacks(t, subjects) {
			s := &subject{t: t, client: pair.client, server: wrap(pair.server),
				progress: make(chan struct{}, 1), over: make(chan struct{})}
			s.spot = l.Spot(s.server, s.run)
			s.spot.Park(time.Now().Add(time.Millisecond))
			all.Go(func() { s.drive(rounds) })
		}
	})
}

// Connections come and go while their events are under way, Close races with all that
// wakes, and whoever is the owner ends the connection: one, exactly once.
func TestStressClose(t *testing.T) {
	eachVariant(t, func(t *testing.T, _ *Lot, wrap func(net.Conn) net.Conn) {
		l := openLot(t, time.Millisecond)
		rounds := 300
		if testing.Short() {
			rounds = 30
		}
		var all sync.WaitGroup
		defer all.Wait()
		for range 4 {
			all.Go(func() {
				for range rounds {
					closeRacing(t, l, wrap)
				}
			})
		}
	})
}

func closeRacing(t *testing.T, l *Lot, wrap func(net.Conn) net.Conn) {
	p := loopbacks(t, 1)[0]
	client, server := p.client, p.server
	var ends atomic.Int32
	ended := make(chan struct{}, 3)
	end := func() { ends.Add(1); ended <- struct{}{} }
	spot := make(chan *Spot, 1)
	s := l.Spot(wrap(server), func(Reason) {
		s := <-spot
		spot <- s
		if !s.Park(time.Now().Add(time.Millisecond)) {
			end() // closed by someone else while this was the owner
		}
	})
	spot <- s
	s.Park(time.Now().Add(time.Duration(rand.IntN(2000)) * time.Microsecond))
	var racers sync.WaitGroup
	racers.Go(func() { client.Write([]byte("x")) })
	racers.Go(s.Wake)
	racers.Go(func() {
		if s.Close() {
			end()
		}
	})
	racers.Wait()
	select {
	case <-ended:
	case <-time.After(soon):
		t.Error("nobody owns the closed connection")
	}
	server.Close()
	client.Close()
	if n := ends.Load(); n != 1 {
		t.Errorf("%d owners ended the connection", n)
	}
}

type pair struct{ client, server *net.TCPConn }

// loopbacks returns n TCP connections, which the caller closes.
func loopbacks(t testing.TB, n int) []pair {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	pairs := make([]pair, n)
	for i := range pairs {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		s, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		pairs[i] = pair{c.(*net.TCPConn), s.(*net.TCPConn)}
	}
	return pairs
}
