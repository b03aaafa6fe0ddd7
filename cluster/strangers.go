package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync"
	"time"
)

// maxHandshakes is how many connections there are at most that have not shown a key yet.
const maxHandshakes = 64

// accept takes streams until Close.
func (w *wires) accept(d Delegate) {
	var strangers strangers
	for {
		raw, err := w.listener.Accept()
		if err != nil {
			if w.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			w.log.Warn().Err(err).Msg("cannot accept a stream")
			select { // too many open files, most likely
			case <-time.After(100 * time.Millisecond):
				continue
			case <-w.ctx.Done():
				return
			}
		}
		strangers.add(raw)
		w.work.Go(func() {
			name, s, err := w.admit(raw)
			strangers.remove(raw)
			if err != nil {
				raw.Close()
				w.refused.Add(1)
				w.log.Warn().Err(err).Stringer("remote", raw.RemoteAddr()).Msg("stream refused")
				return
			}
			defer s.Close()
			d.Serve(name, s)
		})
	}
}

// admit lets a stream in whose other end has a key.
func (w *wires) admit(raw net.Conn) (name string, s *secured, err error) {
	config, shown := w.id.server()
	ctx, cancel := context.WithTimeout(w.ctx, handshake)
	defer cancel()
	s, err = w.prove(ctx, raw, tls.Server(raw, config), shown, func(n string) error {
		if n == w.o.Name {
			return errors.New("another node has this one's name")
		}
		name = n
		return CheckName(n)
	})
	return name, s, err
}

// strangers are connections that have not shown a key yet, the oldest first.
type strangers struct {
	mu    sync.Mutex
	conns []net.Conn
}

// add adds a connection. If there are too many, the oldest one is closed: who has a key needs milliseconds, so that many who have none
// keep nobody out.
func (s *strangers) add(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns = append(s.conns, c); len(s.conns) > maxHandshakes {
		s.conns[0].Close()
		s.conns = slices.Delete(s.conns, 0, 1)
	}
}

func (s *strangers) remove(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = slices.DeleteFunc(s.conns, func(other net.Conn) bool { return other == c })
}
