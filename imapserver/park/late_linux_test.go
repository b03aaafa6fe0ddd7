package park

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A late event must not wake the connection that now has the old one's descriptor
// and place, nor the same connection when it has parked again.
func TestLateEvent(t *testing.T) {
	l := openLot(t, 0)
	_, server := loopback(t)
	old := newParking(t, l, server)
	old.Park(time.Time{})
	late, number := old.slot, l.parks.Load()
	old.Wake()
	old.expect(Woken)
	old.Park(time.Time{})
	deliver(l, late, number)
	descriptor := descriptorOf(t, server)

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	old.expectAsleep()
	server.Close() // its descriptor is the lowest that is free
	next, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p := newParking(t, l, next)
	p.Park(time.Time{})
	if p.slot != late || descriptorOf(t, next.(*net.TCPConn)) != descriptor {
		t.Skip("the next connection got another descriptor or place")
	}
	deliver(l, late, number)
	deliver(l, late, 0)
	select {
	case r := <-p.woken:
		t.Fatalf("woken by a late event: %v", r)
	default:
	}
	send(t, client, "x")
	p.expect(Readable)
}

// deliver hands the event of a place and a Park to the poller, as the kernel would.
func deliver(l *Lot, slot, number uint32) {
	l.poller.dispatch([]unix.EpollEvent{{Events: unix.EPOLLIN, Fd: int32(slot), Pad: int32(number)}})
}

func descriptorOf(t *testing.T, c *net.TCPConn) (fd uintptr) {
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(n uintptr) { fd = n }); err != nil {
		t.Fatal(err)
	}
	return fd
}
