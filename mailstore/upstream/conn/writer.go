package conn

import (
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/wire"
)

const (
	// flushSize is how much is collected before it is written.
	flushSize = 16 << 10
	// maxQuoted is the longest string that is sent in quotes.
	maxQuoted = 1000
	// literalMinus is the longest literal that LITERAL- sends at once (RFC 7888 §5).
	literalMinus = 4096
)

// A writer writes commands. Errors stay: the first one ends the connection.
type writer struct {
	c *Conn
	e wire.Encoder
	p *pending // the command being written
	// refused is set once the server has ended the command before it was whole; the rest of it
	// must not be sent.
	refused bool
	secret  bool // what is written must not stay in memory
	err     error
}

// command writes one command.
func (w *writer) command(p *pending) {
	if w.err != nil {
		return
	}
	w.p, w.refused, w.e.UTF8 = p, false, w.c.utf8
	w.raw(p.tag)
	w.raw(" ")
	p.cmd.write(w)
	w.raw("\r\n")
	if len(w.e.Buf) > flushSize {
		w.flush()
	}
}

// flush writes what was collected.
func (w *writer) flush() error {
	if w.err == nil && len(w.e.Buf) > 0 {
		if _, err := w.c.top.Write(w.e.Buf); err != nil {
			w.fail(&NetworkError{Op: "write", Err: err})
		}
	}
	if w.secret {
		clear(w.e.Buf)
		w.secret = false
	}
	w.e.Buf = w.e.Buf[:0]
	return w.err
}

// release lets the memory go.
func (w *writer) release() {
	w.e.Buf, w.p = nil, nil
}

func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = w.c.end(err)
	}
}

// dead reports whether nothing may be written.
func (w *writer) dead() bool { return w.err != nil || w.refused }

// raw writes s as it is.
func (w *writer) raw(s string) {
	if !w.dead() {
		w.e.Raw(s)
	}
}

// number writes n.
func (w *writer) number(n uint64) {
	if !w.dead() {
		w.e.Number(n)
	}
}

// uids writes a set, which is not empty.
func (w *writer) uids(set imap.UIDSet) {
	if !w.dead() {
		w.e.UIDSet(set)
	}
}

// date writes a date and time.
func (w *writer) date(t time.Time) {
	if !w.dead() {
		w.e.DateTime(t)
	}
}

// string writes s as a quoted string or a literal.
func (w *writer) string(s string) {
	quotable := len(s) <= maxQuoted && strings.IndexFunc(s, func(r rune) bool {
		return r == 0 || r == '\r' || r == '\n' || r >= utf8.RuneSelf
	}) < 0
	if quotable || w.e.UTF8 && len(s) <= maxQuoted && utf8.ValidString(s) && !strings.ContainsAny(s, "\r\n\x00") {
		if !w.dead() {
			w.e.String(s)
		}
		return
	}
	w.literal(int64(len(s)), false)
	w.raw(s)
}

// mailbox writes a mailbox name, given in UTF-8.
func (w *writer) mailbox(name string) {
	if !w.e.UTF8 {
		name = string(wire.AppendUTF7(nil, name))
	}
	w.string(name)
}

// flags writes a list of flags. They must be atoms, with a backslash or not.
func (w *writer) flags(flags []imap.Flag) {
	if !w.dead() {
		w.e.Flags(flags)
	}
}

// literal announces n octets, and waits until the server wants them unless it lets us
// send without asking.
func (w *writer) literal(n int64, binary bool) {
	if w.dead() {
		return
	}
	if w.c.caps.Has(imap.CapLiteralPlus) || n <= literalMinus && w.c.caps.Has(imap.CapLiteralMinus) {
		w.e.LiteralHeader(n, binary)
		w.e.Buf = append(w.e.Buf[:len(w.e.Buf)-len("}\r\n")], "+}\r\n"...)
		return
	}
	w.e.LiteralHeader(n, binary)
	w.await()
}

// await waits for the server's "+".
func (w *writer) await() {
	if w.flush() != nil {
		return
	}
	ok, err := w.c.await(w.p)
	if err != nil {
		w.err = err
	}
	w.refused = w.err == nil && !ok
}

// errShort is a message that is not as long as was said.
var errShort = &NetworkError{Op: "write", Err: io.ErrUnexpectedEOF}

// copy writes exactly n octets from src. If src fails, so does the connection, for
// the server would wait for the rest.
func (w *writer) copy(src io.Reader, n int64) {
	if w.flush() != nil || w.refused {
		return
	}
	buf := w.c.dialer.buffers.get()
	defer w.c.dialer.buffers.put(buf)
	for n > 0 {
		k, err := src.Read(buf[:min(int64(len(buf)), n)])
		if k > 0 {
			if _, err := w.c.top.Write(buf[:k]); err != nil {
				w.fail(&NetworkError{Op: "write", Err: err})
				return
			}
			n -= int64(k)
		}
		switch {
		case n == 0:
		case err == io.EOF:
			w.fail(errShort)
			return
		case err != nil:
			w.fail(err)
			return
		}
	}
}
