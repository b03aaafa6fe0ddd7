package conn

import (
	"math"
	"strings"

	"github.com/starling-mail/starling/imapserver/wire"
)

// raw appends one value as it was sent: an atom, a number, a string or a list of any of
// these, with everything that belongs to it. It reports false, and has appended
// something useless, if that would be more than Limits.Value octets or nest deeper than
// Limits.Depth; the value is skipped then.
func (r *reader) raw(dst []byte) ([]byte, bool) {
	start, depth, fits := len(dst), 0, true
	put := func(b ...byte) {
		if fits = fits && len(dst)-start+len(b) <= r.limits.Value; fits {
			dst = append(dst, b...)
		} else if r.skip -= int64(len(b)); r.skip < 0 {
			r.syntax("value of more than %d octets", r.limits.Value)
		}
	}
	for r.err == nil {
		switch c := r.peek(); c {
		case '(':
			if depth++; depth > r.limits.Depth {
				fits = false
			}
			put(r.next())
			continue
		case ')':
			if depth--; depth < 0 {
				r.syntax("unexpected )")
				continue
			}
			put(r.next())
		case ' ':
			put(r.next())
			continue
		case '"':
			put(r.next())
			for r.err == nil {
				c := r.next()
				if c == '\r' || c == '\n' || c == 0 {
					r.syntax("string without end")
				}
				put(c)
				if c == '\\' {
					put(r.next())
				} else if c == '"' {
					break
				}
			}
		case '{', '~':
			dst, fits = r.rawLiteral(dst, start, fits)
		default:
			n := 0
			for ; r.err == nil && isAtom(r.peek()); n++ {
				put(r.next())
			}
			if n == 0 {
				r.syntax("expected a value")
			}
		}
		if depth == 0 {
			break
		}
	}
	return dst, fits
}

// rawLiteral is raw for a literal.
func (r *reader) rawLiteral(dst []byte, start int, fits bool) ([]byte, bool) {
	binary := r.peek() == '~'
	n := r.literalSize()
	if r.err != nil {
		return dst, false
	}
	e := wire.Encoder{Buf: dst}
	e.LiteralHeader(n, binary)
	if !fits || n > int64(r.limits.Value-(len(e.Buf)-start)) {
		r.discard(n)
		return dst, false
	}
	return r.appendLiteral(e.Buf, n), true
}

// ignore goes past one value.
func (r *reader) ignore() { r.scratch, _ = r.raw(r.scratch[:0]) }

// rest goes past what is left of a response that is not understood, with its literals.
func (r *reader) rest() {
	const header = 24 // octets, more than any literal's
	var tail [header]byte
	n := 0
	for r.err == nil {
		c := r.next()
		if r.skip--; r.skip < 0 {
			r.syntax("more than %d octets that nobody asked for", r.limits.Skip)
		}
		if c != '\n' {
			tail[n%header] = c
			n++
			continue
		}
		size, ok := trailingLiteral(tail[:], n)
		if !ok {
			return
		}
		r.discard(size)
		n = 0
	}
}

// trailingLiteral finds the header of a literal at the end of a line, of which ring holds the
// last octets of n, at i modulo its length.
func trailingLiteral(ring []byte, n int) (int64, bool) {
	line := make([]byte, 0, 24)
	for i := max(0, n-len(ring)); i < n; i++ {
		line = append(line, ring[i%len(ring)])
	}
	s := strings.TrimSuffix(string(line), "\r")
	s, ok := strings.CutSuffix(s, "}")
	if !ok {
		return 0, false
	}
	s = strings.TrimSuffix(s, "+")
	digits := s[strings.LastIndexByte(s, '{')+1:]
	if len(digits) == len(s) || digits == "" || len(digits) > 19 {
		return 0, false
	}
	var size int64
	for _, c := range []byte(digits) {
		if !isDigit(c) || size > (math.MaxInt64-9)/10 {
			return 0, false
		}
		size = size*10 + int64(c-'0')
	}
	return size, true
}
