package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

func TestCommandHead_RFC9051_2_2_1(t *testing.T) {
	for _, tt := range []struct {
		in  string
		cmd Command
		bad bool
	}{
		{in: "a1 NOOP\r\n", cmd: Command{"a1", "NOOP"}},
		{in: "a1 noop\n", cmd: Command{"a1", "NOOP"}},
		{in: "]x uid fetch 1 FLAGS\r\n", cmd: Command{"]x", "UID FETCH"}},
		{in: "a1 UID\r\n", cmd: Command{"a1", "UID"}, bad: true},
		{in: "a1 UID \r\n", cmd: Command{"a1", "UID"}, bad: true},
		{in: "a1 \r\n", cmd: Command{Tag: "a1"}, bad: true},
		{in: "a1  NOOP\r\n", cmd: Command{Tag: "a1"}, bad: true},
		{in: "a1\r\n", bad: true},
		{in: "\r\n", bad: true},
		{in: " NOOP\r\n", bad: true},
		{in: "a+ NOOP\r\n", bad: true},
		{in: "a\x80 NOOP\r\n", bad: true},
		{in: "* NOOP\r\n", bad: true},
		{in: strings.Repeat("a", maxTag+1) + " NOOP\r\n", bad: true},
		{in: "\x16\x03\x01\x02\x00\x01\n", bad: true}, // TLS where there is none
	} {
		d, _ := newDecoder(tt.in, 4096)
		cmd, err := d.Command()
		if _, bad := errors.AsType[*SyntaxError](err); cmd != tt.cmd || bad != tt.bad {
			t.Errorf("%q: %+v, %v", tt.in, cmd, err)
		}
	}
}

func TestEndOfStream(t *testing.T) {
	for in, want := range map[string]error{
		"":                                io.EOF,
		"a NOO":                           io.ErrUnexpectedEOF,
		"a LOGIN {5+}\r\nab":              io.ErrUnexpectedEOF,
		"a LOGIN {5+}\r\nabcde":           io.ErrUnexpectedEOF,
		"a LOGIN {5+}\r\nabcde x":         io.ErrUnexpectedEOF,
		"a APPEND x {5}\r\nab":            io.ErrUnexpectedEOF,
		"a APPEND x {2}\r\nab":            io.ErrUnexpectedEOF,
		strings.Repeat("a", 100) + " NO":  io.ErrUnexpectedEOF,
		"a LOGIN {99999999999999+}\r\nab": io.EOF, // see below: skipping it ends the connection
	} {
		d, _ := newDecoder(in, 16)
		cmd, err := d.Command()
		if err == nil {
			_, err = rest(d, cmd)
		}
		if tooBig, ok := errors.AsType[*TooBigError](err); ok && tooBig.Size == 99999999999999 {
			if e, ok := errors.AsType[*SyntaxError](d.Discard()); !ok || !e.Desync {
				t.Errorf("%q: skipped without bound", in)
			}
			continue
		}
		if err != want {
			t.Errorf("%q: %v, want %v", in, err, want)
		}
	}
}

// A reader's error reaches the caller as it is.
func TestReaderError(t *testing.T) {
	d, _ := newDecoder("", 16)
	d.Reset(bufio.NewReader(io.MultiReader(strings.NewReader("a LOGIN {5+}\r\nab"), iotest.ErrReader(iotest.ErrTimeout))))
	cmd, err := d.Command()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rest(d, cmd); err != iotest.ErrTimeout {
		t.Fatal(err)
	}
}

func TestIdle(t *testing.T) {
	d, _ := newDecoder("a NOOP\r\nb", 64)
	if !d.Idle() {
		t.Error("nothing was read yet")
	}
	if _, err := d.Command(); err != nil {
		t.Fatal(err)
	}
	if d.Idle() {
		t.Error("inside a command")
	}
	if err := d.End(); err != nil {
		t.Fatal(err)
	}
	if d.Idle() {
		t.Error("an octet of the next command has arrived")
	}
	d.Reset(nil)
	if !d.Idle() {
		t.Error("no reader")
	}
}

// Between commands no buffer is kept, however long the last command was.
func TestNoMemoryBetweenCommands(t *testing.T) {
	d, _ := newDecoder("a LOGIN "+strings.Repeat("u", 5000)+" {3+}\r\nabc\r\n", 16)
	cmd, err := d.Command()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rest(d, cmd); err != nil {
		t.Fatal(err)
	}
	if d.long != nil || d.seg != nil || d.lit != nil {
		t.Error("a buffer was kept")
	}
}

