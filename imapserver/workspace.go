package imapserver

import (
	"bufio"

	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/tracker"
)

// Sizes of a working connection's buffers, in bytes.
const (
	readBuffer = 4 << 10
	// writeBuffer is how much is collected before it is written. Beyond, a slow
	// client holds up its own command and nothing else.
	writeBuffer = 32 << 10
	// keepBuffer is how large a write buffer may have grown to be used again, and
	// keepRows how many rows the other buffers may have.
	keepBuffer = 256 << 10
	keepRows   = 1024
)

// A workspace is what a connection needs only while it has an owner.
type workspace struct {
	in  *bufio.Reader
	dec wire.Decoder
	enc wire.Encoder // its Buf holds responses not written yet

	// Of the command in progress: its tag; reply, unless nil, writes the tagged OK;
	// after, unless nil, is called once that is collected.
	tag   string
	reply func(tag string)
	after func(*conn) error
	// outcome is how the command has ended, or will if nothing else happens.
	outcome outcome
	// byNumber is set by a UID command that has sequence numbers among its arguments.
	byNumber bool

	page   mailstore.Page
	rows   []tracker.FlagRow
	update tracker.Update
}

// lend gives c a workspace.
func (s *Server) lend(c *conn) *workspace {
	w, ok := s.workspaces.Get().(*workspace)
	if !ok {
		w = &workspace{in: bufio.NewReaderSize(nil, readBuffer)}
	}
	s.counters.working.Add(1)
	w.in.Reset(c)
	w.dec.Reset(w.in)
	w.dec.Continue = c.proceed
	c.workspace = w
	c.tune()
	return w
}

// takeBack takes c's workspace away.
func (s *Server) takeBack(c *conn) {
	w := c.workspace
	c.workspace = nil
	s.counters.working.Add(-1)
	w.in.Reset(nil)
	w.dec.Reset(nil)
	w.dec.Continue = nil
	w.tag, w.reply, w.after = "", nil, nil // they belong to the connection
	if cap(w.enc.Buf) <= keepBuffer && cap(w.rows) <= keepRows && cap(w.page.Rows) <= keepRows && cap(w.update.Expunged) <= keepRows {
		w.enc.Buf = w.enc.Buf[:0]
		s.workspaces.Put(w)
	}
}

// tune sets what decoder and encoder have to know of the connection's state.
func (c *conn) tune() {
	st := c.srv.settings.Load()
	c.dec.Limits = st.Command
	if c.state == notAuthenticated {
		c.dec.Limits = st.PreAuth
	}
	c.dec.UTF8 = c.enabled&(utf8Accept|rev2) != 0
	c.enc.UTF8 = c.dec.UTF8
}

// proceed asks the client for a synchronising literal (RFC 9051 §7.6).
func (c *conn) proceed() error {
	c.enc.Continuation("Ready")
	return c.flush()
}
