package wire

import (
	"strings"
	"unicode/utf8"
)

// take reads the octets for which ok holds. The result points into the line.
func (d *Decoder) take(ok func(byte) bool) []byte {
	start := d.pos
	for d.pos < len(d.seg) && ok(d.seg[d.pos]) {
		d.pos++
	}
	return d.seg[start:d.pos]
}

// peek returns the next octet of the line, or 0 at its end.
func (d *Decoder) peek() byte {
	if d.pos < len(d.seg) {
		return d.seg[d.pos]
	}
	return 0
}

// accept reads c if it is next.
func (d *Decoder) accept(c byte) bool {
	if d.pos < len(d.seg) && d.seg[d.pos] == c {
		d.pos++
		return true
	}
	return false
}

// expect reads c, which must be next.
func (d *Decoder) expect(c byte) error {
	if !d.accept(c) {
		return syntax("expected " + string(rune(c)))
	}
	return nil
}

// SP reads the one space between two arguments.
func (d *Decoder) SP() error {
	if !d.accept(' ') {
		return syntax("expected a space and an argument")
	}
	return nil
}

// Atom reads an atom.
func (d *Decoder) Atom() (string, error) {
	b := d.take(isAtomChar)
	if len(b) == 0 {
		return "", syntax("expected an atom")
	}
	return string(b), nil
}

// keyword reads an atom in upper case.
func (d *Decoder) keyword() (string, error) {
	b := d.take(isAtomChar)
	if len(b) == 0 {
		return "", syntax("expected an atom")
	}
	return upper(b), nil
}

// AString reads an astring: an atom (which may hold "]"), a quoted string or a literal.
func (d *Decoder) AString() (string, error) {
	if c := d.peek(); c == '"' || c == '{' {
		return d.String()
	}
	b := d.take(isAStringChar)
	if len(b) == 0 {
		return "", syntax("expected an astring")
	}
	return string(b), nil
}

// String reads a quoted string or a literal. A literal may hold any octet
// except NUL; a quoted string is ASCII or, with d.UTF8, valid UTF-8.
func (d *Decoder) String() (string, error) {
	switch d.peek() {
	case '"':
		return d.quoted()
	case '{':
		return d.bufferedLiteral()
	}
	return "", syntax("expected a string")
}

// NString reads a string or NIL, for which ok is false.
func (d *Decoder) NString() (s string, ok bool, err error) {
	if c := d.peek(); c == '"' || c == '{' {
		s, err = d.String()
		return s, err == nil, err
	}
	if !strings.EqualFold(string(d.take(isAtomChar)), "NIL") {
		return "", false, syntax("expected a string or NIL")
	}
	return "", false, nil
}

// quoted reads a quoted string, from its first quote.
func (d *Decoder) quoted() (string, error) {
	d.pos++
	start, escapes, high := d.pos, 0, false
	for ; d.pos < len(d.seg); d.pos++ {
		switch c := d.seg[d.pos]; {
		case c == '"':
			raw := d.seg[start:d.pos]
			d.pos++
			if high && (!d.UTF8 || !utf8.Valid(raw)) {
				return "", syntax("quoted string is not allowed to hold these octets")
			}
			if escapes == 0 {
				return string(raw), nil
			}
			return unescape(raw, escapes), nil
		case c == '\\':
			d.pos++
			if next := d.peek(); next != '"' && next != '\\' {
				return "", syntax("bad escape in a quoted string")
			}
			escapes++
		case c == 0 || c == '\r':
			return "", syntax("control character in a quoted string")
		case c >= utf8.RuneSelf:
			high = true
		}
	}
	return "", syntax("quoted string has no end")
}

// unescape removes the backslashes of a quoted string.
func unescape(raw []byte, escapes int) string {
	var b strings.Builder
	b.Grow(len(raw) - escapes)
	for i := 0; i < len(raw); i++ {
		if raw[i] == '\\' {
			i++
		}
		b.WriteByte(raw[i])
	}
	return b.String()
}

// list reads "(" item *(SP item) ")", or "()" if empty is allowed.
func (d *Decoder) list(empty bool, item func() error) error {
	if err := d.expect('('); err != nil {
		return err
	}
	if empty && d.accept(')') {
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		if d.accept(')') {
			return nil
		}
		if err := d.SP(); err != nil {
			return err
		}
	}
}
