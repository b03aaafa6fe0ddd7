// Package park keeps connections that wait for their client at the price of
// neither a goroutine nor a buffer.
//
// An IMAP connection is idle nearly all its life. While something happens, one
// goroutine owns it. When nothing more comes, the owner lets go of its buffers,
// calls [Spot.Park] and returns. Bytes or a hang-up from the client, a call of
// [Spot.Wake] or the deadline given to Park then starts exactly one fresh
// goroutine, which owns the connection until it parks again.
//
// # What an owner does
//
//	func (c *conn) run(why park.Reason) { // given to Lot.Spot as wake
//		buf := pool.Get()
//		for {
//			c.spot.SetReadDeadline(time.Now().Add(linger))
//			n, err := c.spot.Read(buf)
//			if errors.Is(err, os.ErrDeadlineExceeded) {
//				break // drained: also what a tls.Conn had buffered
//			}
//			... serve what came; on any other error close spot, then connection, and return
//		}
//		pool.Put(buf)
//		c.spot.Park(deadline)
//	}
//
// Reading until the deadline is what makes parking safe on TLS: a tls.Conn may
// hold records that it has taken from the socket, and no poller sees those. After
// some bytes were read, a deadline that has already passed is enough, and does not
// wait: it brings out all that the tls.Conn holds. It takes nothing from the socket,
// but Park does not miss what is there. An owner that was Woken or Expired and has
// not read anything may park again at once.
//
// # Two ways to wait
//
// On Linux a connection whose bytes come from a socket is watched by an epoll
// set of the Lot's own, armed for one event each time it parks. The descriptor
// is in the runtime's poller as well, which does no harm. Everything else — other
// systems, fake connections of tests, and streams that must never see a time-out
// such as DEFLATE — is waited for by a goroutine that is blocked in Read; it
// stays there across other wake-ups, and is the stream's only reader. Which way
// was taken shows in memory only. Owners read from the Spot, not the connection.
//
// The socket watcher starts with the first socket, so a Lot with nothing but fake
// connections works inside a testing/synctest bubble.
package park
