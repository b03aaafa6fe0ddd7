package conn

import "github.com/emersion/go-imap/v2"

// A Command is one of this package's commands: a pointer to one of its structs that embeds a
// Reply. It is used once.
type Command interface {
	// name is the command's, for errors.
	name() string
	// write writes name and arguments.
	write(w *writer)
	// update takes what the server told unasked, if it is for this command.
	update(r *reader, u *Update) bool
	// data reads an untagged response up to its line's end, if it is for this command.
	data(c *Conn, kind string, r *reader) bool
	// code takes a response code of an untagged response or of the one that ends the
	// command.
	code(c *Conn, code imap.ResponseCode, arg *reader) bool
	reply() *Reply
}

// An ender is told that it has ended.
type ender interface{ ended(c *Conn) }

// A Reply is how a command ended.
type Reply struct {
	// Err is nil for OK, and a *StatusError for NO and BAD. Where the connection ended before, it
	// is that error.
	Err error
	// Code and Text come with an OK, for people or for codes that have no field of their own.
	Code imap.ResponseCode
	Text string
}

func (r *Reply) reply() *Reply                             { return r }
func (*Reply) update(*reader, *Update) bool                { return false }
func (*Reply) data(*Conn, string, *reader) bool            { return false }
func (*Reply) code(*Conn, imap.ResponseCode, *reader) bool { return false }
func (r *Reply) ok(s *status)                              { r.Code, r.Text = s.code, s.text }
