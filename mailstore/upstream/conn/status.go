package conn

import (
	"github.com/emersion/go-imap/v2"
)

// maxText bounds the text for people that is kept of a response.
const maxText = 1 << 10

// A status is the condition, the code and the text of a status response (RFC 9051 §7.1).
type status struct {
	kind imap.StatusResponseType
	code imap.ResponseCode // upper case
	arg  []byte            // of the code, as sent; valid until the next response
	text string
}

// status reads what follows the condition, to the end of the line.
func (r *reader) status(kind string) status {
	s := status{kind: imap.StatusResponseType(kind)}
	r.spaces()
	if r.accept('[') {
		s.code = imap.ResponseCode(r.words.upper(r.take(r.scratch[:0], func(c byte) bool { return isAtom(c) && c != ']' })))
		r.spaces()
		s.arg = r.codeArgument()
		r.expect(']')
		r.spaces()
	}
	s.text = r.words.string(r.plainText())
	return s
}

// codeArgument reads up to the "]" that ends a response code.
func (r *reader) codeArgument() []byte {
	var arg []byte
	quoted := false
	for r.err == nil {
		switch c := r.peek(); {
		case c == '\r' || c == '\n' || c == 0:
			r.syntax("response code without end")
			return nil
		case c == '"':
			quoted = !quoted
		case c == ']' && !quoted:
			return arg
		case len(arg) >= r.limits.Value:
			r.syntax("response code of more than %d octets", r.limits.Value)
			return nil
		}
		arg = append(arg, r.next())
	}
	return nil
}

// plainText reads the text that ends a line, and the line's end.
func (r *reader) plainText() []byte {
	text := make([]byte, 0, 64)
	for r.err == nil {
		c := r.next()
		if c == '\n' {
			break
		}
		if c != '\r' && len(text) < maxText {
			text = append(text, c)
		}
	}
	return text
}
