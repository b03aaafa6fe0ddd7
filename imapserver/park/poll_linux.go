package park

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// batch is how many events are taken from the kernel at a time.
const batch = 256

// A poller watches the sockets of parked Spots with an epoll set.
//
// The set's own descriptor is in the runtime's poller, so waiting for it costs no
// thread. An event carries the Spot's place in a table and the number of the Park
// it was armed for, never a descriptor or a pointer: descriptors and places are
// used again, and an event may be late.
type poller struct {
	mu     sync.RWMutex // held for reading while set is used
	file   *os.File     // nil before the first socket, and when closed
	set    int
	closed bool
	spots  []*Spot
	free   []uint32
	loop   sync.WaitGroup
}

// open makes the epoll set. p.mu is held.
func (p *poller) open() error {
	if p.closed {
		return net.ErrClosed
	}
	if p.file != nil {
		return nil
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // else os.NewFile would not use the runtime's poller
		_ = unix.Close(fd)
		return os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(fd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return err
	}
	p.file, p.set = file, fd
	p.loop.Go(func() { p.run(raw) })
	return nil
}

// add begins to watch the socket of s, without arming it. It fails for what is no socket.
func (p *poller) add(s *Spot) error {
	socket := socketOf(s.conn)
	if socket == nil {
		return errors.ErrUnsupported
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.open(); err != nil {
		return err
	}
	if n := len(p.free); n > 0 {
		s.slot, p.free = p.free[n-1], p.free[:n-1]
		p.spots[s.slot] = s
	} else {
		s.slot = uint32(len(p.spots))
		p.spots = append(p.spots, s)
	}
	// Even with no event asked for, a hang-up is reported once; it names Park 0, which is none.
	err := p.control(socket, unix.EPOLL_CTL_ADD, unix.EpollEvent{Events: unix.EPOLLONESHOT, Fd: int32(s.slot)})
	if err != nil {
		p.release(s)
	}
	return err
}

// arm asks for one event, which ends the Park of that number. It comes at once if
// there is something to read already.
func (p *poller) arm(s *Spot, number uint32) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.control(socketOf(s.conn), unix.EPOLL_CTL_MOD, unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT,
		Fd:     int32(s.slot),
		Pad:    int32(number),
	})
}

// remove ends watching.
func (p *poller) remove(s *Spot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// It fails when the connection or the set is closed: then there is nothing to do.
	_ = p.control(socketOf(s.conn), unix.EPOLL_CTL_DEL, unix.EpollEvent{})
	p.release(s)
}

// release frees the place of s. p.mu is held.
func (p *poller) release(s *Spot) {
	p.spots[s.slot] = nil
	p.free = append(p.free, s.slot)
}

// control changes the set's entry of a socket. It holds on to the socket meanwhile,
// so that the descriptor cannot be closed and given to another connection. p.mu is held.
func (p *poller) control(socket syscall.Conn, op int, event unix.EpollEvent) error {
	if p.file == nil || socket == nil {
		return net.ErrClosed
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var errno error
	if err := raw.Control(func(fd uintptr) {
		e := event // keeps event itself off the heap
		errno = unix.EpollCtl(p.set, op, int(fd), &e)
	}); err != nil {
		return err
	}
	return os.NewSyscallError("epoll_ctl", errno)
}

// run wakes Spots until the set is closed.
func (p *poller) run(raw syscall.RawConn) {
	events := make([]unix.EpollEvent, batch)
	for {
		var n int
		var errno error
		err := raw.Read(func(fd uintptr) bool {
			n, errno = unix.EpollWait(int(fd), events, 0)
			return n > 0 || errno != nil && errno != unix.EINTR
		})
		if err != nil || errno != nil {
			return
		}
		p.dispatch(events[:n])
	}
}

// dispatch ends the Parks that events are for, if they last.
func (p *poller) dispatch(events []unix.EpollEvent) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, e := range events {
		if s := p.spots[uint32(e.Fd)]; s != nil {
			s.fire(uint32(e.Pad), Readable)
		}
	}
}

func (p *poller) close() error {
	p.mu.Lock()
	file := p.file
	p.file, p.closed = nil, true
	p.mu.Unlock()
	if file == nil {
		return nil
	}
	err := file.Close() // ends run
	p.loop.Wait()
	return err
}
