package conn_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starling-mail/starling/mailstore/upstream/conn"
)

// TestIdle: what happens is told at once, and DONE ends it. Hours of silence do no harm.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, "* OK [CAPABILITY IMAP4rev1 IDLE] hi\n", step{"IDLE", "+ idling\n"}, step{"DONE", "* 5 EXISTS\n$ OK\n"}, step{"NOOP", "$ OK\n"})
		c := s.dial()
		var seen []conn.Update
		var at []time.Duration
		start := time.Now()
		c.Updates = func(u conn.Update) { seen, at = append(seen, u), append(at, time.Since(start)) }
		for i, text := range []string{"* OK still here\n", "* 3 EX", "ISTS\n* 2 EXPUNGE\n", "* 1 FETCH (UID 3 FLAGS (\\Seen))\n"} {
			time.AfterFunc(time.Duration(i+1)*time.Hour, func() { s.nc.Send(strings.ReplaceAll(text, "\n", "\r\n")) })
		}
		until, cancel := context.WithTimeout(t.Context(), 5*time.Hour)
		defer cancel()
		if err := c.Idle(t.Context(), until); err != nil || time.Since(start) != 5*time.Hour {
			t.Fatalf("%v after %v", err, time.Since(start))
		}
		same(t, "times", at, []time.Duration{time.Hour, 3 * time.Hour, 3 * time.Hour, 4 * time.Hour, 5 * time.Hour})
		if len(seen) != 5 || seen[0].Kind != conn.Notice || seen[1].Num != 3 || seen[3].Row.UID != 3 || seen[4].Num != 5 {
			t.Errorf("updates %+v", seen)
		}
		do(t, c, &conn.Noop{})
	})
}

// TestIdleEndedByUpdate: whoever is told may end it.
func TestIdleEndedByUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, "IDLE", step{"IDLE", "+ idling\n* 5 EXISTS\n"}, step{"DONE", "$ OK\n"})
		until, done := context.WithCancel(t.Context())
		c.Updates = func(conn.Update) { done() }
		if err := c.Idle(t.Context(), until); err != nil {
			t.Fatal(err)
		}
		usable(t, c)
	})
}

// TestIdleRefused, and ended by the server, and ended before it began.
func TestIdleEndsOtherwise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, "", step{"IDLE", "$ BAD what\n"}, step{"IDLE", "+ \n* 5 EXISTS\n$ OK enough\n"}, step{"IDLE", "+ \n"}, step{"DONE", "$ OK\n"})
		if _, ok := c.Idle(t.Context(), t.Context()).(*conn.StatusError); !ok {
			t.Error("a refusal is no error")
		}
		if err := c.Idle(t.Context(), t.Context()); err != nil {
			t.Error(err)
		}
		until, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.Idle(t.Context(), until); err != nil {
			t.Error(err)
		}
		usable(t, c)
	})
}

// TestIdleUnanswered: a server that does not answer DONE is not waited for without end.
func TestIdleUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, "", step{"IDLE", "+ \n"}, step{"DONE", "* 7 EXISTS\n"})
		until, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start := time.Now()
		ended[*conn.NetworkError](t, c, c.Idle(t.Context(), until))
		if d := time.Since(start) - time.Hour; d != conn.DefaultTimeouts().Response {
			t.Errorf("gave up %v after DONE", d)
		}
	})
}

// TestIdleContinuedTwice is a server that says what it must not.
func TestIdleContinuedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, "", step{"IDLE", "+ \n+ \n"})
		ended[*conn.ProtocolError](t, c, c.Idle(t.Context(), t.Context()))
	})
}
