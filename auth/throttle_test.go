package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// attempt waits for its turn and says how long that took.
func attempt(t *testing.T, th *throttle, user, remote string) time.Duration {
	t.Helper()
	start := time.Now()
	if err := th.wait(t.Context(), user, netip.MustParseAddr(remote)); err != nil {
		t.Fatalf("%s from %s: %v", user, remote, err)
	}
	return time.Since(start)
}

func fail(th *throttle, user, remote string, guess byte) {
	th.failed(user, netip.MustParseAddr(remote), seal{guess})
}

func TestUserDelayGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(ThrottleOptions{Base: time.Second, Max: 5 * time.Second})
		for i, want := range []time.Duration{0, 1, 2, 4, 5, 5} {
			// Each from elsewhere: it is the user who is watched.
			remote := fmt.Sprintf("192.0.2.%d", i)
			if got := attempt(t, th, "alice", remote); got != want*time.Second {
				t.Errorf("attempt %d waited %v, want %vs", i, got, want)
			}
			fail(th, "alice", remote, byte(i))
		}
		if got := attempt(t, th, "bob", "192.0.2.100"); got != 0 {
			t.Errorf("another user waited %v", got)
		}
		th.succeeded("alice", netip.MustParseAddr("192.0.2.101"))
		if got := attempt(t, th, "alice", "192.0.2.102"); got != 0 {
			t.Errorf("after a success: %v", got)
		}
	})
}

func TestWindowForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(ThrottleOptions{Base: time.Second, Max: time.Hour, Window: time.Minute})
		for i := range 5 {
			fail(th, "alice", "192.0.2.1", byte(i))
		}
		time.Sleep(time.Minute)
		if got := attempt(t, th, "alice", "192.0.2.1"); got != 0 {
			t.Errorf("waited %v", got)
		}
		fail(th, "alice", "192.0.2.1", 9)
		if got := attempt(t, th, "alice", "192.0.2.1"); got != time.Second {
			t.Errorf("waited %v: counting did not begin anew", got)
		}
	})
}

// Attempts at one time get one turn after the other, and those whose turn is
// too far away none.
func TestAttemptsQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(ThrottleOptions{Base: time.Second, Max: 3 * time.Second})
		fail(th, "alice", "192.0.2.1", 1)
		start := time.Now()
		var mu sync.Mutex
		turns := map[time.Duration]int{}
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				err := th.wait(t.Context(), "alice", netip.MustParseAddr("192.0.2.1"))
				mu.Lock()
				defer mu.Unlock()
				if errors.Is(err, ErrThrottled) {
					turns[-1]++
				} else {
					turns[time.Since(start)]++
				}
			})
		}
		all.Wait()
		for at, n := range map[time.Duration]int{time.Second: 1, 2 * time.Second: 1, 3 * time.Second: 1, -1: 7} {
			if turns[at] != n {
				t.Errorf("%d attempts at %v, want %d: %v", turns[at], at, n, turns)
			}
		}
	})
}

func TestAddressIsWatched(t *testing.T) {
	for _, c := range []struct {
		attacker, neighbour, other string
	}{
		{"192.0.2.1", "192.0.2.1", "192.0.2.2"},
		{"::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"},
		{"2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"}, // one /64
	} {
		synctest.Test(t, func(t *testing.T) {
			th := newThrottle(ThrottleOptions{Base: time.Second})
			for i := range addressAllowance {
				if got := attempt(t, th, fmt.Sprint("user", i), c.attacker); got != 0 {
					t.Errorf("attempt %d waited %v", i, got)
				}
				fail(th, fmt.Sprint("user", i), c.attacker, byte(i))
			}
			if got := attempt(t, th, "x", c.attacker); got != 0 {
				t.Errorf("within the allowance: %v", got)
			}
			fail(th, "x", c.attacker, 100)
			th.succeeded("own", netip.MustParseAddr(c.attacker)) // does not help
			if got := attempt(t, th, "y", c.neighbour); got != time.Second {
				t.Errorf("the neighbour waited %v", got)
			}
			if got := attempt(t, th, "z", c.attacker); got != time.Second {
				t.Errorf("after them: %v", got)
			}
			fail(th, "z", c.attacker, 101)
			if got := attempt(t, th, "z", c.attacker); got != 2*time.Second {
				t.Errorf("after one more failure: %v", got)
			}
			if got := attempt(t, th, "y", c.other); got != 0 {
				t.Errorf("the other waited %v", got)
			}
		})
	}
}

func TestExemptAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(ThrottleOptions{Exempt: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
		for i := range 100 {
			fail(th, fmt.Sprint("user", i), "127.0.0.1", byte(i))
			th.failed(fmt.Sprint("user", i), netip.Addr{}, seal{byte(i)}) // a Unix socket
		}
		if got := attempt(t, th, "alice", "127.0.0.1"); got != 0 {
			t.Errorf("waited %v", got)
		}
	})
}

// A device with an old password repeats itself: that costs its user little and
// its neighbours nothing.
func TestRepeatedGuessCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(ThrottleOptions{Base: time.Second})
		for range 50 {
			if got := attempt(t, th, "alice", "192.0.2.1"); got > time.Second {
				t.Fatalf("waited %v", got)
			}
			fail(th, "alice", "192.0.2.1", 1)
		}
		if got := attempt(t, th, "bob", "192.0.2.1"); got != 0 {
			t.Errorf("a neighbour waited %v", got)
		}
	})
}

// Guessing from elsewhere does not lock a user out of where they are at home.
func TestKnownPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(ThrottleOptions{Base: time.Second, Window: time.Hour})
		th.succeeded("alice", netip.MustParseAddr("2001:db8::1"))
		for i := range 100 {
			fail(th, "alice", fmt.Sprintf("192.0.2.%d", i), byte(i))
		}
		if got := attempt(t, th, "alice", "2001:db8::2"); got != 0 {
			t.Errorf("at home: waited %v", got)
		}
		if got := attempt(t, th, "alice", "203.0.113.1"); got == 0 {
			t.Error("elsewhere: did not wait")
		}
		if got := attempt(t, th, "bob", "2001:db8::2"); got != 0 {
			t.Errorf("bob waited %v", got)
		}
		time.Sleep(time.Hour)
		fail(th, "alice", "192.0.2.200", 200)
		if got := attempt(t, th, "alice", "2001:db8::2"); got == 0 {
			t.Error("a place is known for ever")
		}
	})
}

func TestWaitEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, func(o *Options) { o.Throttle.Base = time.Hour; o.Throttle.Max = time.Hour })
		if err := s.login(t, "wrong"); !errors.Is(err, ErrCredentials) {
			t.Fatal(err)
		}
		asked := s.store.count()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := s.Login(ctx, testRemote, "alice", "secret"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if s.store.count() != asked {
			t.Error("the store was asked before the attempt's turn")
		}
		if _, err := s.Login(t.Context(), testRemote, "alice", "secret"); !errors.Is(err, ErrThrottled) {
			t.Error(err) // the turn given up is not given to another
		}
	})
}

func TestThrottleIsBounded(t *testing.T) {
	th := newThrottle(ThrottleOptions{Size: 10})
	for i := range 1000 {
		user, remote := fmt.Sprint(i), netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		th.failed(user, remote, seal{byte(i)})
		th.succeeded(user+"x", remote)
	}
	if n := len(th.users.entries) + len(th.addresses.entries) + len(th.known.entries); n > 30 {
		t.Errorf("%d entries", n)
	}
}
