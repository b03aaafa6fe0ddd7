package wire

import (
	"time"

	"github.com/emersion/go-imap/v2"
)

// An Append is the argument list of APPEND (RFC 9051 §6.3.12) up to the
// octets of its message.
type Append struct {
	Mailbox string
	Flags   []imap.Flag
	Date    time.Time // zero if not given
	Message *Literal
	UTF8    bool // the message was given as UTF8 (~{n} ...) (RFC 6855 §4)
}

// Append reads the arguments of APPEND up to the message. The caller then
// either calls Message.Accept, reads Message to its end and calls AppendEnd,
// or refuses and calls Discard.
func (d *Decoder) Append() (Append, error) {
	var a Append
	var err error
	if a.Mailbox, err = d.spMailbox(); err != nil {
		return a, err
	}
	if err = d.SP(); err != nil {
		return a, err
	}
	if d.peek() == '(' {
		if a.Flags, err = d.FlagList(); err != nil {
			return a, err
		}
		if err = d.SP(); err != nil {
			return a, err
		}
	}
	if d.peek() == '"' {
		if a.Date, err = d.DateTime(); err != nil {
			return a, err
		}
		if err = d.SP(); err != nil {
			return a, err
		}
	}
	if c := d.peek(); c != '{' && c != '~' {
		name, err := d.keyword()
		if err != nil || name != "UTF8" || !d.accept(' ') || !d.accept('(') || d.peek() != '~' {
			return a, syntax("expected the literal of a message")
		}
		a.UTF8 = true
	}
	a.Message, err = d.literal()
	return a, err
}

// AppendEnd reads what follows the message of a, up to and including CRLF.
func (d *Decoder) AppendEnd(a Append) error {
	if d.lit != a.Message || a.Message.left > 0 || !a.Message.coming {
		return errNotDrained
	}
	d.lit = nil
	if err := d.next(); err != nil {
		return err
	}
	if a.UTF8 {
		if err := d.expect(')'); err != nil {
			return err
		}
	}
	return d.End()
}
