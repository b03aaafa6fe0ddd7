package cluster

import (
	"net"
	"sync"
)

// links are the streams that are open, in both directions, with the keys that they rest on.
type links struct {
	mu   sync.Mutex
	open map[*link]struct{}
}

type link struct {
	conn net.Conn
	keys [2]Key // that this end has shown, and the other
}

// add notes a stream. It is closed when it is released, or when one of its keys is taken out. It returns false if one is out already; then
// the stream is closed.
func (l *links) add(conn net.Conn, id *identity, shown, seen Key) (release func(), ok bool) {
	k := &link{conn, [2]Key{shown, seen}}
	l.mu.Lock()
	if l.open == nil {
		l.open = make(map[*link]struct{})
	}
	l.open[k] = struct{}{}
	l.mu.Unlock()
	release = func() {
		conn.Close()
		l.mu.Lock()
		delete(l.open, k)
		l.mu.Unlock()
	}
	// After it is noted: so either this sees that a key is gone, or closeWithout sees the stream.
	if !id.has(shown) || !id.has(seen) {
		release()
		return nil, false
	}
	return release, true
}

// closeWithout closes the streams whose keys id does not have.
func (l *links) closeWithout(id *identity) (closed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k := range l.open {
		if !id.has(k.keys[0]) || !id.has(k.keys[1]) {
			k.conn.Close()
			closed++
		}
	}
	return closed
}
