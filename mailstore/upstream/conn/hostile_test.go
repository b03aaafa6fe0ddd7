package conn_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/mailstore/upstream/conn"
)

// TestGreeting: what may come first, and what may not.
func TestGreeting(t *testing.T) {
	for greeting, want := range map[string]string{
		"* OK [CAPABILITY IMAP4rev1 IDLE] hi\n": "",
		"* OK\n":                                "asks",
		"* PREAUTH [CAPABILITY IMAP4rev1] hi\n": "in",
		"* BYE [UNAVAILABLE] later\n":           "*conn.ByeError",
		"* NO no\n":                             "*conn.ProtocolError",
		"+ hi\n":                                "*conn.ProtocolError",
		"HTTP/1.1 400 Bad Request\n":            "*conn.ProtocolError",
		"\x00":                                  "*conn.NetworkError",
		"* OK [CAPABILITY IMAP4rev1\n":          "*conn.ProtocolError",
		strings.Repeat("x", 2<<20):              "*conn.ProtocolError",
	} {
		var steps []step
		if want == "asks" {
			steps = []step{{"CAPABILITY", "* CAPABILITY IMAP4REV1 IDLE  \n$ OK\n"}}
		}
		if want == "*conn.ProtocolError" {
			greeting += "\x00"
		}
		c, err := play(t, greeting, steps...).dialer().Dial(t.Context())
		switch want {
		case "", "asks":
			if err != nil || c.LoggedIn() || !c.Caps().Has(imap.CapIdle) || !c.Caps().Has(imap.CapIMAP4rev1) {
				t.Errorf("%.40q: %v", greeting, err)
			}
		case "in":
			if err != nil || !c.LoggedIn() {
				t.Errorf("%.40q: %v", greeting, err)
			}
		default:
			if got := fmt.Sprintf("%T", err); got != want || strings.Contains(want, "Bye") && conn.CodeOf(err) != imap.ResponseCodeUnavailable {
				t.Errorf("%.40q: %v (%s), want a %s", greeting, err, got, want)
			}
		}
	}
}

// TestBroken: what ends a connection, in the middle of a search.
func TestBroken(t *testing.T) {
	limits := conn.Limits{Response: 256 << 10, Value: 16 << 10, Memory: 1 << 20, Depth: 50, Items: 100, Skip: 128 << 10}
	for name, say := range map[string]string{
		"garbage":                "\xff\xfe\xfd\n",
		"unknown tag":            "x9 OK\n",
		"tag of nobody":          "s99 OK\n",
		"neither OK nor NO":      "$ MAYBE\n",
		"continuation":           "+ go on\n",
		"line without end":       "* SEARCH " + strings.Repeat("1 ", int(limits.Response)),
		"unknown without end":    "* XYZ " + strings.Repeat("1 ", int(limits.Skip)),
		"literal of nobody":      "* XYZ {99999999}\n",
		"endless digits":         "* SEARCH " + strings.Repeat("1", 100),
		"UID 0":                  "* SEARCH 0\n",
		"no number":              "* 12\n",
		"message 0":              "* 0 EXPUNGE\n",
		"number too large":       "* 4294967296 EXISTS\n",
		"negative literal":       "* 1 FETCH (BODY[] {-1}\n",
		"literal beyond 63 bits": "* 1 FETCH (BODY[] {9223372036854775808}\n",
		"huge body of nobody":    "* 1 FETCH (BODY[] {9223372036854775807}\n",
		"items without end":      "* 1 FETCH (" + strings.Repeat("UID 1 ", limits.Items+1) + ")\n",
		"no list":                "* 1 FETCH UID 1\n",
		"quoted without end":     "* 1 FETCH (ENVELOPE (\"a\n",
		"NUL":                    "* 1 FETCH (ENVELOPE (\"a\x00\"))\n",
		"too many closing":       "* 1 FETCH (ENVELOPE ))\n",
		"word without end":       "* " + strings.Repeat("A", limits.Value+1),
		"code without end":       "* OK [X " + strings.Repeat("A", limits.Value+1),
		"vanished of what":       "* VANISHED (LATER) 1\n",
		"vanished with holes":    "* VANISHED 1,,2\n",
		"modseq of a letter":     "* 1 FETCH (MODSEQ (a))\n",
		"flags without end":      "* 1 FETCH (FLAGS (" + strings.Repeat("abc ", limits.Value),
		"section without end":    "* 1 FETCH (BODY[" + strings.Repeat("1.", limits.Value),
		"nul":                    "\x00\x00",
		"preauth":                "* PREAUTH hello\n",
		"text behind":            "* 3 EXISTS more\n",
	} {
		t.Run(name, func(t *testing.T) {
			d := play(t, "* OK [CAPABILITY IMAP4rev1] hi\n", step{"UID SEARCH ALL", say + "\x00"}).dialer()
			d.Limits = limits
			c, err := d.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			ended[*conn.ProtocolError](t, c, c.Do(t.Context(), &conn.Search{Key: wire.SearchAnd{}}))
		})
	}
}

