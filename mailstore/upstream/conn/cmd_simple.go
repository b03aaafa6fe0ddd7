package conn

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// A simple is a command without arguments.
type simple struct {
	Reply
	line string
}

func (s *simple) name() string    { return s.line }
func (s *simple) write(w *writer) { w.raw(s.line) }

// Capability asks what the server can do, which Conn.Caps then tells (RFC 9051 §6.1.1).
type Capability struct{ Reply }

func (*Capability) name() string    { return "CAPABILITY" }
func (*Capability) write(w *writer) { w.raw("CAPABILITY") }

// Noop does nothing but give the server an opportunity to tell what is new (RFC 9051 §6.1.2).
type Noop struct{ Reply }

func (*Noop) name() string    { return "NOOP" }
func (*Noop) write(w *writer) { w.raw("NOOP") }

// Unselect leaves the selected mailbox without an expunge (RFC 3691 §2). The server must have
// UNSELECT or IMAP4rev2.
type Unselect struct{ Reply }

func (*Unselect) name() string    { return "UNSELECT" }
func (*Unselect) write(w *writer) { w.raw("UNSELECT") }

func (u *Unselect) ended(c *Conn) {
	if u.Err == nil {
		c.selected = Selected{}
	}
}

// Logout ends the connection politely (RFC 9051 §6.1.3). It is closed in any case.
func (c *Conn) Logout(ctx context.Context) error {
	err := c.Do(ctx, &simple{line: "LOGOUT"})
	if c.bye != nil {
		err = nil // whatever came after it
	}
	_ = c.end(&NetworkError{Op: "close", Err: ErrClosed})
	return err
}

// Enable switches extensions on (RFC 5161 §3.1), which must be among the server's capabilities.
// Conn.QResync and Conn.UTF8 tell what became of it.
type Enable struct {
	Reply
	Caps []imap.Cap
}

func (*Enable) name() string { return "ENABLE" }

func (e *Enable) write(w *writer) {
	w.raw("ENABLE")
	for _, name := range e.Caps {
		w.raw(" ")
		w.raw(string(name))
	}
}

// ID tells the server who we are (RFC 2971 §3.1), and what it is.
type ID struct {
	Reply
	Fields [][2]string // name and value
	Server [][2]string // the server's, as far as they fit
}

func (*ID) name() string { return "ID" }

func (i *ID) write(w *writer) {
	if len(i.Fields) == 0 {
		w.raw("ID NIL")
		return
	}
	w.raw("ID (")
	for n, f := range i.Fields {
		if n > 0 {
			w.raw(" ")
		}
		w.string(f[0])
		w.raw(" ")
		w.string(f[1])
	}
	w.raw(")")
}

func (i *ID) data(_ *Conn, kind string, r *reader) bool {
	if kind != "ID" {
		return false
	}
	r.space()
	if r.peek() != '(' {
		r.nstring()
		return true
	}
	name, odd := "", false
	r.list(func() {
		b, _ := r.nstring()
		if odd = !odd; odd {
			name = string(b)
			return
		}
		if r.hold(len(name) + len(b) + 48) {
			i.Server = append(i.Server, [2]string{name, string(b)})
		}
	})
	return true
}

// Namespace asks where mailboxes are (RFC 2342 §5).
type Namespace struct {
	Reply
	Personal, Other, Shared []Prefix
}

// A Prefix is a namespace.
type Prefix struct {
	Name      string // what names in it begin with, UTF-8
	Delimiter string // between levels, empty if there are none
}

func (*Namespace) name() string    { return "NAMESPACE" }
func (*Namespace) write(w *writer) { w.raw("NAMESPACE") }

func (n *Namespace) data(c *Conn, kind string, r *reader) bool {
	if kind != "NAMESPACE" {
		return false
	}
	for _, into := range []*[]Prefix{&n.Personal, &n.Other, &n.Shared} {
		*into = nil
		r.space()
		if r.peek() != '(' {
			r.nstring()
			continue
		}
		r.list(func() {
			var p Prefix
			r.expect('(')
			ok := true
			if raw := r.astring(); len(raw) > 0 {
				p.Name, ok = decodeName(raw, c.utf8)
			}
			r.space()
			d, _ := r.nstring()
			p.Delimiter = delimiter(d)
			for r.spaces(); r.peek() != ')' && r.err == nil; r.spaces() {
				r.ignore() // extensions
			}
			r.expect(')')
			if !ok {
				c.skipped++
			} else if r.hold(len(p.Name) + 32) {
				*into = append(*into, p)
			}
		})
	}
	return true
}

func delimiter(b []byte) string {
	if len(b) != 1 {
		return "" // NIL
	}
	return string(b)
}

// modSeq reads a mod-sequence of 0 to 2^63-1 (RFC 7162 §7).
func (r *reader) modSeq() mailbox.ModSeq { return mailbox.ModSeq(r.number64()) }
