package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/feedcodec"
)

const (
	// retries is how often a transaction is run again after a deadlock, a
	// serialisation failure or the loss of a connection on which nothing was committed.
	retries = 5
	// retryAfter is the longest pause before the first of them; it doubles.
	retryAfter = 5 * time.Millisecond
	// askEvery is how often the outcome of a transaction is asked for.
	askEvery = 50 * time.Millisecond
)

// commitGroup runs requests in one transaction and notes in each what came of
// it.
func (s *Store) commitGroup(group []*request) {
	ctx, cancel := context.WithTimeout(s.ctx, s.o.Timeout)
	defer cancel()
	err := s.try(ctx, group)
	if noPart(err) && s.partFeed(ctx) == nil {
		err = s.try(ctx, group)
	}
	for n := range retries {
		if !transient(err) && !severed(err) {
			break
		}
		pause(ctx, rand.N(retryAfter<<n))
		err = s.try(ctx, group)
	}
	switch {
	case err == nil:
		return
	case len(group) > 1 && stateOf(err) != "" && mailbox.KindOf(failure("", err)) != mailbox.Unavailable:
		// Something in one of them cannot be stored: the others are not to suffer.
		for i := range group {
			s.commitGroup(group[i : i+1])
		}
		return
	}
	for _, r := range group {
		if r.err == nil {
			r.err = failure(r.op, err)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// try runs a group once, on a guess if there is one. On an error that has no
// Kind nothing was committed.
func (s *Store) try(ctx context.Context, group []*request) error {
	if b := s.guessFor(group); b != nil {
		err := s.attempt(ctx, group, b)
		if !errors.Is(err, errNeedsLock) && stateOf(err) != stateStale {
			return err
		}
		if stateOf(err) == stateStale {
			s.known.forget(b.ID)
		}
	}
	return s.attempt(ctx, group, nil)
}

// guessFor returns the mailbox of a group as it was last known, if the group can
// be committed on that alone.
func (s *Store) guessFor(group []*request) *box {
	for _, r := range group {
		if r.reads || r.alone() {
			return nil
		}
	}
	return s.known.guess(group[0].boxes[0])
}

func (s *Store) attempt(ctx context.Context, group []*request, guess *box) (err error) {
	c, err := s.acquire(ctx)
	if err != nil {
		return unavailable(group[0].op, err)
	}
	defer c.Release()
	defer func() {
		if stateOf(err) == stateReadOnly { // another server may be the primary now
			c.Conn().Close(ctx)
		}
	}()
	t := &tx{s: s, ctx: ctx, c: c.Conn(), now: time.Now(), line: s.line.Load()}
	if guess != nil {
		t.guess, t.boxes = true, []*box{guess}
	} else {
		t.begin(group)
	}
	if err := t.runAll(group); err != nil {
		t.rollback()
		return err
	}
	if !slices.ContainsFunc(group, func(r *request) bool { return r.err == nil }) {
		t.rollback()
		return nil
	}
	err = send(ctx, t.c, t.last(), t.guess)
	if _, never := errors.AsType[unsent](err); severed(err) && !never {
		err = s.resolve(t, err)
	}
	if err != nil {
		t.rollback()
		for _, b := range t.boxes {
			s.known.forget(b.ID)
		}
		return err
	}
	for _, b := range t.boxes {
		s.known.committed(b, b.was.modseq)
	}
	return nil
}

// runAll has the requests do their work. What a request that is refused has
// begun is taken back, unless it is alone: then nothing will be committed.
func (t *tx) runAll(group []*request) error {
	for _, r := range group {
		r.err, r.events = nil, nil
		m := t.mark()
		err := r.run(t)
		if err == nil {
			r.events = t.told[m.told:len(t.told):len(t.told)]
			continue
		}
		if _, refused := errors.AsType[*mailbox.Error](err); !refused {
			return err
		}
		r.err = err
		t.back(m)
	}
	return nil
}

// rollback ends a transaction that is still there.
func (t *tx) rollback() {
	if t.c.IsClosed() || t.c.PgConn().TxStatus() == 'I' {
		return
	}
	// Where this fails the connection is closed when it is released.
	_ = t.c.PgConn().Exec(t.ctx, `rollback`).Close()
}

// resolve finds out what became of a transaction whose end was not heard of: nil
// if it is committed. Where it is not, the error is as before if the transaction can be run
// again, and otherwise of kind Unknown.
func (s *Store) resolve(t *tx, cause error) error {
	const op = "commit"
	s.o.Log.Warn().Err(cause).Msg("connection lost during a commit")
	if t.xid == "" {
		// The server may not even have got it yet.
		return unknown(op, cause)
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.o.ResolveTimeout)
	defer cancel()
	for {
		done, committed, err := s.outcome(ctx, t)
		switch {
		case errors.Is(err, errOtherLife):
			return unknown(op, errors.Join(cause, err))
		case err == nil && done && committed:
			return nil
		case err == nil && done:
			return cause
		case ctx.Err() != nil:
			return unknown(op, errors.Join(cause, err))
		}
		pause(ctx, askEvery)
	}
}

// outcome asks the server about a transaction.
func (s *Store) outcome(ctx context.Context, t *tx) (done, committed bool, err error) {
	var status *string
	var line int64
	there := len(t.told) == 0
	ask := []stmt{
		{sql: `SELECT line FROM store`, scan: func(r pgx.Rows) error { return r.Scan(&line) }},
		{sql: `SELECT pg_xact_status($1::text::xid8)`, args: []any{t.xid}, scan: func(r pgx.Rows) error { return r.Scan(&status) }},
	}
	if len(t.told) > 0 {
		// A server that crashed may give a number out again under which it did nothing
		// durable. So it must be our row that has it.
		ask = append(ask, stmt{sql: `SELECT true FROM feed WHERE xid = $1::text::xid8 AND event = $2`, args: []any{t.xid, feedcodec.Encode(t.told[0])},
			scan: func(r pgx.Rows) error { return r.Scan(&there) }})
	}
	err = s.session(ctx, func(c *pgx.Conn) error { return send(ctx, c, ask, false) })
	switch {
	case line != 0 && uint64(line) != t.line:
		// Another server, or another life: its numbers of transactions say nothing, and
		// the feed has begun anew.
		return true, false, errOtherLife
	case stateOf(err) == stateFuture: // a crash has wiped it away
		return true, false, nil
	case err != nil:
		return false, false, err
	case status == nil:
		return false, false, fmt.Errorf("transaction %s is forgotten", t.xid)
	case *status == "committed":
		return true, there, nil
	case *status == "aborted":
		return true, false, nil
	}
	return false, false, nil
}
