package conn

import (
	"io"
	"time"

	"github.com/emersion/go-imap/v2"
)

// Append is APPEND (RFC 9051 §6.3.12), of several messages with MULTIAPPEND (RFC 3502).
//
// A message is sent as it is read. If that fails, so does the connection, with the reader's
// error: the server would wait for the rest.
type Append struct {
	Reply
	Mailbox  string
	Messages []Message // at least one

	// APPENDUID (RFC 4315 §3), if the server told it.
	UIDValidity uint32
	UIDs        imap.UIDSet // in the order of Messages
}

// A Message is one to be appended.
type Message struct {
	Flags    []imap.Flag
	Received time.Time // zero: the server's time
	Size     int64     // octets, exactly what Body gives
	Body     io.Reader
	Binary   bool // it has a NUL: literal8, for which the server must have BINARY (RFC 3516 §4.4)
}

func (*Append) name() string { return "APPEND" }

func (a *Append) write(w *writer) {
	w.raw("APPEND ")
	w.mailbox(a.Mailbox)
	for _, m := range a.Messages {
		w.raw(" ")
		if len(m.Flags) > 0 {
			w.flags(m.Flags)
			w.raw(" ")
		}
		if !m.Received.IsZero() {
			w.date(m.Received)
			w.raw(" ")
		}
		w.literal(m.Size, m.Binary)
		w.copy(m.Body, m.Size)
	}
}

func (a *Append) code(_ *Conn, code imap.ResponseCode, arg *reader) bool {
	if code != "APPENDUID" {
		return false
	}
	a.UIDValidity = arg.number()
	arg.space()
	a.UIDs, _ = arg.ranges()
	return true
}