func TestReadLine(t *testing.T) {
	d, _ := newDecoder("a IDLE\r\nDONE\r\n"+strings.Repeat("x", 100)+"\r\nb NOOP\r\n", 16)
	d.Limits.Line = 50
	if _, err := d.Command(); err != nil {
		t.Fatal(err)
	}
	if err := d.End(); err != nil {
		t.Fatal(err)
	}
	if line, err := d.ReadLine(); err != nil || string(line) != "DONE" {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := d.ReadLine(); !isTooBig(err) {
		t.Fatal(err)
	}
	if cmd, err := d.Command(); err != nil || cmd.Tag != "b" {
		t.Fatal(cmd, err)
	}
}

func isTooBig(err error) bool {
	_, ok := errors.AsType[*TooBigError](err)
	return ok
}

// Whatever is wrong with a command, the next one in the pipeline is understood.
func TestRecovery(t *testing.T) {
	for _, bad := range []string{
		"\r\n",
		"a BOGUS\r\n",
		"a LOGIN\r\n",
		"a LOGIN ( {3+}\r\nabc {2+}\r\nde\r\n",
		"a LOGIN x {3+}\r\nabc junk {5+}\r\n\r\n\r\n.\r\n",
		"a LOGIN x ~{3+}\r\n\x00\r\n\r\n",
		"a NOOP {4+}\r\nb x\n more\r\n",
		"a LOGIN {70000+}\r\n" + strings.Repeat("x", 70000) + " {1+}\r\n. y\r\n", // literal over its limit
		"a LOGIN {70000}\r\n",                                                    // synchronising: the client waits for the answer
		"a LOGIN x {3+}\r\nabc {\n",                                              // no header after all
		"a LOGIN x {+}\r\n",
		"a LOGIN x {-1}\r\n",
		"a LOGIN \"x {3}\r\n",
		"a " + strings.Repeat("x", 70000) + "\r\n",               // line over its limit
		"a " + strings.Repeat("x", 70000) + " {4+}\r\nb x\n\r\n", // which ends with a literal
		strings.Repeat("x", 70000) + "\r\n",
		"a ID (" + strings.Repeat("{60000+}\r\n"+strings.Repeat("y", 60000)+" ", 6) + "\r\n", // command over its limit
		"a APPEND x (\\Seen) {3+}\r\nabc junk {3+}\r\nabc\r\n",
		"a APPEND x UTF8 (~{3+}\r\nabc\r\n",
		"a FETCH 1 BODY[HEADER.FIELDS ({4+}\r\nFrom {2+}\r\nTo]\r\n",
	} {
		for _, size := range []int{16, 4096} {
			d, c := newDecoder(bad+"b SELECT INBOX\r\n", size)
			d.Limits.NonSync = 69_000
			cmd, err := d.Command()
			if err == nil {
				if cmd.Name == "BOGUS" {
					err = syntax("unknown command")
				} else {
					_, err = rest(d, cmd)
				}
			}
			if err == nil {
				t.Errorf("%.40q: no error", bad)
			}
			if err := d.Discard(); err != nil {
				t.Errorf("%.40q: Discard: %v", bad, err)
				continue
			}
			cmd, err = d.Command()
			if err != nil || cmd != (Command{"b", "SELECT"}) {
				t.Errorf("%.40q: then %+v, %v", bad, cmd, err)
				continue
			}
			if got, err := rest(d, cmd); err != nil || !reflect.DeepEqual(got, Select{Mailbox: "INBOX"}) {
				t.Errorf("%.40q: then %+v, %v", bad, got, err)
			}
			if c.continued > 0 {
				t.Errorf("%.40q: the client was told to go on", bad)
			}
		}
	}
}

// A tag is known even if the line behind it is too long to be read.
func TestTooLongLineHasTag(t *testing.T) {
	for _, size := range []int{16, 4096, 1 << 17} {
		d, _ := newDecoder("tag7 UID FETCH "+strings.Repeat("1,", 40000)+"1 FLAGS\r\n", size)
		cmd, err := d.Command()
		if !isTooBig(err) || cmd.Tag != "tag7" {
			t.Errorf("buffer %d: %+v, %v", size, cmd, err)
		}
	}
}

func TestDiscardIsBounded(t *testing.T) {
	for _, in := range []string{
		"a NOOP {9223372036854775807+}\r\n",
		"a NOOP {99999999999999999999999+}\r\n",
		"a NOOP {101+}\r\n" + strings.Repeat("x", 200),
		"a NOOP x" + strings.Repeat(" {10+}\r\n0123456789", 20) + "\r\n",
		"a NOOP {1+}\r\n." + strings.Repeat("x", 200) + "\r\n",
	} {
		d, _ := newDecoder(in, 16)
		d.Limits.Discard = 100
		if _, err := d.Command(); err != nil {
			t.Fatal(err)
		}
		e, ok := errors.AsType[*SyntaxError](d.Discard())
		if !ok || !e.Desync {
			t.Errorf("%.30q: %v, want Desync", in, e)
		}
	}
}

// What a client announces costs nothing before it arrives.
func TestAnnouncedSizeIsNotAllocated(t *testing.T) {
	d := &Decoder{Limits: DefaultLimits(), Continue: func() error { return nil }}
	d.Limits.Literal, d.Limits.Command = 1<<30, 1<<30
	input := []byte("a LOGIN {1000000000+}\r\nabc")
	src := bytes.NewReader(nil)
	br := bufio.NewReader(src)
	const runs = 100
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		src.Reset(input)
		br.Reset(src)
		d.Reset(br)
		cmd, err := d.Command()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rest(d, cmd); err != io.ErrUnexpectedEOF {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	bytesPerRun := (after.TotalAlloc - before.TotalAlloc) / runs
	if bytesPerRun > 2048 {
		t.Errorf("%d octets allocated", bytesPerRun)
	}
}
