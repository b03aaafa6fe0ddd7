package wire

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"testing"
)

// An outcome is what became of one command of a stream.
type outcome struct {
	Command
	Args any
	Err  string
}

// replay decodes a stream of commands to its end, as a connection does.
func replay(t *testing.T, input string, utf8 bool, size int) []outcome {
	d, _ := newDecoder(input, size)
	d.UTF8 = utf8
	d.Limits = Limits{Line: 2000, Literal: 1 << 30, Command: 1 << 31, NonSync: 1 << 31, Discard: 5000}
	var all []outcome
	for range len(input) + 1 {
		if !d.Idle() && d.open {
			t.Fatalf("%q: Command begins inside a command", input)
		}
		cmd, err := d.Command()
		var args any
		if err == nil {
			if cmd.Tag == "" || cmd.Name == "" {
				t.Fatalf("%q: empty %+v", input, cmd)
			}
			args, err = rest(d, cmd)
		}
		o := outcome{Command: cmd}
		if err == nil {
			o.Args = args
		} else {
			o.Err = err.Error()
		}
		all = append(all, o)
		if err == nil {
			continue
		}
		_, isSyntax := errors.AsType[*SyntaxError](err)
		_, isCharset := errors.AsType[*BadCharsetError](err)
		switch {
		case err == io.EOF, err == io.ErrUnexpectedEOF:
			return all
		case !isSyntax && !isCharset && !isTooBig(err):
			t.Fatalf("%q: %v", input, err)
		}
		if err := d.Discard(); err != nil {
			return append(all, outcome{Err: err.Error()})
		}
	}
	t.Fatalf("%q: no progress", input)
	return nil
}

func FuzzCommand(f *testing.F) {
	for _, s := range []string{
		"a LOGIN joe {3+}\r\nabc\r\nb AUTHENTICATE PLAIN AGEAYg==\r\nc ID (\"name\" NIL)\r\nd ENABLE CONDSTORE UTF8=ACCEPT\r\ne COMPRESS DEFLATE\r\n",
		"a SELECT inbox (QRESYNC (1 2 1:9 (1,3 5:6)) CONDSTORE)\r\nb CREATE x (USE (\\Sent))\r\nc RENAME &AOk- \"y z\"\r\nd DELETE &U,BTFw-\r\n",
		"a LIST (SUBSCRIBED) \"\" (% \"x*\") RETURN (CHILDREN STATUS (MESSAGES SIZE))\r\nb LSUB \"\" *\r\nc STATUS x (UIDNEXT)\r\n",
		"a APPEND x (\\Seen) \" 1-Feb-2024 03:04:05 +0100\" {3}\r\nabc\r\nb APPEND x UTF8 (~{2+}\r\n\x00\x01)\r\n",
		"a FETCH 1:* (FLAGS BODY.PEEK[1.HEADER.FIELDS ({4+}\r\nFrom To)]<0.10> BINARY.SIZE[1]) (CHANGEDSINCE 5)\r\nb UID FETCH $ FULL\r\n",
		"a UID STORE 1:3,*:7 (UNCHANGEDSINCE 0) +FLAGS.SILENT (\\Seen x)\r\nb COPY 1 x\r\nc UID MOVE $ x\r\nd UID EXPUNGE 4\r\n",
		"a UID SEARCH RETURN (MIN SAVE) CHARSET UTF-8 OR SUBJECT {2}\r\n\xc3\xa9 NOT (SINCE 1-Feb-2024 MODSEQ \"/flags/x\" all 5) 1:5 UID $\r\n",
		"a SETQUOTA \"\" (STORAGE 5)\r\nb GETQUOTA r\r\nc GETQUOTAROOT x\r\n",
		"a NOOP {5+}\r\nabc\r\n {3}\r\nb BOGUS\n\nc LOGIN {1000000000+}\r\nx",
		"a LOGIN {1000000000}\r\n{9999999999999999999999+}\r\n",
	} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, input string, utf8 bool) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		small := replay(t, input, utf8, 16)
		runtime.ReadMemStats(&after)
		if spent := after.TotalAlloc - before.TotalAlloc; spent > uint64(1<<20+2000*len(input)) {
			t.Errorf("%q: %d octets allocated", input, spent)
		}
		// How the octets are cut into buffers makes no difference.
		large := replay(t, input, utf8, 1<<16)
		if !reflect.DeepEqual(small, large) {
			t.Errorf("%q:\nsmall buffer %s\nlarge buffer %s", input, fmt.Sprint(small), fmt.Sprint(large))
		}
	})
}
