package conn_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/upstream/conn"
)

// TestFetchItems: each kind of item, as it was sent.
func TestFetchItems(t *testing.T) {
	c := dial(t, "", step{"UID FETCH 1:* (X)", `* 3 FETCH (UID 7 FLAGS (\Seen a) RFC822.SIZE 5000000000 MODSEQ (9) INTERNALDATE " 3-Feb-2024 04:05:06 +0100" ` +
		`ENVELOPE (NIL "a\"b" ((NIL NIL {3}
(x) "h"))) BODYSTRUCTURE ("a" 1) body[header.fields ("Subject" To)] {2}
ab BODY[1.2.mime]<3> "c\"d" BODY[2] NIL BINARY[3] ~{1}
` + "\x01" + ` BINARY.SIZE[3] 12 EMAILID (M1) RFC822.HEADER {0}
 X-NEW ( a (b)  "c") )
$ OK done
`})
	m := c.Fetch(t.Context(), conn.Fetch{UIDs: uids(1, 0), Items: "X"})
	var got []string
	for m.Next() {
		for i := m.Item(); i != nil; i = m.Item() {
			s := i.Name + "|" + string(i.Raw)
			if i.Body != nil {
				b, err := io.ReadAll(i.Body)
				if err != nil {
					t.Error(err)
				}
				s += "|" + string(b)
			}
			switch i.Name {
			case "FLAGS":
				s += i.Flags.Keywords
			case "INTERNALDATE":
				s += i.Time.UTC().Format(time.RFC3339)
			default:
				if i.Number != 0 {
					s += string(time.Duration(i.Number).String())
				}
			}
			got = append(got, s)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	usable(t, c)
	same(t, "items", strings.Join(got, "\n"), strings.ReplaceAll(`UID|7ns
FLAGS|a
RFC822.SIZE|5s
MODSEQ|9ns
INTERNALDATE|2024-02-03T03:05:06Z
ENVELOPE|(NIL "a\"b" ((NIL NIL {3}@
(x) "h")))
BODYSTRUCTURE|("a" 1)
BODY[header.fields ("Subject" To)]||ab
BODY[1.2.MIME]<3>||c"d
BODY[2]|
BINARY[3]||`+"\x01"+`
BINARY.SIZE[3]|12ns
EMAILID|(M1)
RFC822.HEADER||
X-NEW|( a (b)  "c")`, "@", "\r"))
}

// TestFetchSkips: nothing has to be read, and all of it may be left.
func TestFetchSkips(t *testing.T) {
	big := strings.Repeat("x", 50_000)
	answer := ""
	for range 3 {
		answer += "* 1 FETCH (UID 5 BODY[] {50000}\n" + big + " FLAGS (\\Seen))\n* 9 EXISTS\n"
	}
	answer += "$ OK done\n"
	fetch := conn.Fetch{UIDs: uids(5, 5), Items: "BODY.PEEK[]"}
	for name, read := range map[string]func(m *conn.Messages){
		"all left": func(*conn.Messages) {},
		"messages only": func(m *conn.Messages) {
			for m.Next() {
			}
		},
		"rows": func(m *conn.Messages) {
			n := 0
			for m.Next() {
				if row := m.Row(); row.UID != 5 || row.Flags.System != mailbox.Seen {
					t.Errorf("row %+v", row)
				}
				n++
			}
			if n != 3 {
				t.Errorf("%d rows", n)
			}
		},
		"half a body": func(m *conn.Messages) {
			m.Next()
			m.Item()
			b := m.Item().Body
			if _, err := io.ReadFull(b, make([]byte, 20_000)); err != nil || b.Left() != 30_000 || b.Size() != 50_000 {
				t.Error(err, b.Left())
			}
			m.Next()
			if n, err := b.Read(make([]byte, 1)); err == nil || n != 0 {
				t.Errorf("a body that is gone gave %d octets", n)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, "", step{"UID FETCH 5 (BODY.PEEK[])", answer}, step{"NOOP", "$ OK\n"})
			exists := 0
			c.Updates = func(u conn.Update) { exists++ }
			m := c.Fetch(t.Context(), fetch)
			read(m)
			if err := m.Close(); err != nil || exists != 3 {
				t.Errorf("%v, %d updates", err, exists)
			}
			do(t, c, &conn.Noop{})
		})
	}
}

// TestFetchLeavesTooMuch: what nobody reads is not skipped without end.
func TestFetchLeavesTooMuch(t *testing.T) {
	s := play(t, "* OK [CAPABILITY IMAP4rev1] hi\n", step{"UID FETCH 5 (BODY.PEEK[])", "* 1 FETCH (UID 5 BODY[] {9999999999999}\nabc"})
	c := s.dial()
	m := c.Fetch(t.Context(), conn.Fetch{UIDs: uids(5, 5), Items: "BODY.PEEK[]"})
	m.Next()
	ended[*conn.ProtocolError](t, c, m.Close())
}

// TestFetchBehindSelect: one write, and the select's failure is the fetch's.
func TestFetchBehindSelect(t *testing.T) {
	c := dial(t, "", step{`EXAMINE "a"`, "* 2 EXISTS\n$ OK in\n"}, step{"UID FETCH 1:* (FLAGS)", "* 1 FETCH (FLAGS () UID 1)\n* 2 FETCH (FLAGS (\\Draft) UID 3)\n$ OK\n"},
		step{`EXAMINE "b"`, "$ NO none\n"}, step{"UID FETCH 1:* (FLAGS)", "$ BAD none selected\n"})
	box := conn.Select{Mailbox: "a", ReadOnly: true}
	m := c.Fetch(t.Context(), conn.Fetch{UIDs: uids(1, 0), Items: "FLAGS"}, &box)
	var rows []conn.Row
	for m.Next() {
		rows = append(rows, m.Row())
	}
	if err := m.Close(); err != nil || box.Exists != 2 || len(rows) != 2 || rows[1].UID != 3 {
		t.Errorf("%v, %+v, %+v", err, box, rows)
	}
	box = conn.Select{Mailbox: "b", ReadOnly: true}
	m = c.Fetch(t.Context(), conn.Fetch{UIDs: uids(1, 0), Items: "FLAGS"}, &box)
	if m.Next() {
		t.Error("a message of no mailbox")
	}
	if err := m.Close(); err != box.Err || err == nil || m.Err == nil {
		t.Errorf("%v, %v, %v", err, box.Err, m.Err)
	}
	usable(t, c)
}

// TestFetchVanished: CHANGEDSINCE with VANISHED.
func TestFetchVanished(t *testing.T) {
	c := dial(t, "", step{"UID FETCH 1:9 (FLAGS) (CHANGEDSINCE 12 VANISHED)", "* VANISHED (EARLIER) 3\n* VANISHED 9\n* VANISHED (EARLIER) 1\n* 1 FETCH (UID 2 MODSEQ (13) FLAGS ())\n$ OK\n"})
	var seen []conn.Update
	c.Updates = func(u conn.Update) { seen = append(seen, u) }
	m := c.Fetch(t.Context(), conn.Fetch{UIDs: uids(1, 9), Items: "FLAGS", ChangedSince: 12, EarlierToo: true})
	for m.Next() {
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	same(t, "vanished", m.Vanished, uids(1, 1, 3, 3))
	same(t, "updates", seen, []conn.Update{{Kind: conn.Vanished, UIDs: uids(9, 9)}})
}

// TestFetchWritesTo: a body goes straight to a writer, whose error leaves the connection alone.
func TestFetchWritesTo(t *testing.T) {
	text := strings.Repeat("0123456789", 10_000)
	c := dial(t, "", step{"UID FETCH 5 (BODY.PEEK[])", "* 1 FETCH (BODY[] {100000}\n" + text + ")\n* 1 FETCH (BODY[] {100000}\n" + text + ")\n$ OK\n"})
	m := c.Fetch(t.Context(), conn.Fetch{UIDs: uids(5, 5), Items: "BODY.PEEK[]"})
	m.Next()
	var b bytes.Buffer
	if n, err := io.Copy(&b, m.Item().Body); n != 100_000 || err != nil || b.String() != text {
		t.Errorf("%d octets, %v", n, err)
	}
	m.Next()
	full := errors.New("full")
	if _, err := io.Copy(errWriter{full}, m.Item().Body); err != full {
		t.Error(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	usable(t, c)
}

type errWriter struct{ err error }

func (w errWriter) Write([]byte) (int, error) { return 0, w.err }

// TestLiteralIsAReader: however it is read.
func TestLiteralIsAReader(t *testing.T) {
	text := strings.Repeat("abcdefghij", 5_000)
	c := dial(t, "", step{"UID FETCH 5 (BODY.PEEK[])", "* 1 FETCH (BODY[] {50000}\n" + text + ")\n$ OK\n"})
	m := c.Fetch(t.Context(), conn.Fetch{UIDs: uids(5, 5), Items: "BODY.PEEK[]"})
	m.Next()
	b, err := io.ReadAll(iotest.OneByteReader(io.LimitReader(m.Item().Body, 25_000)))
	if err != nil || string(b) != text[:25_000] {
		t.Errorf("%d octets, %v", len(b), err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}