// TestBrokenCode: codes are part of what a command relies on.
func TestBrokenCode(t *testing.T) {
	for _, code := range []string{"UIDVALIDITY x", "UIDVALIDITY 4294967296", "UIDVALIDITY", "HIGHESTMODSEQ -1", "PERMANENTFLAGS (a", "MAILBOXID F"} {
		c := dial(t, "", step{`EXAMINE "a"`, "* OK [" + code + "] x\n$ OK\n"})
		ended[*conn.ProtocolError](t, c, c.Do(t.Context(), &conn.Select{Mailbox: "a", ReadOnly: true}))
	}
}

// TestAnsweredTwice: a reply to what was answered already.
func TestAnsweredTwice(t *testing.T) {
	c := dial(t, "", step{"NOOP", "$ OK\n$ OK\n"}, step{"NOOP", ""})
	ended[*conn.ProtocolError](t, c, c.Do(t.Context(), &conn.Noop{}, &conn.Noop{}))
}

// TestTooBig: what is too large or too deep is left out of a message, and only that.
func TestTooBig(t *testing.T) {
	limits := conn.DefaultLimits()
	for _, value := range []string{
		strings.Repeat("(", limits.Depth+1) + strings.Repeat(")", limits.Depth+1),
		`("` + strings.Repeat("a", limits.Value) + `")`,
		"({1100000}\n" + strings.Repeat("a", 1_100_000) + ")",
	} {
		c := dial(t, "", step{"UID FETCH 1 (X)", "* 1 FETCH (BODYSTRUCTURE " + value + " UID 1 ENVELOPE (a))\n$ OK\n"})
		m := c.Fetch(t.Context(), conn.Fetch{UIDs: uids(1, 1), Items: "X"})
		m.Next()
		if i := m.Item(); !i.TooBig || i.Raw != nil {
			t.Errorf("%.20q: %v, %d octets", value, i.TooBig, len(i.Raw))
		}
		if i := m.Item(); i.Number != 1 {
			t.Errorf("%.20q: %+v", value, i)
		}
		if i := m.Item(); i.TooBig || string(i.Raw) != "(a)" {
			t.Errorf("%.20q: %+v", value, i)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestStartTLSIsNotTricked by somebody who sits in between.
func TestStartTLSIsNotTricked(t *testing.T) {
	for name, c := range map[string]struct {
		greeting string
		steps    []step
		network  bool
	}{
		"not offered":         {"* OK [CAPABILITY IMAP4rev1] hi\n", nil, true},
		"refused":             {"* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\n", []step{{"STARTTLS", "$ BAD no\n"}}, true},
		"PREAUTH":             {"* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] hi\n", nil, false},
		"sent before TLS":     {"* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\n", []step{{"STARTTLS", "$ OK go\n* CAPABILITY X\n"}}, false},
		"continued before it": {"* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\n", []step{{"STARTTLS", "+ go\n"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := play(t, c.greeting, c.steps...)
			d := s.dialer()
			d.Security = conn.StartTLS
			cn, err := d.Dial(t.Context())
			_, protocol := errors.AsType[*conn.ProtocolError](err)
			if cn != nil || err == nil || protocol == c.network || !s.nc.Closed() {
				t.Errorf("%v, closed %v", err, s.nc.Closed())
			}
		})
	}
}

// TestOdd: what is wrong, or new, but does no harm.
func TestOdd(t *testing.T) {
	limits := conn.DefaultLimits()
	for name, c := range map[string]struct {
		say     string
		skipped uint64
	}{
		"unknown response":          {"* XNEW (a {3}\n)\n b) \"x\n* 7 XOLD a\n", 2},
		"text with a literal in it": {"* OK see {9}\n", 0},
		"NO and BAD for everybody":  {"* NO disk is full\n* BAD what\n", 0},
		"no text":                   {"* OK\n* OK [ALERT]\n", 0},
		"lone line feeds":           {"* 3 EXISTS\r* 4 EXISTS\n", 0},
		"list nobody asked for":     {"* LIST () \"/\" x\n* STATUS x (MESSAGES 1)\n", 2},
		"deep value":                {"* 1 FETCH (BODYSTRUCTURE " + strings.Repeat("(", 2*limits.Depth) + strings.Repeat(")", 2*limits.Depth) + ")\n", 0},
		"large value":               {"* 1 FETCH (ENVELOPE (\"" + strings.Repeat("a", limits.Value) + "\"))\n", 0},
		"large literal in a value":  {"* 1 FETCH (ENVELOPE ({1100000}\n" + strings.Repeat("a", 1_100_000) + "))\n", 0},
		"extra spaces":              {"*  3  EXISTS \n* 1 FETCH ( UID 1  FLAGS ( \\Seen ) )\n", 0},
		"no flags":                  {"* FLAGS ()\n* RECENT\n* 0 RECENT\n", 1},
		"date of no calendar":       {"* 1 FETCH (INTERNALDATE \"yesterday\" INTERNALDATE NIL)\n", 0},
		"body of nobody":            {"* 1 FETCH (BODY[] {3}\nabc)\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			say := strings.ReplaceAll(c.say, "EXISTS\r*", "EXISTS\n*")
			cn := dial(t, "", step{"UID SEARCH ALL", say + "* SEARCH 4\n$ OK done\n"}, step{"NOOP", "$ OK\n"})
			s := conn.Search{Key: wire.SearchAnd{}}
			do(t, cn, &s)
			do(t, cn, &conn.Noop{})
			same(t, "UIDs", s.UIDs, uids(4, 4))
			if cn.Skipped() != c.skipped {
				t.Errorf("%d responses skipped, want %d", cn.Skipped(), c.skipped)
			}
		})
	}
}

// TestMemory: results are cut where they take too much, and the dialogue goes on.
func TestMemory(t *testing.T) {
	var numbers, rows, names strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&numbers, " %d", 2*i+1)
		fmt.Fprintf(&rows, "* %d FETCH (UID %d FLAGS ())\n", i+1, i+1)
		fmt.Fprintf(&names, "* LIST () \"/\" name%d\n", i)
	}
	s := play(t, "* OK [CAPABILITY IMAP4rev1] hi\n",
		step{"UID SEARCH ALL", "* SEARCH" + numbers.String() + "\n$ OK\n"},
		step{"UID SEARCH ALL", "* ESEARCH UID ALL " + strings.ReplaceAll(numbers.String()[1:], " ", ",") + "\n$ OK\n"},
		step{"UID STORE 1 FLAGS ()", rows.String() + "$ OK\n"}, step{`LIST "" *`, names.String() + "$ OK\n"},
		step{`SELECT "x" (QRESYNC (1 2))`, rows.String() + "$ OK\n"}, step{"NOOP", "$ OK\n"})
	d := s.dialer()
	d.Limits.Memory = 8000
	c, err := d.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plain, extended := conn.Search{Key: wire.SearchAnd{}}, conn.Search{Key: wire.SearchAnd{}}
	store, list := conn.Store{UIDs: uids(1, 1)}, conn.List{}
	box := conn.Select{Mailbox: "x", Since: &conn.Since{UIDValidity: 1, ModSeq: 2}}
	for _, cmd := range []conn.Command{&plain, &extended, &store, &list, &box, &conn.Noop{}} {
		do(t, c, cmd)
	}
	if n, m := len(plain.UIDs), len(extended.UIDs); !plain.Truncated || !extended.Truncated || n == 0 || n > 1000 || m == 0 || m > 1000 {
		t.Errorf("searches: %d and %d ranges", n, m)
	}
	if n, m := len(store.Rows), len(box.Changed); !store.Truncated || !box.Truncated || n == 0 || n > 200 || m == 0 || m > 200 {
		t.Errorf("rows: %d and %d", n, m)
	}
	if n := len(list.Entries); !list.Truncated || n == 0 || n > 100 {
		t.Errorf("%d names", n)
	}
}

// TestBye: whoever waits is told why the connection ended.
func TestBye(t *testing.T) {
	c := dial(t, "", step{"NOOP", "* BYE [UNAVAILABLE] maintenance\n\x00"})
	err := c.Do(t.Context(), &conn.Noop{})
	if ended[*conn.ByeError](t, c, err); conn.CodeOf(err) != imap.ResponseCodeUnavailable {
		t.Error(err)
	}
	if err := c.Do(t.Context(), &conn.Noop{}); err != c.Err() {
		t.Error(err)
	}
}

// TestLogout: BYE is no error then, nor is a server that only hangs up after it.
func TestLogout(t *testing.T) {
	for _, say := range []string{"* BYE see you\n$ OK\n", "* BYE see you\n\x00"} {
		c := dial(t, "", step{"LOGOUT", say})
		if err := c.Logout(t.Context()); err != nil {
			t.Error(err)
		}
		if err := c.Err(); !errors.Is(err, conn.ErrClosed) && conn.CodeOf(err) != "" {
			t.Error(err)
		}
	}
}

// TestCutAnywhere ends the server's part of a dialogue after every octet: nobody waits or panics,
// and nobody takes half an answer for one.
func TestCutAnywhere(t *testing.T) {
	greeting := "* OK [CAPABILITY IMAP4rev1] hi\n"
	search := "* 3 EXISTS\n* SEARCH 1 2 3\n* OK [X a \"]\"] y\n$ OK [HIGHESTMODSEQ 3] done\n"
	fetch := "* 1 FETCH (UID 7 FLAGS (\\Seen) ENVELOPE (NIL {2}\nab) BODY[] {5}\nhello)\n* VANISHED 4\n$ OK done\n"
	run := func(script *script) (found, octets int, err error) {
		c, err := script.dialer().Dial(t.Context())
		if err != nil {
			return 0, 0, err
		}
		defer c.Close()
		s := conn.Search{Key: wire.SearchAnd{}}
		if err := c.Do(t.Context(), &s); err != nil {
			if s.Err == nil {
				t.Errorf("half a reply was taken for OK: %v", err)
			}
			return 0, 0, err
		}
		m := c.Fetch(t.Context(), conn.Fetch{UIDs: uids(7, 7), Items: "BODY[]"})
		for m.Next() {
			for i := m.Item(); i != nil; i = m.Item() {
				if i.Body != nil {
					b, _ := io.ReadAll(i.Body)
					octets += len(b)
				}
			}
		}
		if err = m.Close(); err != nil && m.Err == nil {
			t.Errorf("half a reply was taken for OK: %v", err)
		}
		return len(s.UIDs), octets, err
	}
	for i := 0; i <= len(greeting)+len(search)+len(fetch); i++ {
		part := func(s string) string {
			n := min(i, len(s))
			if i -= n; n < len(s) {
				return s[:n] + "\x00"
			}
			return s
		}
		at := i
		script := play(t, part(greeting), step{"UID SEARCH ALL", part(search)}, step{"UID FETCH 7 (BODY[])", part(fetch)})
		i = at
		found, octets, err := run(script)
		script.steps = nil
		whole := at == len(greeting)+len(search)+len(fetch)
		if whole && (found != 1 || octets != 5) || whole != (err == nil) {
			t.Fatalf("cut at %d: %d ranges, %d octets, %v", at, found, octets, err)
		}
	}
}

// TestSilence: a server that says nothing more.
func TestSilence(t *testing.T) {
	for name, say := range map[string]string{"nothing": "", "half an answer": "* SEARCH 1", "no tagged reply": "* SEARCH 1\n"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := dial(t, "", step{"UID SEARCH ALL", say})
				start := time.Now()
				err := ended[*conn.NetworkError](t, c, c.Do(t.Context(), &conn.Search{Key: wire.SearchAnd{}}))
				if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != conn.DefaultTimeouts().Response {
					t.Errorf("%v after %v", err, time.Since(start))
				}
			})
		})
	}
}

