package wire

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
)

// In every place where an astring or string may stand, a literal means the
// same as a quoted string: synchronising or not, whatever the buffer's size.
func TestLiteralEverywhere_RFC9051_4_3(t *testing.T) {
	for _, in := range []string{
		`LOGIN <user> <pass word>`,
		`SELECT <Sent "Items">`,
		`SELECT <INBOX> (CONDSTORE)`,
		`EXAMINE <x>`,
		`CREATE <x> (USE (\Sent))`,
		`DELETE <x>`,
		`RENAME <x> <y>`,
		`SUBSCRIBE <x>`,
		`UNSUBSCRIBE <x>`,
		`LIST <ref> <pat%>`,
		`LIST (SUBSCRIBED) <> (<a*> <b*> <c>) RETURN (CHILDREN)`,
		`LSUB <> <*>`,
		`STATUS <x> (MESSAGES)`,
		`APPEND <x> (\Seen) {3+}` + "\r\nabc",
		`COPY 1:3 <x>`,
		`UID MOVE 1:3 <x>`,
		`FETCH 1 (FLAGS BODY.PEEK[HEADER.FIELDS (<From> <To>)] BODY[1.HEADER.FIELDS.NOT (<x>)]<0.10>)`,
		`SEARCH CHARSET <utf-8> SUBJECT <é> OR HEADER <X-A> <> (BODY <b> TEXT <t>) FROM <f>`,
		`ID (<name> <Thunderbird> <version> NIL <os> <>)`,
		`GETQUOTA <>`,
		`GETQUOTAROOT <x>`,
		`SETQUOTA <r> (STORAGE 512)`,
	} {
		quoted := func(s string) string {
			return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
		}
		want, err := parse(expand(in, quoted), utf8Mode)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		for _, form := range []string{"{%d}\r\n%s", "{%d+}\r\n%s", "{%d}\n%s", "{00%d+}\r\n%s"} {
			literal := func(s string) string { return fmt.Sprintf(form, len(s), s) }
			for _, size := range []int{16, 23, 4096} {
				d, c := newDecoder("t "+expand(in, literal)+"\r\n", size)
				d.UTF8 = strings.HasPrefix(in, "SEARCH")
				cmd, err := d.Command()
				if err != nil {
					t.Fatal(err)
				}
				got, err := rest(d, cmd)
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("%s with %q:\n got %+v, %v\nwant %+v", in, form, got, err, want)
				}
				asked := 0
				if !strings.Contains(form, "+") {
					asked = strings.Count(in, "<") - strings.Count(in, "]<")
				}
				if c.continued != asked {
					t.Errorf("%s with %q: %d continuation requests", in, form, c.continued)
				}
			}
		}
	}
}

// expand replaces <s> by f(s), except for partials.
func expand(in string, f func(string) string) string {
	var out strings.Builder
	for {
		before, after, ok := strings.Cut(in, "<")
		out.WriteString(before)
		if !ok {
			return out.String()
		}
		s, tail, _ := strings.Cut(after, ">")
		if strings.HasSuffix(before, "]") {
			out.WriteString("<" + s + ">")
		} else {
			out.WriteString(f(s))
		}
		in = tail
	}
}

func TestLiteralLimits_RFC7888(t *testing.T) {
	limits := Limits{Line: 100, Literal: 20, Command: 120, NonSync: 10, Discard: 1000}
	for in, what := range map[string]string{
		"a LOGIN {21}\r\n":             "literal",
		"a LOGIN {11+}\r\n":            "non-synchronising literal",
		"a LOGIN {20}\r\n":             "",
		"a LOGIN {10+}\r\n":            "",
		"a APPEND x {11+}\r\n":         "non-synchronising literal",
		"a APPEND x {10+}\r\n":         "",
		"a APPEND x {5000}\r\n":        "",
		"a LOGIN {99999999999999}\r\n": "literal",
	} {
		d, c := newDecoder(in+strings.Repeat("x", 30)+"\r\n", 16)
		d.Limits = limits
		cmd, err := d.Command()
		if err != nil {
			t.Fatal(err)
		}
		if cmd.Name == "APPEND" {
			_, err = d.Append()
		} else {
			_, err = rest(d, cmd)
		}
		if e, ok := errors.AsType[*TooBigError](err); ok != (what != "") || ok && e.What != what {
			t.Errorf("%q: %v, want %q", in, err, what)
		}
		if what != "" && c.continued > 0 {
			t.Errorf("%q: asked for a literal that is too big", in)
		}
	}
}

