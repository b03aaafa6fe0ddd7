package memory

import (
	"context"
	"errors"
	"time"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/feedcodec"
)

// A Store is one node's way to a World.
type Store struct {
	w    *World
	node Node

	// Guarded by World.mu.
	closed    bool
	published chan struct{} // closed when this node's last commit is published
}

var (
	_ mailstore.Store      = (*Store)(nil)
	_ mailstore.UIDAdopter = (*Store)(nil)
)

var errClosed = errors.New("the store is closed")

// A tx is one write. What it does cannot be taken back: so each write first
// checks all that could refuse it.
type tx struct {
	w      *World
	op     string
	now    time.Time
	events []mailbox.Event
}

// emit adds an event to the feed and to what is published.
func (t *tx) emit(e mailbox.Event) { t.events = append(t.events, e) }

// read has run look at the world while nothing changes.
func (s *Store) read(ctx context.Context, op string, run func(w *World) error) error {
	if err := s.before(ctx, op); err != nil {
		return err
	}
	if err := s.look(op, run); err != nil {
		return err
	}
	return s.node.Hook(ctx, After, op)
}

func (s *Store) look(op string, run func(w *World) error) error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.closed {
		return unavailable(op, errClosed)
	}
	return run(s.w)
}

// write has run change the world, or return an error and change nothing, and
// publishes the events in the order in which this node committed.
func (s *Store) write(ctx context.Context, op string, run func(t *tx) error) error {
	if err := s.before(ctx, op); err != nil {
		return err
	}
	c, err := s.commit(op, run)
	if err != nil {
		return err
	}
	defer close(c.published)
	if err := s.node.Hook(ctx, After, op); err != nil {
		return &mailbox.Error{Kind: mailbox.Unknown, Op: op, Err: err}
	}
	<-c.turn
	if len(c.events) > 0 {
		s.node.Publish(c.events)
	}
	return nil
}

// A commit is on its way to be published.
type commit struct {
	events    []mailbox.Event
	turn      <-chan struct{} // closed when the commit before is published
	published chan struct{}   // to be closed
}

func (s *Store) commit(op string, run func(t *tx) error) (c commit, err error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.closed {
		return c, unavailable(op, errClosed)
	}
	t := &tx{w: s.w, op: op, now: time.Now()}
	if err := run(t); err != nil {
		return c, err
	}
	for _, e := range t.events {
		s.w.feed = append(s.w.feed, entry{t.now, feedcodec.Encode(e)})
	}
	c = commit{t.events, s.published, make(chan struct{})}
	s.published = c.published
	return c, nil
}

// before begins a call.
func (s *Store) before(ctx context.Context, op string) error {
	if err := s.node.Hook(ctx, Before, op); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return unavailable(op, err)
	}
	return nil
}

// Ready implements mailstore.Store.
func (s *Store) Ready(ctx context.Context) error {
	return s.read(ctx, "Ready", func(*World) error { return nil })
}

// Close implements mailstore.Store. The world stays, and with it the other
// nodes' stores. It may be called twice.
func (s *Store) Close() error {
	s.w.mu.Lock()
	s.closed = true
	last := s.published
	s.w.mu.Unlock()
	<-last
	return nil
}

func unavailable(op string, err error) error {
	return &mailbox.Error{Kind: mailbox.Unavailable, Op: op, Err: err}
}

func refuse(kind mailbox.Kind, op, text string) error {
	return &mailbox.Error{Kind: kind, Op: op, Text: text}
}