// TestLoginMayTakeLonger: servers delay what they refuse.
func TestLoginMayTakeLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := play(t, "* OK [CAPABILITY IMAP4rev1] hi\n", step{`LOGIN "a" "b"`, ""}).dialer()
		d.Timeouts.Response, d.Timeouts.Login = time.Second, time.Minute
		c, err := d.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		ended[*conn.NetworkError](t, c, c.Login(t.Context(), conn.PasswordLogin("a", "b")))
		if time.Since(start) != time.Minute {
			t.Errorf("gave up after %v", time.Since(start))
		}
	})
}

// TestStuckServer: one that does not read.
func TestStuckServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, "* OK [CAPABILITY IMAP4rev1 LITERAL+] hi\n")
		c := s.dial()
		s.nc.Tap = nil
		s.nc.SetStuck(true)
		start := time.Now()
		body := strings.NewReader(strings.Repeat("x", 1<<20))
		err := c.Do(t.Context(), &conn.Append{Mailbox: "x", Messages: []conn.Message{{Size: 1 << 20, Body: body}}})
		if e := ended[*conn.NetworkError](t, c, err); e.Op != "write" || time.Since(start) != conn.DefaultTimeouts().Write {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// TestContext: its end is the connection's, in every kind of operation.
func TestContext(t *testing.T) {
	cause := errors.New("session ended")
	for name, run := range map[string]func(ctx context.Context, c *conn.Conn) error{
		"do": func(ctx context.Context, c *conn.Conn) error { return c.Do(ctx, &conn.Noop{}) },
		"fetch": func(ctx context.Context, c *conn.Conn) error {
			m := c.Fetch(ctx, conn.Fetch{UIDs: uids(1, 1), Items: "X"})
			for m.Next() {
			}
			return m.Close()
		},
		"idle": func(ctx context.Context, c *conn.Conn) error { return c.Idle(ctx, context.WithoutCancel(ctx)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := play(t, "* OK [CAPABILITY IMAP4rev1] hi\n")
				c := s.dial()
				s.nc.Tap = func([]byte) {}
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { cancel(cause) })
				if err := ended[*conn.NetworkError](t, c, run(ctx, c)); !errors.Is(err, cause) {
					t.Error(err)
				}
			})
		})
	}
}

// TestContextEndedBefore: nothing is sent, the connection goes on.
func TestContextEndedBefore(t *testing.T) {
	c := dial(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Do(ctx, &conn.Noop{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := c.Fetch(ctx, conn.Fetch{UIDs: uids(1, 1), Items: "X"}).Close(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	usable(t, c)
}