// Lines and literals that are each small enough may be too much together.
func TestCommandLimit(t *testing.T) {
	in := "a FETCH 1 BODY[HEADER.FIELDS (x" + strings.Repeat(" {9+}\r\n123456789", 10) + ")]\r\n"
	for limit, big := range map[int]bool{100: true, 150: true, 1000: false} {
		d, _ := newDecoder(in, 16)
		d.Limits.Command = limit
		cmd, err := d.Command()
		if err != nil {
			t.Fatal(err)
		}
		_, err = rest(d, cmd)
		if e, ok := errors.AsType[*TooBigError](err); ok != big || ok && e.What != "command" {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
}

func TestNULInLiteral_RFC9051_9(t *testing.T) {
	runParse(t, []parseTest{
		{"LOGIN {3+}\r\na\x00b x", nil},
		{"LOGIN {3 {3+}\r\nabc x", nil}, // what ends the line is not what stands here
		{"LOGIN {3+}\r\na\xffb {2+}\r\n\r\n", Login{"a\xffb", "\r\n"}},
	})
}

func TestAppend_RFC9051_6_3_12(t *testing.T) {
	d, c := newDecoder("a append Sent (\\seen $Junk) \" 1-Feb-2024 03:04:05 -0130\" {5}\r\nab\r\nc\r\nb NOOP\r\n", 16)
	if _, err := d.Command(); err != nil {
		t.Fatal(err)
	}
	a, err := d.Append()
	if err != nil {
		t.Fatal(err)
	}
	if a.Mailbox != "Sent" || !reflect.DeepEqual(a.Flags, []imap.Flag{imap.FlagSeen, "$Junk"}) ||
		a.Date.Format("2006-01-02T15:04:05Z07:00") != "2024-02-01T03:04:05-01:30" ||
		a.Message.Size != 5 || a.Message.NonSync || a.Message.Binary {
		t.Errorf("%+v %+v", a, a.Message)
	}
	if _, err := a.Message.Read(make([]byte, 1)); err != errNotAccepted {
		t.Errorf("read before Accept: %v", err)
	}
	if c.continued != 0 {
		t.Error("continued before Accept")
	}
	for range 2 {
		if err := a.Message.Accept(); err != nil || c.continued != 1 {
			t.Fatal(err, c.continued)
		}
	}
	if err := d.AppendEnd(a); err != errNotDrained {
		t.Errorf("AppendEnd before the message was read: %v", err)
	}
	if b, err := io.ReadAll(a.Message); string(b) != "ab\r\nc" || err != nil || a.Message.Left() != 0 {
		t.Errorf("%q, %v", b, err)
	}
	if err := d.AppendEnd(a); err != nil {
		t.Fatal(err)
	}
	if cmd, err := d.Command(); err != nil || cmd.Tag != "b" {
		t.Fatal(cmd, err)
	}
	if _, err := a.Message.Read(make([]byte, 1)); err == nil {
		t.Error("a Literal was read after its command")
	}
}

func TestAppendForms_RFC3516_4_4_RFC6855_4(t *testing.T) {
	runParse(t, []parseTest{
		{"APPEND x {3+}\r\nabc", appended{Append{Mailbox: "x"}, "abc"}},
		{"APPEND x {0}\r\n", appended{Append{Mailbox: "x"}, ""}},
		{"APPEND x () {1+}\r\n.", appended{Append{Mailbox: "x"}, "."}},
		{"APPEND x ~{3+}\r\na\x00c", appended{Append{Mailbox: "x"}, "a\x00c"}},
		{"APPEND x UTF8 (~{3+}\r\nabc)", appended{Append{Mailbox: "x", UTF8: true}, "abc"}},
		{"APPEND x utf8 (~{3+}\r\nabc)", appended{Append{Mailbox: "x", UTF8: true}, "abc"}},
		{"APPEND x UTF8 ({3+}\r\nabc)", nil},
		{"APPEND x UTF8 (~{3+}\r\nabc", nil},
		{"APPEND x {3+}\r\nabc ", nil},
		{"APPEND x {3+}\r\nabc)", nil},
		{"APPEND x", nil},
		{"APPEND x (\\Seen)", nil},
		{"APPEND x \"abc\"", nil},
		{"APPEND x abc", nil},
		{"APPEND x (\\Seen) \"1-Feb-2024 03:04:05 +0000\" {1+}\r\n.", nil}, // day of one digit
		{"APPEND x {3+} \r\nabc", nil},
	})
}

// Discard skips what is left of a message that was accepted, and nothing of
// one that was not.
func TestAppendRefused(t *testing.T) {
	for _, tt := range []struct {
		in     string
		accept bool
		read   int
	}{
		{"a APPEND x {5}\r\n", false, 0},
		{"a APPEND x {5}\r\nabcde\r\n", true, 2},
		{"a APPEND x {5}\r\nabcde\r\n", true, 5},
		{"a APPEND x {5+}\r\nabcde\r\n", false, 0},
		{"a APPEND x {5+}\r\nabcde {3+}\r\nabc\r\n", true, 1},
	} {
		d, _ := newDecoder(tt.in+"b NOOP\r\n", 16)
		if _, err := d.Command(); err != nil {
			t.Fatal(err)
		}
		a, err := d.Append()
		if err != nil {
			t.Fatal(err)
		}
		if tt.accept {
			if err := a.Message.Accept(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(a.Message, make([]byte, tt.read)); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Discard(); err != nil {
			t.Fatal(err)
		}
		if cmd, err := d.Command(); err != nil || cmd.Tag != "b" {
			t.Errorf("%+v: then %+v, %v", tt, cmd, err)
		}
	}
}

// An error of the Continue callback is the caller's own and ends the command.
func TestContinueFails(t *testing.T) {
	broken := errors.New("broken pipe")
	d, _ := newDecoder("a LOGIN {1}\r\nx y\r\n", 16)
	d.Continue = func() error { return broken }
	cmd, err := d.Command()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rest(d, cmd); err != broken {
		t.Fatal(err)
	}
}
