package postgres

import (
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// A relay stands between a store and its server. It counts round trips, and
// loses what it is told to lose.
type relay struct {
	ln    net.Listener
	to    string
	trips atomic.Int64 // times that a client spoke after its server had
	tasks sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	// lose is asked about each piece that the server sends; what it says is lost,
	// and with it the connection.
	lose func(piece []byte) bool
	shut bool // new connections are refused
	// stuck, if set, holds all that is sent until it is closed.
	stuck chan struct{}
}

// between starts a relay to the server of a URL and returns it with the URL
// through it.
func between(t testing.TB, target string) (*relay, string) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{ln: ln, to: u.Host, conns: make(map[net.Conn]bool)}
	r.tasks.Go(r.accept)
	t.Cleanup(func() {
		ln.Close()
		r.cut()
		r.tasks.Wait()
	})
	u.Host = ln.Addr().String()
	return r, u.String()
}

func (r *relay) accept() {
	for {
		c, err := r.ln.Accept()
		if err != nil {
			return
		}
		s, err := net.Dial("tcp", r.to)
		r.mu.Lock()
		if err != nil || r.shut {
			c.Close()
			if err == nil {
				s.Close()
			}
			r.mu.Unlock()
			continue
		}
		r.conns[c], r.conns[s] = true, true
		r.mu.Unlock()
		var spoken atomic.Bool // the server, since its client last did
		r.tasks.Go(func() { r.copy(s, c, func([]byte) bool { r.count(&spoken); return false }) })
		r.tasks.Go(func() {
			r.copy(c, s, func(b []byte) bool {
				spoken.Store(true)
				r.mu.Lock()
				lose := r.lose
				r.mu.Unlock()
				return lose != nil && lose(b)
			})
		})
	}
}

func (r *relay) count(spoken *atomic.Bool) {
	if spoken.Swap(false) {
		r.trips.Add(1)
	}
}

// copy passes on what src sends until either ends or lose says so, and closes
// both.
func (r *relay) copy(dst, src net.Conn, lose func([]byte) bool) {
	defer func() {
		dst.Close()
		src.Close()
		r.mu.Lock()
		delete(r.conns, dst)
		delete(r.conns, src)
		r.mu.Unlock()
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := src.Read(buf)
		r.mu.Lock()
		stuck := r.stuck
		r.mu.Unlock()
		if stuck != nil {
			<-stuck
		}
		if err != nil || lose(buf[:n]) {
			return
		}
		if _, err := dst.Write(buf[:n]); err != nil {
			return
		}
	}
}

// cut breaks all connections.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		c.Close()
	}
}

// hold keeps all that is sent from coming through, until release is called.
func (r *relay) hold() (release func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	stuck := make(chan struct{})
	r.stuck = stuck
	return func() {
		r.mu.Lock()
		r.stuck = nil
		r.mu.Unlock()
		close(stuck)
	}
}

// losing sets what is lost from now on.
func (r *relay) losing(lose func([]byte) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lose = lose
}
