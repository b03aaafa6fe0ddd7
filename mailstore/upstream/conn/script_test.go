package conn_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/imaptest"
	"github.com/starling-mail/starling/mailstore/upstream/conn"
)

// A step is what a scripted server waits for, a line without its tag, and what it says to it. In
// say, $ stands for the tag of the last command, lines end with "\n", and "\x00" hangs up.
type step struct{ want, say string }

// A script is a server that follows its steps.
type script struct {
	t     testing.TB
	nc    *imaptest.Conn
	steps []step
	got   string // of the current line
	tag   string
	lines []string // all that came
}

var tagged = regexp.MustCompile(`^s[0-9]+ `)

// play makes a scripted server. It says greeting first.
func play(t testing.TB, greeting string, steps ...step) *script {
	s := &script{t: t, nc: imaptest.NewConn(), steps: steps}
	s.nc.Tap = s.hear
	s.say(greeting)
	t.Cleanup(func() {
		if len(s.steps) > 0 {
			t.Errorf("the client never sent %q", s.steps[0].want)
		}
	})
	return s
}

func (s *script) say(text string) {
	text, hangUp := strings.CutSuffix(text, "\x00")
	text = strings.NewReplacer("\n", "\r\n", "$ ", s.tag+" ", `"$"`, `"`+s.tag+`"`).Replace(text)
	s.nc.Send(text)
	if hangUp {
		s.nc.HangUp()
	}
}

func (s *script) hear(b []byte) {
	s.got += string(b)
	for {
		line, rest, ok := strings.Cut(s.got, "\r\n")
		if !ok {
			return
		}
		s.got = rest
		if tag := tagged.FindString(line); tag != "" {
			s.tag, line = strings.TrimSpace(tag), line[len(tag):]
		}
		s.lines = append(s.lines, line)
		if len(s.steps) == 0 {
			s.t.Errorf("the client sent %q, nothing was expected", line)
			s.nc.HangUp()
			return
		}
		if s.steps[0].want != line {
			s.t.Errorf("the client sent %q, want %q", line, s.steps[0].want)
		}
		say := s.steps[0].say
		s.steps = s.steps[1:]
		s.say(say)
	}
}

// dialer connects to the script.
func (s *script) dialer() *conn.Dialer {
	return &conn.Dialer{
		Addr: "mail.example.org:143", Security: conn.Plain,
		Limits: conn.DefaultLimits(), Timeouts: conn.DefaultTimeouts(),
		Connect: func(context.Context, string, string) (net.Conn, error) { return s.nc, nil },
	}
}

// dial connects to a scripted server whose greeting tells caps.
func dial(t testing.TB, caps string, steps ...step) *conn.Conn {
	t.Helper()
	return play(t, "* OK [CAPABILITY IMAP4rev1 "+caps+"] ready\n", steps...).dial()
}

func (s *script) dial() *conn.Conn {
	s.t.Helper()
	c, err := s.dialer().Dial(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// usable fails unless the connection goes on.
func usable(t testing.TB, c *conn.Conn) {
	t.Helper()
	if err := c.Err(); err != nil {
		t.Errorf("the connection has ended: %v", err)
	}
}

// do runs commands that must succeed.
func do(t testing.TB, c *conn.Conn, cmds ...conn.Command) {
	t.Helper()
	if err := c.Do(t.Context(), cmds...); err != nil {
		t.Fatal(err)
	}
	usable(t, c)
}

// ended fails unless the connection has ended with an error of type E, which it returns.
func ended[E error](t testing.TB, c *conn.Conn, err error) E {
	t.Helper()
	e, ok := errors.AsType[E](err)
	if !ok {
		t.Fatalf("error is %v (%T), want a %T", err, err, e)
	}
	if c != nil && c.Err() == nil {
		t.Error("the connection has not ended")
	}
	return e
}

func uids(ranges ...imap.UID) (set imap.UIDSet) {
	for i := 0; i < len(ranges); i += 2 {
		set = append(set, imap.UIDRange{Start: ranges[i], Stop: ranges[i+1]})
	}
	return set
}

// same compares by what is printed.
func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}
