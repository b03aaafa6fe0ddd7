package conn

import (
	"net"
	"sync"
	"time"
)

// pace is how many octets have one write time-out between them.
const pace = 32 << 10

// A socket is a network connection on which every read and write has its time.
type socket struct {
	net.Conn
	write time.Duration // for pace octets, 0: for ever

	mu   sync.Mutex
	wait time.Duration // of silence before a Read fails, 0: none does
}

// patience says how long the Read in progress, and those to come, may wait.
func (s *socket) patience(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wait = d
	s.arm()
}

// arm is called with mu held. The error of a closed connection comes from Read as well.
func (s *socket) arm() {
	var t time.Time
	if s.wait > 0 {
		t = time.Now().Add(s.wait)
	}
	_ = s.SetReadDeadline(t)
}

func (s *socket) Read(p []byte) (int, error) {
	s.mu.Lock()
	s.arm()
	s.mu.Unlock()
	return s.Conn.Read(p)
}

func (s *socket) Write(p []byte) (int, error) {
	written := 0
	for {
		if s.write > 0 {
			if err := s.SetWriteDeadline(time.Now().Add(s.write)); err != nil {
				return written, err
			}
		}
		n, err := s.Conn.Write(p[written:min(written+pace, len(p))])
		written += n
		if err != nil || written == len(p) {
			return written, err
		}
	}
}
