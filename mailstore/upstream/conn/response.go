package conn

import (
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// What came, as far as it concerns whoever waits for it.
type arrival uint8

const (
	untagged  arrival = iota // and was handed on
	tagged                   // a command has ended
	continued                // "+", whatever its text
	message                  // a FETCH response for a Messages, read up to its list
)

// step reads one response, the items of a message for a Messages excepted.
func (c *Conn) step() (arrival, error) {
	r := &c.r
	if m := c.messages; m != nil && m.open {
		m.skip()
	}
	r.response()
	a := untagged
	switch r.peek() {
	case '*':
		r.next()
		r.space()
		a = c.untagged()
	case '+':
		r.next()
		r.spaces()
		r.plainText()
		a = continued
	default:
		a = c.tagged()
	}
	if r.err != nil {
		return a, c.broken(r.err)
	}
	return a, nil
}

// broken ends the connection with err, or with the BYE that explains it.
func (c *Conn) broken(err error) error {
	if e, ok := errors.AsType[*NetworkError](err); ok && e.Op == "read" {
		if c.bye != nil {
			err = c.bye
		} else if e.Err == io.EOF {
			err = &NetworkError{Op: "read", Err: io.ErrUnexpectedEOF}
		}
	}
	return c.end(err)
}

// tagged reads the response that ends a command.
func (c *Conn) tagged() arrival {
	r := &c.r
	tag := string(r.atom())
	i := -1
	for j, p := range c.pending {
		if p.tag == tag {
			i = j
		}
	}
	if i < 0 || c.pending[i].done {
		r.syntax("response with an unknown tag")
		return tagged
	}
	r.space()
	kind := r.keyword()
	s := r.status(kind)
	p := c.pending[i]
	if r.err == nil {
		c.coded(&s, p.cmd) // of NO too: MODIFIED (RFC 7162 §3.1.3)
	}
	if r.err != nil {
		return tagged // half a reply is none
	}
	switch kind {
	case "OK":
		p.cmd.reply().ok(&s)
	case "NO", "BAD":
		p.cmd.reply().Err = &StatusError{Command: p.cmd.name(), Type: s.kind, Code: s.code, Text: s.text}
	default:
		r.syntax("command ends with neither OK nor NO nor BAD")
		return tagged
	}
	p.done = true
	if e, ok := p.cmd.(ender); ok {
		e.ended(c)
	}
	return tagged
}

// current is the first command that has not ended.
func (c *Conn) current() Command {
	for _, p := range c.pending {
		if !p.done {
			return p.cmd
		}
	}
	return nil
}

// offer offers something to the commands in progress, in their order, and reports whether one took
// it. Servers behave as if they ran commands in order (RFC 9051 §5.5), but the reply to one may
// come behind what belongs to the next: Dovecot puts off those of STORE and SEARCH for one
// look at the mailbox. What comes before a mailbox is selected is for nobody behind that.
func (c *Conn) offer(take func(p *pending) bool) bool {
	for _, p := range c.pending {
		if p.done {
			continue
		}
		if take(p) {
			return true
		}
		if _, ok := p.cmd.(*Select); ok {
			return false
		}
	}
	return false
}

// untagged reads an untagged response, behind "* ".
func (c *Conn) untagged() arrival {
	r := &c.r
	if isDigit(r.peek()) {
		return c.numbered()
	}
	switch kind := r.keyword(); kind {
	case "OK", "NO", "BAD":
		s := r.status(kind)
		if r.err == nil {
			c.condition(&s)
		}
	case "BYE":
		s := r.status(kind)
		c.bye = &ByeError{Code: s.code, Text: s.text}
	case "PREAUTH":
		r.status(kind)
		r.syntax("PREAUTH is not the greeting")
	case "CAPABILITY":
		c.able(r)
		r.line()
	case "ENABLED":
		r.spaces()
		for r.err == nil && isAtom(r.peek()) {
			c.enable(r.keyword())
			r.spaces()
		}
		r.line()
	case "FLAGS":
		r.space()
		r.ignore()
		r.line()
		c.update(&Update{Kind: Flags})
	case "VANISHED":
		c.vanished()
	case "ESEARCH":
		c.extended()
	default:
		if c.offer(func(p *pending) bool { return p.cmd.data(c, kind, r) }) {
			r.line()
			return untagged
		}
		if r.err == nil {
			c.skipped++
			r.rest()
		}
	}
	return untagged
}

// numbered reads an untagged response that begins with a number.
func (c *Conn) numbered() arrival {
	r := &c.r
	n := r.number()
	r.space()
	switch kind := r.keyword(); kind {
	case "EXISTS":
		r.line()
		c.update(&Update{Kind: Exists, Num: n})
	case "EXPUNGE":
		r.line()
		if n == 0 {
			r.syntax("EXPUNGE of message 0")
		}
		c.update(&Update{Kind: Expunged, Num: n})
	case "FETCH":
		r.space()
		if m := c.messages; m != nil && !m.closing && c.offer(func(p *pending) bool { return p.cmd == Command(m) }) {
			m.begin(n)
			return message
		}
		c.update(&Update{Kind: Fetched, Row: r.row(n)})
	case "RECENT":
		r.line()
	default:
		if r.err == nil {
			c.skipped++
			r.rest()
		}
	}
	return untagged
}

// vanished reads VANISHED (RFC 7162 §3.2.10).
func (c *Conn) vanished() {
	r := &c.r
	u := Update{Kind: Vanished}
	r.space()
	if r.accept('(') {
		if r.keyword() != "EARLIER" {
			r.syntax("unknown tag of VANISHED")
		}
		r.expect(')')
		r.space()
		u.Earlier = true
	}
	var whole bool
	u.UIDs, whole = r.uids()
	u.Truncated = !whole
	r.line()
	c.update(&u)
}

// extended reads ESEARCH (RFC 4731 §3.1), which names the command that it is for.
func (c *Conn) extended() {
	r := &c.r
	tag := ""
	if r.spaces(); r.peek() == '(' {
		r.list(func() {
			if r.keyword() == "TAG" {
				r.space()
				tag = string(r.astring())
			}
		})
	}
	took := c.offer(func(p *pending) bool {
		s, ok := p.cmd.(*Search)
		if ok = ok && (tag == "" || tag == p.tag); ok {
			s.extended(r)
			r.line()
		}
		return ok
	})
	if !took && r.err == nil {
		c.skipped++
		r.rest()
	}
}

// update hands u to the command in progress, if it is for that, or to Updates.
func (c *Conn) update(u *Update) {
	if c.r.err != nil {
		return
	}
	if c.offer(func(p *pending) bool { return p.cmd.update(&c.r, u) }) {
		return
	}
	if c.Updates != nil {
		c.Updates(*u)
	}
}

// condition handles an untagged OK, NO or BAD.
func (c *Conn) condition(s *status) {
	if c.offer(func(p *pending) bool { return c.coded(s, p.cmd) }) {
		return
	}
	if c.r.err == nil && c.Updates != nil {
		c.Updates(Update{Kind: Notice, Code: s.code, Text: s.text})
	}
}

// coded hands a response code with its argument on and reports whether it was of use.
func (c *Conn) coded(s *status, cmd Command) bool {
	if s.code == "" {
		return false
	}
	arg := c.r.text(s.arg)
	took := false
	if s.code == "CAPABILITY" {
		c.able(arg)
		took = true
	} else {
		took = cmd.code(c, s.code, arg)
	}
	if arg.err != nil {
		c.r.syntax("argument of %s: %v", s.code, arg.err)
	}
	return took
}

// capabilities reads the names of capabilities, up to the line's end.
func (r *reader) capabilities() imap.CapSet {
	set := imap.CapSet{}
	r.spaces()
	for isAtom(r.peek()) {
		name := r.keyword()
		if !r.hold(len(name) + 64) {
			r.syntax("too many capabilities")
		}
		if rest, ok := strings.CutPrefix(name, "IMAP4REV"); ok {
			name = "IMAP4rev" + rest // as imap.Cap spells it
		}
		set[imap.Cap(name)] = struct{}{}
		r.spaces()
	}
	return set
}

// able takes what the server can do from now on.
func (c *Conn) able(r *reader) { c.caps, c.told = r.capabilities(), true }

func (c *Conn) enable(name string) {
	switch name {
	case "UTF8=ACCEPT", "IMAP4REV2":
		c.utf8 = true
	case "QRESYNC":
		c.qresync = true
	}
}

// tag returns the next tag.
func (c *Conn) tag() string {
	c.tags++
	return "s" + strconv.FormatUint(c.tags, 10)
}
