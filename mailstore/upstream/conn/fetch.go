package conn

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// Fetch is UID FETCH (RFC 9051 §6.4.5).
type Fetch struct {
	UIDs  imap.UIDSet // not empty; a range may end with "*" (0)
	Items string      // as they are sent, such as "UID FLAGS BODY.PEEK[]"
	// ChangedSince, if not 0, asks for messages with a higher mod-sequence only, and with EarlierToo
	// for those that have vanished since, which needs QRESYNC (RFC 7162 §3.1.4.1, §3.2.6).
	ChangedSince mailbox.ModSeq
	EarlierToo   bool
}

// Messages are the messages that a Fetch brings, one by one, as they arrive. The Conn must not be used
// for anything else until Close.
//
// A server may tell of other messages in between, or of the same one twice: whoever
// needs to know looks at the UID.
type Messages struct {
	Reply
	// Vanished are the UIDs that EarlierToo asked for; complete after Close unless
	// Truncated.
	Vanished  imap.UIDSet
	Truncated bool

	c       *Conn
	fetch   Fetch
	before  []Command
	finish  func(error) error
	fault   error
	open    bool // in a message
	closing bool // what still comes is thrown away
	num     uint32
	items   int
	item    Item
}

// Fetch begins to fetch, behind other commands that are sent in the same write. It waits for
// nothing: errors come from Close. A command in before that has a literal may need
// an answer first; Append is not for here.
func (c *Conn) Fetch(ctx context.Context, f Fetch, before ...Command) *Messages {
	m := &Messages{c: c, fetch: f, before: before}
	if m.finish, m.fault = c.begin(ctx); m.fault != nil {
		return m
	}
	c.messages = m
	m.fault = c.send(append(before[:len(before):len(before)], m))
	return m
}

// Next goes on to the next message and reports whether there is one. What is left of the one
// before is skipped.
func (m *Messages) Next() bool {
	if m.fault != nil || m.finish == nil {
		return false
	}
	for m.c.current() != nil {
		a, err := m.c.step()
		if err != nil {
			m.fault = err
			return false
		}
		switch a {
		case message:
			return true
		case continued:
			m.fault = m.c.end(&ProtocolError{Msg: "continuation that no command waits for"})
			return false
		}
	}
	return false
}

// Num is the sequence number of the current message.
func (m *Messages) Num() uint32 { return m.num }

// Close ends the fetch and returns the first error of it, of the commands before it, or of
// the connection. Messages that have not been asked for are skipped; if they are more than
// Limits.Skip octets, the connection is closed instead.
func (m *Messages) Close() error {
	if m.finish == nil {
		return m.fault
	}
	m.closing = true
	for m.fault == nil && m.c.current() != nil {
		m.Next()
	}
	for _, cmd := range append(m.before[:len(m.before):len(m.before)], m) {
		r := cmd.reply()
		if r.Err == nil && m.fault != nil && !m.c.isDone(cmd) {
			r.Err = m.fault
		}
		if m.fault == nil {
			m.fault = r.Err
		}
	}
	m.c.messages, m.open = nil, false
	m.fault = m.finish(m.fault)
	m.finish = nil
	return m.fault
}

// begin begins a message, whose list comes next.
func (m *Messages) begin(num uint32) {
	m.c.r.expect('(')
	m.num, m.items, m.open = num, 0, true
}

// skip goes past what is left of the current message.
func (m *Messages) skip() {
	for m.Item() != nil {
	}
}

func (*Messages) name() string { return "UID FETCH" }

func (m *Messages) write(w *writer) {
	w.raw("UID FETCH ")
	w.uids(m.fetch.UIDs)
	w.raw(" (" + m.fetch.Items + ")")
	if m.fetch.ChangedSince > 0 {
		w.raw(" (CHANGEDSINCE ")
		w.number(uint64(m.fetch.ChangedSince))
		if m.fetch.EarlierToo {
			w.raw(" VANISHED")
		}
		w.raw(")")
	}
}

func (m *Messages) update(_ *reader, u *Update) bool {
	switch {
	case u.Kind == Vanished && u.Earlier:
		m.Vanished = append(m.Vanished, u.UIDs...)
		m.Truncated = m.Truncated || u.Truncated
		return true
	case u.Kind == Fetched:
		return true // after Close
	}
	return false
}

func (m *Messages) ended(*Conn) { m.Vanished = tidy(m.Vanished) }
