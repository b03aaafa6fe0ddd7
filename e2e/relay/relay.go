// Package relay is a bad network between nodes on one machine: what goes through is late, and what may be (UDP) is put out of
// order and repeated.
package relay

import (
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Faults say how bad a network is.
type Faults struct {
	Delay     time.Duration // of every packet, and of every piece of a TCP stream
	Reorder   float64       // share of the packets that take up to three times as long, and are overtaken
	Duplicate float64       // share of the packets that come twice
}

// A Relay listens on one port, UDP and TCP, and passes what comes on to another address. It passes packets in one
// direction: who answers must know another address than the one they came from. It passes TCP both ways.
type Relay struct {
	faults Faults
	to     string
	target *net.UDPAddr
	tcp    net.Listener
	udp    *net.UDPConn
	flying atomic.Int64 // packets that are late
	wg     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool // nil: closed
}

// Bounds of what a Relay holds back.
const (
	maxPackets = 16 << 10
	maxPieces  = 256 // of one direction of a stream, each of 64 KiB at most
)

// Listen makes a relay to an address, host:port with a numeric host. It listens on a free port of a numeric
// host.
func Listen(host, to string, f Faults) (*Relay, error) {
	target, err := net.ResolveUDPAddr("udp", to)
	if err != nil {
		return nil, err
	}
	r := &Relay{faults: f, to: to, target: target, conns: map[net.Conn]bool{}}
	for range 20 { // a port that is free for TCP need not be for UDP
		if r.tcp, err = net.Listen("tcp", net.JoinHostPort(host, "0")); err != nil {
			return nil, err
		}
		at := r.tcp.Addr().(*net.TCPAddr)
		if r.udp, err = net.ListenUDP("udp", &net.UDPAddr{IP: at.IP, Port: at.Port}); err == nil {
			r.wg.Go(r.packets)
			r.wg.Go(r.streams)
			return r, nil
		}
		r.tcp.Close()
	}
	return nil, err
}

// Addr is where the relay listens, host:port.
func (r *Relay) Addr() string { return r.tcp.Addr().String() }

// Close ends the relay with all that goes through it.
func (r *Relay) Close() error {
	r.mu.Lock()
	conns := r.conns
	r.conns = nil
	r.mu.Unlock()
	err := errors.Join(r.tcp.Close(), r.udp.Close())
	for c := range conns {
		c.Close()
	}
	r.wg.Wait()
	return err
}

// packets passes UDP on.
func (r *Relay) packets() {
	buf := make([]byte, 64<<10)
	for {
		n, err := r.udp.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP message about an earlier one: nobody listens there now
		}
		copies := 1
		if rand.Float64() < r.faults.Duplicate {
			copies = 2
		}
		for range copies {
			late := r.faults.Delay
			if rand.Float64() < r.faults.Reorder {
				late += time.Duration(rand.Int64N(2*int64(r.faults.Delay) + 1))
			}
			if r.flying.Add(1) > maxPackets {
				r.flying.Add(-1)
				continue
			}
			packet := append([]byte(nil), buf[:n]...)
			time.AfterFunc(late, func() {
				r.flying.Add(-1)
				r.udp.WriteToUDP(packet, r.target) // a packet that is lost is one more fault
			})
		}
	}
}

// streams passes TCP on.
func (r *Relay) streams() {
	for {
		from, err := r.tcp.Accept()
		if err != nil {
			return
		}
		r.wg.Go(func() {
			defer from.Close()
			to, err := net.Dial("tcp", r.to)
			if err != nil {
				return
			}
			defer to.Close()
			if !r.hold(from, to) {
				return
			}
			defer r.release(from, to)
			var both sync.WaitGroup
			both.Go(func() { r.stream(to, from) })
			both.Go(func() { r.stream(from, to) })
			both.Wait()
		})
	}
}

// hold has Close end the connections; it says whether that was not too late.
func (r *Relay) hold(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range conns {
		if r.conns == nil {
			return false
		}
		r.conns[c] = true
	}
	return true
}

func (r *Relay) release(conns ...net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range conns {
		delete(r.conns, c)
	}
}

// stream passes one direction on, each piece when its time has come. Then it closes both ends.
func (r *Relay) stream(dst, src net.Conn) {
	type piece struct {
		b   []byte
		due time.Time
	}
	pieces := make(chan piece, maxPieces)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(pieces)
		buf := make([]byte, 64<<10)
		for {
			n, err := src.Read(buf)
			if n > 0 {
				pieces <- piece{append([]byte(nil), buf[:n]...), time.Now().Add(r.faults.Delay)}
			}
			if err != nil {
				return
			}
		}
	})
	var err error
	for p := range pieces {
		if err != nil {
			continue // src is closed and ends
		}
		<-time.After(time.Until(p.due))
		if _, err = dst.Write(p.b); err != nil {
			src.Close()
		}
	}
	reading.Wait()
	dst.Close()
	src.Close()
}
