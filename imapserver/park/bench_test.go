package park

import (
	"net"
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"
)

// settled returns the bytes in use by heap and stacks after collection.
func settled() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}

// BenchmarkMemory tells the bytes that a parked connection costs: all of it (the
// server's end and its tls.Conn), and of that the Spot alone.
func BenchmarkMemory(b *testing.B) {
	const connections = 2000
	cert := selfSigned(b)
	for _, bench := range []struct {
		name string
		tls  bool
		wrap func(net.Conn) net.Conn
	}{
		{"plain/socket", false, variants["socket"]},
		{"plain/ahead", false, variants["ahead"]},
		{"tls/socket", true, variants["socket"]},
		{"tls/ahead", true, variants["ahead"]},
	} {
		b.Run(bench.name, func(b *testing.B) {
			for b.Loop() {
				l := NewLot(0)
				base := settled()
				pairs := loopbacks(b, connections)
				conns := make([]net.Conn, connections)
				clients := make([]net.Conn, connections)
				tcp := settled() - base
				for i, p := range pairs {
					conns[i], clients[i] = p.server, p.client
					if bench.tls {
						// The client's end counts too, so it is dropped.
						_, conns[i] = handshake(b, cert, p.client, p.server)
					}
				}
				before := settled()
				spots := make([]*Spot, connections)
				woken := make(chan struct{}, connections)
				for i, c := range conns {
					spots[i] = l.Spot(bench.wrap(c), func(Reason) { woken <- struct{}{} })
					spots[i].Park(time.Now().Add(30 * time.Minute))
				}
				for _, s := range spots { // as it is after some use
					s.Wake()
					<-woken
					s.Park(time.Now().Add(30 * time.Minute))
				}
				after := settled()
				b.ReportMetric((after-before)/connections, "B/spot")
				b.ReportMetric((after-before+tcp/2+before-base-tcp)/connections, "B/conn")
				b.ReportMetric(0, "ns/op")
				runtime.KeepAlive(clients)
				for i, s := range spots {
					s.Close()
					conns[i].Close()
					pairs[i].client.Close()
				}
				l.Close()
			}
			b.ReportMetric(float64(unsafe.Sizeof(Spot{})), "B/struct")
		})
	}
}

// BenchmarkRoundTrip is one line from a client and one answer, parked in between.
func BenchmarkRoundTrip(b *testing.B) {
	for name, wrap := range variants {
		b.Run(name, func(b *testing.B) {
			l := openLot(b, 0)
			client, server := loopback(b)
			buf := make([]byte, 64)
			var s *Spot
			s = l.Spot(wrap(server), func(Reason) {
				n, err := s.Read(buf)
				if err != nil {
					return
				}
				server.Write(buf[:n])
				s.Park(time.Now().Add(30 * time.Minute))
			})
			s.Park(time.Time{})
			defer s.Close()
			line := []byte("a NOOP\r\n")
			answer := make([]byte, 64)
			b.ReportAllocs()
			for b.Loop() {
				client.Write(line)
				if _, err := client.Read(answer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPark is what one Park and one Wake cost their callers.
func BenchmarkPark(b *testing.B) {
	l := openLot(b, 0)
	_, server := loopback(b)
	woken := make(chan struct{})
	s := l.Spot(server, func(Reason) { woken <- struct{}{} })
	defer s.Close()
	b.ReportAllocs()
	for b.Loop() {
		s.Park(time.Now().Add(30 * time.Minute))
		s.Wake()
		<-woken
	}
}

// BenchmarkFanOut wakes many at once, by Wake and by their clients: the time until the
// last of them has run and parked again.
func BenchmarkFanOut(b *testing.B) {
	const connections = 5000
	for name, wake := range map[string]func(*Spot, net.Conn){
		"wake":  func(s *Spot, _ net.Conn) { s.Wake() },
		"bytes": func(_ *Spot, c net.Conn) { c.Write([]byte("x")) },
	} {
		b.Run(name, func(b *testing.B) {
			l := openLot(b, 0)
			pairs := loopbacks(b, connections)
			spots := make([]*Spot, connections)
			var round sync.WaitGroup
			for i, p := range pairs {
				spots[i] = l.Spot(p.server, func(why Reason) {
					if why == Readable {
						var buf [8]byte
						spots[i].Read(buf[:])
					}
					spots[i].Park(time.Now().Add(30 * time.Minute))
					round.Done()
				})
				spots[i].Park(time.Time{})
			}
			b.ReportAllocs()
			for b.Loop() {
				round.Add(connections)
				for i, s := range spots {
					wake(s, pairs[i].client)
				}
				round.Wait()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/connections, "ns/spot")
			for i, s := range spots {
				s.Close()
				pairs[i].server.Close()
				pairs[i].client.Close()
			}
		})
	}
}
