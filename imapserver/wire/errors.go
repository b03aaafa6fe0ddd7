package wire

import (
	"errors"
	"fmt"
)

// A SyntaxError says that a command does not follow the grammar. The answer is
// BAD with Msg, which never holds text from the client.
type SyntaxError struct {
	Msg string
	// Desync means that the start of the next command cannot be found any more:
	// the connection must end after the answer.
	Desync bool
}

func (e *SyntaxError) Error() string { return e.Msg }

// A TooBigError says that a line, a literal or a whole command is longer than
// the Decoder's [Limits]. The answer is BAD or NO with [TOOBIG].
type TooBigError struct {
	What  string // "line", "literal", "command" or "non-synchronising literal"
	Size  int64  // octets that were announced, 0 where nothing was announced
	Limit int64  // octets
}

func (e *TooBigError) Error() string {
	return fmt.Sprintf("%s is longer than %d octets", e.What, e.Limit)
}

// A BadCharsetError says that SEARCH named a charset other than US-ASCII and
// UTF-8. The answer is NO [BADCHARSET (US-ASCII UTF-8)] (RFC 9051 §6.4.4).
type BadCharsetError struct{}

func (e *BadCharsetError) Error() string { return "charset is not supported" }

// errNotAccepted and errNotDrained are mistakes of the caller, not of the client.
var (
	errNotAccepted = errors.New("wire: synchronising literal read before Accept")
	errNotDrained  = errors.New("wire: literal not read to its end")
)

func syntax(msg string) error { return &SyntaxError{Msg: msg} }
