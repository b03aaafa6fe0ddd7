package wire

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// A Decoder reads the commands of one connection. It is used by one goroutine
// at a time. The zero value is ready once Reset, Limits and Continue are set.
type Decoder struct {
	// Limits may be changed between commands.
	Limits Limits
	// Continue sends a command continuation request ("+ ...") and flushes it. It is
	// called for a synchronising literal after its size was found to be acceptable.
	Continue func() error
	// UTF8 is set after ENABLE UTF8=ACCEPT or IMAP4rev2: quoted strings may hold UTF-8
	// and mailbox names are UTF-8, not modified UTF-7 (RFC 6855 §3, RFC 9051 §5.1).
	UTF8 bool

	r    *bufio.Reader
	open bool   // a command was begun and its last CRLF not read
	used int    // octets of this command's lines and buffered literals
	seg  []byte // current line without its end; points into r's buffer, or is long
	pos  int    // of the next octet in seg
	long []byte // holds a line that does not fit r's buffer
	cut  bool   // the rest of the current line was not read: it is too long
	over int    // octets read of a line that is too long, 0 otherwise
	// lit is the literal whose header was read last and whose octets were not.
	lit *Literal
}

// Reset makes the Decoder read from r, between two commands. The Decoder never
// reads past what it needs, except into r's buffer; r may be nil while the
// connection waits without a buffer.
func (d *Decoder) Reset(r *bufio.Reader) {
	d.r = r
	d.close()
}

// Idle reports whether the Decoder is between commands and not one octet of
// the next command has arrived in the reader's buffer.
func (d *Decoder) Idle() bool {
	return !d.open && (d.r == nil || d.r.Buffered() == 0)
}

// A Command is the head of a command.
type Command struct {
	Tag  string // empty if none could be read: the answer is then untagged
	Name string // upper case; "UID FETCH" and so on for the UID commands
}

// maxTag bounds tags, which are repeated in answers. Clients use less than 20 octets.
const maxTag = 256

// Command waits for the next command and reads its tag and name. If the
// previous command was not read to its end, what is left of it is skipped
// first. With a *SyntaxError or *TooBigError the Command holds the tag if there
// was one. At
// the end of the stream between two commands the error is io.EOF.
func (d *Decoder) Command() (Command, error) {
	var cmd Command
	if err := d.Discard(); err != nil {
		return cmd, err
	}
	err := d.next()
	_, tooBig := errors.AsType[*TooBigError](err)
	if err != nil && !tooBig {
		if err == io.ErrUnexpectedEOF && len(d.seg) == 0 {
			err = io.EOF
		}
		return cmd, err
	}
	tag := d.take(func(c byte) bool { return isAStringChar(c) && c != '+' })
	if len(tag) > 0 && len(tag) <= maxTag && d.pos < len(d.seg) && d.seg[d.pos] == ' ' {
		cmd.Tag = string(tag)
		d.pos++
	} else if !tooBig {
		return cmd, syntax("command has no tag")
	}
	if tooBig {
		return cmd, err
	}
	name := d.take(isAtomChar)
	if len(name) == 0 {
		return cmd, syntax("command has no name")
	}
	cmd.Name = upper(name)
	if cmd.Name == "UID" {
		if err := d.SP(); err != nil {
			return cmd, syntax("UID needs a command")
		}
		name = d.take(isAtomChar)
		if len(name) == 0 {
			return cmd, syntax("UID needs a command")
		}
		cmd.Name = "UID " + upper(name)
	}
	return cmd, nil
}

// End reads the CRLF that ends a command.
func (d *Decoder) End() error {
	if !d.open || d.pos != len(d.seg) {
		return syntax("unexpected text at end of command")
	}
	d.close()
	return nil
}

// close forgets the current command and its memory.
func (d *Decoder) close() {
	d.open, d.cut, d.over, d.used = false, false, 0, 0
	d.seg, d.long, d.pos, d.lit = nil, nil, 0, nil
}

// ReadLine reads one line that is not a command, such as DONE (RFC 9051
// §6.3.13), without its CRLF. The line is valid until the next call. A line
// longer than Limits.Line is a *TooBigError; Discard then skips its rest.
func (d *Decoder) ReadLine() ([]byte, error) {
	if err := d.Discard(); err != nil {
		return nil, err
	}
	if err := d.next(); err != nil {
		if err == io.ErrUnexpectedEOF && len(d.seg) == 0 {
			err = io.EOF
		}
		return nil, err
	}
	line := d.seg
	d.close()
	return line, nil
}

// upper returns b in upper case as a new string.
func upper(b []byte) string { return strings.ToUpper(string(b)) }
