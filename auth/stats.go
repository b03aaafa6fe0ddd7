package auth

import "sync/atomic"

// Stats are figures of an Authenticator, and of its Hasher, since they were made.
type Stats struct {
	OK        uint64 // logins
	Cached    uint64 // those of them that needed no hash, because the password was verified lately
	Failed    uint64 // wrong passwords and unknown users
	Disabled  uint64 // right passwords of users who may not log in
	Throttled uint64 // attempts refused unseen
	Errors    uint64 // attempts that nothing could be said about: the store, or the client did not wait
	Delayed   int64  // attempts that wait now because of failures before

	Hashes        uint64 // computed
	HashesRunning int64  // being computed now
	HashesWaiting int64  // that wait now for their turn
}

type counters struct {
	ok, cached, failed, disabled, throttled, errors atomic.Uint64
	delayed                                         atomic.Int64
}

type hashCounters struct {
	done             atomic.Uint64
	running, waiting atomic.Int64
}

// Stats returns the figures as they are now.
func (a *Authenticator) Stats() Stats {
	n, h := &a.counters, &a.hasher.counters
	return Stats{
		OK: n.ok.Load(), Cached: n.cached.Load(), Failed: n.failed.Load(), Disabled: n.disabled.Load(),
		Throttled: n.throttled.Load(), Errors: n.errors.Load(), Delayed: n.delayed.Load(),
		Hashes: h.done.Load(), HashesRunning: h.running.Load(), HashesWaiting: h.waiting.Load(),
	}
}
