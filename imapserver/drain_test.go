package imapserver_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/starling-mail/starling/imapserver"
)

// P9: clients are sent away in groups, those that wait first; a command in progress is
// answered before its client goes, and what was pipelined behind it is not begun.
func TestDrain(t *testing.T) {
	const waiting, group = 25, 10
	settings := imapserver.DefaultSettings()
	settings.ParkAfter = time.Millisecond
	h := newHost(t, settings)
	plain, secure := h.listen(imapserver.ListenerOptions{}), h.listen(imapserver.ListenerOptions{ImplicitTLS: true})
	// One is in the middle of a command from before the others come to after they have gone.
	busy := h.login(plain)
	busy.ok("SELECT INBOX")
	busy.send("x APPEND INBOX {20}\r\n")
	busy.expect("+ ")
	busy.send("Subject: x\r\n")
	var clients []*client
	for i := range waiting {
		c := (*client)(nil)
		switch {
		case i%5 == 0:
			c = h.loginTLS(secure)
		case i%5 == 1:
			c = h.login(plain).compress()
		default:
			c = h.login(plain)
		}
		if i%5 > 2 {
			c.ok("SELECT INBOX") // waits between commands
		} else {
			c.idle()
		}
		clients = append(clients, c)
	}
	left := func() int64 {
		s := h.server.Stats()
		return s.NotAuthenticated + s.Authenticated + s.Selected + s.Idle
	}
	h.await("all but one are parked", func() bool { return h.server.Stats().Working == 1 })

	reports, next, done := make(chan int), make(chan struct{}), make(chan error)
	go func() {
		done <- h.server.Drain(t.Context(), imapserver.DrainOptions{Group: group, Every: time.Millisecond}, func(left int) {
			reports <- left
			<-next
		})
	}()
	for _, want := range []int64{16, 6, 1} {
		<-reports
		h.await(fmt.Sprint(want, " are left"), func() bool { return left() == want })
		next <- struct{}{}
	}
	for i, c := range clients {
		if lines := strings.Join(c.gone(), "\n"); !strings.Contains(lines, "* BYE [UNAVAILABLE]") {
			t.Errorf("client %d: %q", i, lines)
		}
	}
	<-reports // the busy one is told
	next <- struct{}{}
	busy.send("12345678\r\nz DELETE Sent\r\n")
	lines := busy.gone()
	if len(lines) < 2 || !strings.HasPrefix(lines[len(lines)-2], "x OK ") || !strings.HasPrefix(lines[len(lines)-1], "* BYE [UNAVAILABLE]") {
		t.Errorf("the busy client was told %q", lines)
	}
	if n := <-reports; n != 0 {
		t.Errorf("in the end %d are left", n)
	}
	next <- struct{}{}
	if err := <-done; err != nil {
		t.Error(err)
	}
	h.login(plain).ok("NOOP") // who comes later is served: closing listeners is another's affair
}

// TestDrainEnds: when its context ends, who was not told yet stays.
func TestDrainEnds(t *testing.T) {
	h := newHost(t, imapserver.DefaultSettings())
	addr := h.listen(imapserver.ListenerOptions{})
	one, two := h.login(addr), h.login(addr)
	h.await("both are parked", func() bool { return h.server.Stats().Working == 0 })
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("stay")
	err := h.server.Drain(ctx, imapserver.DrainOptions{Group: 1, Every: time.Hour}, func(int) { cancel(why) })
	if err != why {
		t.Error(err)
	}
	h.await("one is left", func() bool { return h.server.Stats().Authenticated == 1 })
	one.send("a NOOP\r\n")
	if first, err := one.read(); err == nil && strings.HasPrefix(first, "a OK") {
		one, two = two, one
	} else {
		two.send("a NOOP\r\n")
		two.expect("a OK")
	}
	if lines := one.gone(); len(lines) > 1 {
		t.Errorf("who was sent away was told %q", lines)
	}
}

// await waits until f is true.
func (h *host) await(what string, f func() bool) {
	h.t.Helper()
	end := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-end:
			h.t.Fatalf("in vain: %s", what)
		}
	}
}

// TestDrainOfArriving: who was accepted and has not sent a PROXY header yet is waited for.
func TestDrainOfArriving(t *testing.T) {
	h := newHost(t, imapserver.DefaultSettings())
	proxied := h.dial(h.listen(imapserver.ListenerOptions{ProxyFrom: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}))
	served := h.dial(h.listen(imapserver.ListenerOptions{}))
	served.expect("* OK")
	h.await("the silent one is accepted", func() bool { return h.server.Stats().Arriving == 1 })
	done := make(chan error)
	lefts := make(chan int, 100)
	go func() {
		done <- h.server.Drain(t.Context(), imapserver.DrainOptions{Group: 10, Every: time.Millisecond}, func(left int) { lefts <- left })
	}()
	if n := <-lefts; n != 2 {
		t.Errorf("%d are left, want 2", n)
	}
	if lines := served.gone(); !bye(lines) {
		t.Errorf("%q", lines)
	}
	proxied.send("PROXY TCP4 192.0.2.1 192.0.2.2 1 143\r\n")
	if lines := proxied.gone(); !bye(lines) {
		t.Errorf("%q", lines)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
