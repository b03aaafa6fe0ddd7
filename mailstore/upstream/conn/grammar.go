package conn

import (
	"math"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/wire"
)

// isAtom is ATOM-CHAR (RFC 9051 §9) and what servers put into atoms all the same: "]",
// which some flags have, and 8-bit octets.
func isAtom(c byte) bool {
	switch c {
	case '(', ')', '{', '"', 0x7f:
		return false
	}
	return c > ' '
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// space goes past the spaces that must be here. One is right; some servers send more.
func (r *reader) space() {
	r.expect(' ')
	r.spaces()
}

func (r *reader) spaces() {
	for r.accept(' ') {
	}
}

// line goes past the end of a response. A lone LF will do.
func (r *reader) line() {
	r.spaces()
	r.accept('\r')
	r.expect('\n')
}

// take appends the octets for which ok holds to dst, at most Limits.Value.
func (r *reader) take(dst []byte, ok func(byte) bool) []byte {
	n := len(dst)
	for {
		c := r.peek()
		if c == 0 || !ok(c) {
			return dst
		}
		chunk := r.buf[r.pos:r.end]
		i := 1
		for i < len(chunk) && chunk[i] != 0 && ok(chunk[i]) {
			i++
		}
		if len(dst)-n+i > r.limits.Value {
			r.syntax("word of more than %d octets", r.limits.Value)
			return dst
		}
		dst = append(dst, chunk[:i]...)
		r.pos += i
	}
}

// atom reads an atom. The result is valid until the next value is read.
func (r *reader) atom() []byte {
	r.scratch = r.take(r.scratch[:0], isAtom)
	if len(r.scratch) == 0 {
		r.syntax("expected a word")
	}
	return r.scratch
}

// keyword reads an atom in upper case.
func (r *reader) keyword() string { return r.words.upper(r.atom()) }

// number64 reads a number of 0 to 2^63-1.
func (r *reader) number64() int64 {
	if !isDigit(r.peek()) {
		r.syntax("expected a number")
		return 0
	}
	var n int64
	for isDigit(r.peek()) {
		d := int64(r.next() - '0')
		if n > (math.MaxInt64-d)/10 {
			r.syntax("number is too large")
			return 0
		}
		n = n*10 + d
	}
	return n
}

// number reads a number of 0 to 2^32-1.
func (r *reader) number() uint32 {
	n := r.number64()
	if n > math.MaxUint32 {
		r.syntax("number is too large")
		return 0
	}
	return uint32(n)
}

// uid reads a UID, which is never 0.
func (r *reader) uid() imap.UID {
	n := r.number()
	if n == 0 {
		r.syntax("UID is 0")
	}
	return imap.UID(n)
}

// literalSize reads the header of a literal: {n}, ~{n}, and the line's end.
func (r *reader) literalSize() int64 {
	r.accept('~')
	r.expect('{')
	n := r.number64()
	r.accept('+')
	r.expect('}')
	r.accept('\r')
	r.expect('\n')
	return n
}

// appendLiteral appends the n octets of a literal, as they arrive.
func (r *reader) appendLiteral(dst []byte, n int64) []byte {
	r.allow(n)
	for n > 0 && r.err == nil {
		chunk := r.unread()
		chunk = chunk[:min(int64(len(chunk)), n)]
		dst = append(dst, chunk...)
		r.pos += len(chunk)
		n -= int64(len(chunk))
	}
	return dst
}

// appendString appends what a quoted string or literal says. Quoted strings may hold any
// octets but CR, LF and NUL.
func (r *reader) appendString(dst []byte) []byte {
	switch r.peek() {
	case '{', '~':
		n := r.literalSize()
		if n > int64(r.limits.Value) {
			r.syntax("string of more than %d octets", r.limits.Value)
			return dst
		}
		return r.appendLiteral(dst, n)
	case '"':
		start := len(dst)
		for r.next(); r.err == nil; {
			c := r.next()
			switch c {
			case '"':
				return dst
			case '\\':
				c = r.next()
			}
			if c == '\r' || c == '\n' || c == 0 {
				r.syntax("string without end")
				return dst
			}
			if len(dst)-start >= r.limits.Value {
				r.syntax("string of more than %d octets", r.limits.Value)
				return dst
			}
			dst = append(dst, c)
		}
		return dst
	}
	r.syntax("expected a string")
	return dst
}

// astring reads an atom, a quoted string or a literal. The result is valid until the next
// value is read.
func (r *reader) astring() []byte {
	switch r.peek() {
	case '"', '{', '~':
		r.scratch = r.appendString(r.scratch[:0])
		return r.scratch
	}
	return r.atom()
}

// nstring is astring, and false for NIL.
func (r *reader) nstring() ([]byte, bool) {
	switch r.peek() {
	case '"', '{', '~':
		r.scratch = r.appendString(r.scratch[:0])
		return r.scratch, true
	}
	if b := r.atom(); !strings.EqualFold(string(b), "NIL") {
		return b, true
	}
	return nil, false
}

// mailbox reads a mailbox name and returns it in UTF-8; false if it is no name that could be
// sent back to the server.
func (r *reader) mailbox(utf8 bool) (string, bool) {
	return decodeName(r.astring(), utf8)
}

func decodeName(raw []byte, utf8 bool) (string, bool) {
	s := string(raw)
	if strings.EqualFold(s, "INBOX") {
		return "INBOX", true
	}
	if utf8 {
		return s, validName(s)
	}
	s, ok := wire.DecodeUTF7(s)
	return s, ok && validName(s)
}

// list reads a list in parentheses and calls item at each element, which item reads.
func (r *reader) list(item func()) {
	r.expect('(')
	for r.spaces(); !r.accept(')') && r.err == nil; r.spaces() {
		at, base := r.pos, r.base
		item()
		if r.err == nil && r.pos == at && r.base == base {
			r.syntax("unexpected %q in a list", r.peek())
		}
	}
}
