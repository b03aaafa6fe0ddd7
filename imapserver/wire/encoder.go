package wire

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// An Encoder appends responses to Buf, which the caller owns: it writes Buf out,
// truncates it, and may put it into a pool. Appending allocates nothing while
// Buf has room. Methods do not check the order of calls; those that write a
// whole response say so and end it with CRLF.
type Encoder struct {
	Buf []byte
	// UTF8 is set after ENABLE UTF8=ACCEPT or IMAP4rev2, as in the Decoder.
	UTF8 bool

	inFetch bool // an item of the current FETCH response was appended
}

// maxQuoted is the length from which a string is sent as a literal, so that
// no client meets a line longer than it can take.
const maxQuoted = 1000

// Raw appends s as it is. It must be ASCII that follows the grammar.
func (e *Encoder) Raw(s string) { e.Buf = append(e.Buf, s...) }

// SP appends a space.
func (e *Encoder) SP() { e.Buf = append(e.Buf, ' ') }

// CRLF ends a response.
func (e *Encoder) CRLF() { e.Buf = append(e.Buf, '\r', '\n') }

// NIL appends NIL.
func (e *Encoder) NIL() { e.Buf = append(e.Buf, "NIL"...) }

// Number appends n in decimal.
func (e *Encoder) Number(n uint64) { e.Buf = strconv.AppendUint(e.Buf, n, 10) }

// String appends s as a quoted string or, if it does not fit one, as a literal.
// NUL, which neither may hold (RFC 9051 §9, CHAR8), becomes "?".
func (e *Encoder) String(s string) {
	nul, ok := false, len(s) <= maxQuoted
	high := false
	for i := range len(s) {
		switch c := s[i]; {
		case c == 0:
			nul = true
		case c == '\r' || c == '\n':
			ok = false
		case c >= utf8.RuneSelf:
			high = true
		}
	}
	if nul {
		s = strings.ReplaceAll(s, "\x00", "?")
	}
	if high && (!e.UTF8 || !utf8.ValidString(s)) {
		ok = false
	}
	if ok {
		e.quoted(s)
		return
	}
	e.LiteralHeader(int64(len(s)), false)
	e.Buf = append(e.Buf, s...)
}

func (e *Encoder) quoted(s string) {
	e.Buf = append(e.Buf, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			e.Buf = append(e.Buf, '\\')
		}
		e.Buf = append(e.Buf, s[i])
	}
	e.Buf = append(e.Buf, '"')
}

// NString appends s as String does, or NIL if ok is not set.
func (e *Encoder) NString(s string, ok bool) {
	if !ok {
		e.NIL()
		return
	}
	e.String(s)
}

// AString appends s as an atom if it is one and is not NIL, otherwise as String does.
func (e *Encoder) AString(s string) {
	for i := range len(s) {
		if !isAStringChar(s[i]) {
			e.String(s)
			return
		}
	}
	if s == "" || strings.EqualFold(s, "NIL") {
		e.quoted(s)
		return
	}
	e.Raw(s)
}

// Mailbox appends a mailbox name, given in UTF-8: as UTF-8 if e.UTF8 is set,
// otherwise in modified UTF-7 (RFC 3501 §5.1.3). It is quoted in any case.
func (e *Encoder) Mailbox(name string) {
	if e.UTF8 {
		e.String(name)
		return
	}
	e.Buf = append(e.Buf, '"')
	start := len(e.Buf)
	e.Buf = AppendUTF7(e.Buf, name)
	// Modified UTF-7 is printable ASCII; only these two need an escape.
	for i := start; i < len(e.Buf); i++ {
		if e.Buf[i] == '"' || e.Buf[i] == '\\' {
			e.Buf = append(e.Buf, 0)
			copy(e.Buf[i+1:], e.Buf[i:])
			e.Buf[i] = '\\'
			i++
		}
	}
	e.Buf = append(e.Buf, '"')
}

// LiteralHeader announces a literal of n octets, or a literal8, which may hold
// NUL. The caller appends or writes the octets next.
func (e *Encoder) LiteralHeader(n int64, binary bool) {
	if binary {
		e.Buf = append(e.Buf, '~')
	}
	e.Buf = append(e.Buf, '{')
	e.Buf = strconv.AppendInt(e.Buf, n, 10)
	e.Buf = append(e.Buf, '}', '\r', '\n')
}

// DateTime appends t in its own zone, to the second (RFC 9051 §9, date-time).
// Years outside 0 to 9999, which have no form, become the nearest.
func (e *Encoder) DateTime(t time.Time) {
	switch y := t.Year(); {
	case y > 9999:
		t = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	case y < 0:
		t = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	e.Buf = t.AppendFormat(e.Buf, `"_2-Jan-2006 15:04:05 -0700"`)
}
