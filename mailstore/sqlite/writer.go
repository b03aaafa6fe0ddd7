package sqlite

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
)

// Bounds of the writer.
const (
	queueLen        = 1024                   // requests that wait; beyond, callers wait to be let in
	groupLen        = 256                    // requests in one commit
	groupTime       = 20 * time.Millisecond  // after this no more requests join a group
	reopenEvery     = 500 * time.Millisecond // how often a broken database is tried again
	checkpointPages = 4000                   // of WAL; see BenchmarkAppend
)

// The states of a request.
const (
	waiting int32 = iota
	begun         // its outcome is the database's
	dropped       // its caller left before it began
)

// A request is a caller's wish to write.
type request struct {
	op    string
	by    *Store // whose Publish is told
	run   func(*tx) error
	state atomic.Int32
	done  chan error // holds one

	// Owned by the writer's goroutine.
	events []mailbox.Event
	err    error
}

// A writer owns the one connection that writes.
type writer struct {
	s      *Store
	queue  chan *request
	stop   chan struct{} // closed by close
	exited chan struct{} // closed when the goroutine has ended
	broken atomic.Pointer[error]

	// Owned by the writer's goroutine.
	c       *sqlite3.Conn
	seq     int64 // of the feed's last row
	start   int64 // seq when the transaction began
	commits int64 // store.commits as committed
	dirty   bool  // this group has changed something
	tried   time.Time
}

var errClosed = errors.New("the store is closed")

func newWriter(s *Store) (*writer, error) {
	w := &writer{s: s, queue: make(chan *request, queueLen), stop: make(chan struct{}), exited: make(chan struct{})}
	if err := w.open(); err != nil {
		return nil, err
	}
	go w.loop()
	return w, nil
}

// open connects and reads where the database stands.
func (w *writer) open() error {
	c, err := w.s.connect(w.s.o.WriterCache)
	if err != nil {
		return err
	}
	w.c = c
	if err := w.position(); err != nil {
		w.c = nil
		return errors.Join(err, c.Close())
	}
	return nil
}

// position reads what the last commit left.
func (w *writer) position() error {
	_, err := row(w.c, `SELECT max(coalesce((SELECT max(seq) FROM feed), 0), coalesce((SELECT feed_floor FROM store), 0)),
		coalesce((SELECT commits FROM store), 0)`, func(r *sqlite3.Stmt) {
		w.seq, w.commits = r.Int(0), r.Int(1)
	})
	return err
}

func (w *writer) close() error {
	close(w.stop)
	<-w.exited
	if w.c == nil {
		return nil
	}
	return w.c.Close()
}

// trouble returns why nothing can be written, or nil.
func (w *writer) trouble() error {
	select {
	case <-w.stop:
		return errClosed
	default:
	}
	if err := w.broken.Load(); err != nil {
		return *err
	}
	return nil
}

// write has run executed in the writer's goroutine, in a transaction, and waits
// until it is committed. What run writes to may be read only if there is no error.
func (s *Store) write(ctx context.Context, op string, run func(*tx) error) (err error) {
	defer func() { s.tally.Wrote(err) }()
	w := s.writer
	if err := w.trouble(); err == errClosed {
		return unavailable(op, err)
	}
	r := &request{op: op, by: s, run: run, done: make(chan error, 1)}
	select {
	case w.queue <- r:
	case <-ctx.Done():
		return unavailable(op, ctx.Err())
	case <-w.stop:
		return unavailable(op, errClosed)
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		if r.state.CompareAndSwap(waiting, dropped) {
			return unavailable(op, ctx.Err())
		}
		return unknown(op, ctx.Err())
	case <-w.exited:
	}
	// The writer answered before it ended, or never saw the request.
	select {
	case err := <-r.done:
		return err
	default:
		return unavailable(op, errClosed)
	}
}

func (w *writer) loop() {
	defer close(w.exited)
	for {
		select {
		case r := <-w.queue:
			w.group(r)
		case <-w.stop:
			for { // what was let in is still done
				select {
				case r := <-w.queue:
					w.group(r)
				default:
					return
				}
			}
		}
	}
}

// group commits first and what waits behind it, and replies.
func (w *writer) group(first *request) {
	start := time.Now()
	members, err := w.gather(first)
	if err == nil { // also if all callers had left: the transaction was begun
		err = w.commit()
	}
	w.s.tally.Committed(start)
	if err == nil {
		publish(members)
	}
	for _, r := range members {
		if r.err == nil && err != nil {
			r.err = failure(r.op, err)
		}
		r.done <- r.err
	}
}

// publish tells what the members of a group have done, in order, in one call as
// long as it is for the same Publish.
func publish(members []*request) {
	var events []mailbox.Event
	var to *Store
	for _, r := range members {
		if r.err != nil || len(r.events) == 0 {
			continue
		}
		if r.by != to && len(events) > 0 {
			to.publish(events)
			events = nil
		}
		to, events = r.by, append(events, r.events...)
	}
	if len(events) > 0 {
		to.publish(events)
	}
}

// gather runs requests in one transaction. On an error the transaction is gone
// and with it all that the members did.
func (w *writer) gather(first *request) (members []*request, err error) {
	if err := w.begin(); err != nil {
		if first.state.CompareAndSwap(waiting, begun) {
			members = append(members, first)
		}
		return members, err
	}
	start := time.Now()
	for r := first; r != nil; {
		if r.state.CompareAndSwap(waiting, begun) {
			members = append(members, r)
			if err := w.run(r, start); err != nil {
				return members, err
			}
		}
		r = nil
		if len(members) < groupLen && time.Since(start) < groupTime {
			select {
			case r = <-w.queue:
			default:
			}
		}
	}
	return members, nil
}

// run executes one request in a savepoint of its own. It fails only if the
// transaction did not survive the request's error.
func (w *writer) run(r *request, now time.Time) error {
	if err := w.c.Exec("SAVEPOINT request"); err != nil {
		return w.abandon(err)
	}
	t := &tx{w: w, c: w.c, s: w.s, now: now}
	seq, dirty := w.seq, w.dirty
	err := r.run(t)
	if err == nil {
		if err = w.c.Exec("RELEASE request"); err == nil {
			r.events = t.events
			return nil
		}
	}
	r.err = failure(r.op, err)
	w.seq, w.dirty = seq, dirty
	// After some errors SQLite has rolled back everything by itself.
	if !w.c.InTransaction() {
		return w.abandon(err)
	}
	if err := w.c.Exec("ROLLBACK TO request"); err != nil {
		return w.abandon(err)
	}
	if err := w.c.Exec("RELEASE request"); err != nil {
		return w.abandon(err)
	}
	return nil
}
