package auth

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// ThrottleOptions say how guessing is slowed down. A zero value takes the
// defaults; an exception is made by Disabled.
type ThrottleOptions struct {
	Disabled bool
	// Base is how long an attempt waits after the first failure; each further
	// failure doubles it. Default 500 ms.
	Base time.Duration
	// Max is the longest wait, and the longest queue of attempts: who would
	// wait longer is refused at once. Default 15 s.
	Max time.Duration
	// Window is how long after the last failure a user's or an address's failures are forgotten.
	// Default 15 minutes.
	Window time.Duration
	// Exempt are the addresses whose failures count only against the user,
	// such as those of a webmail server: many people share them.
	Exempt []netip.Prefix
	// Size is how many users, and how many addresses, are watched. Default 20,000.
	Size int
}

// addressAllowance is how many failures an address has for nothing: several
// people may stand behind one.
const addressAllowance = 10

// A throttle makes attempts wait that follow failures, of the same user or
// from the same address. Attempts wait one after the other: opening many
// connections at once gains nothing.
type throttle struct {
	o ThrottleOptions

	mu        sync.Mutex
	users     *table[string, failures]
	addresses *table[netip.Prefix, failures]
	// known are the places from which users have lately logged in. What others
	// do elsewhere to a user's name is not held against them there.
	known *table[place, time.Time]
}

type place struct {
	user    string
	address netip.Prefix
}

// failures are those of one user or address.
type failures struct {
	count int // beyond those that are had for nothing
	last  time.Time
	next  time.Time // when the next attempt has its turn
	guess seal      // the last one
}

func newThrottle(o ThrottleOptions) *throttle {
	if o.Base <= 0 {
		o.Base = 500 * time.Millisecond
	}
	if o.Max <= 0 {
		o.Max = 15 * time.Second
	}
	if o.Window <= 0 {
		o.Window = 15 * time.Minute
	}
	if o.Size <= 0 {
		o.Size = 20_000
	}
	return &throttle{o: o, users: newTable[string, failures](o.Size),
		addresses: newTable[netip.Prefix, failures](o.Size), known: newTable[place, time.Time](o.Size)}
}

// wait returns when an attempt has its turn: nil, ErrThrottled where that is
// too far away, or the context's error. An empty user is judged by address alone.
func (t *throttle) wait(ctx context.Context, user string, remote netip.Addr) error {
	delay, ok := t.reserve(user, t.prefix(remote), time.Now())
	if !ok {
		return ErrThrottled
	}
	if delay <= 0 {
		return nil
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reserve takes the next turn and returns how far away it is.
func (t *throttle) reserve(user string, from netip.Prefix, now time.Time) (time.Duration, bool) {
	if t.o.Disabled {
		return 0, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var queues []*failures
	if f := t.addresses.get(from); f != nil && f.count > 0 {
		queues = append(queues, f)
	}
	if f := t.users.get(user); f != nil && !t.isKnown(user, from, now) {
		queues = append(queues, f)
	}
	turn := now
	for _, f := range queues {
		if now.Sub(f.last) < t.o.Window && f.next.After(turn) {
			turn = f.next
		}
	}
	if turn.Sub(now) > t.o.Max {
		return 0, false
	}
	for _, f := range queues {
		f.next = turn.Add(t.delay(f))
	}
	return turn.Sub(now), true
}

// failed counts a failure. The same guess again does not count: it is a device
// with an old password, and nothing is learnt by it.
func (t *throttle) failed(user string, remote netip.Addr, guess seal) {
	if t.o.Disabled {
		return
	}
	now, from := time.Now(), t.prefix(remote)
	t.mu.Lock()
	defer t.mu.Unlock()
	if user != "" {
		f := t.users.at(user)
		if now.Sub(f.last) < t.o.Window && f.guess == guess {
			f.last = now
			return
		}
		t.count(f, guess, now, 0)
	}
	if from.IsValid() {
		t.count(t.addresses.at(from), guess, now, addressAllowance)
	}
}

func (t *throttle) count(f *failures, guess seal, now time.Time, allowance int) {
	if now.Sub(f.last) >= t.o.Window { // also where there was none
		*f = failures{count: -allowance}
	}
	f.count++
	f.last, f.guess = now, guess
	if next := now.Add(t.delay(f)); next.After(f.next) {
		f.next = next
	}
}

// succeeded forgets the user's failures, not the address's: an attacker may
// have an account too.
func (t *throttle) succeeded(user string, remote netip.Addr) {
	if t.o.Disabled {
		return
	}
	from := t.prefix(remote)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.users.remove(user)
	if from.IsValid() {
		*t.known.at(place{user, from}) = time.Now().Add(t.o.Window)
	}
}

func (t *throttle) isKnown(user string, from netip.Prefix, now time.Time) bool {
	until := t.known.get(place{user, from})
	return until != nil && now.Before(*until)
}

// delay is what one more attempt waits after f.
func (t *throttle) delay(f *failures) time.Duration {
	if f.count <= 0 {
		return 0
	}
	d := t.o.Base
	for range min(f.count-1, 32) {
		if d *= 2; d >= t.o.Max {
			return t.o.Max
		}
	}
	return min(d, t.o.Max)
}

// prefix is what counts as one address: an IPv4 address or an IPv6 /64, which
// is what one customer has. It is invalid for exempt addresses and for what has none (a Unix socket).
func (t *throttle) prefix(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || slices.ContainsFunc(t.o.Exempt, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return netip.Prefix{}
	}
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // the bits fit the address
	return p
}
