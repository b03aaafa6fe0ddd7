package conn

import "context"

// Idle waits for what the server tells, which goes to Updates (RFC 9051 §6.3.13), until the
// context until ends: then the server is told so, and the connection can be used again. If the
// server ends IDLE itself, Idle returns.
//
// Updates may end until. ctx is as everywhere: its end is the connection's.
//
// Servers end a connection after 30 minutes (RFC 2177 §3): until should end before. The
// server's silence is no error meanwhile.
func (c *Conn) Idle(ctx, until context.Context) error {
	finish, err := c.begin(ctx)
	if err != nil {
		return err
	}
	err = c.run([]Command{&idle{until: until}})
	c.r.waiting = false
	return finish(err)
}

// An idle is IDLE. All of it happens while it is written.
type idle struct {
	Reply
	until context.Context
}

func (*idle) name() string { return "IDLE" }

func (i *idle) write(w *writer) {
	c := w.c
	w.raw("IDLE\r\n")
	if w.await(); w.dead() {
		return
	}
	w.e.Buf = nil
	c.r.waiting = true
	c.socket.patience(0)
	told := make(chan struct{})
	stop := context.AfterFunc(i.until, func() {
		defer close(told)
		// Set first: the write may take long, and the answer may come at once.
		c.socket.patience(c.dialer.Timeouts.Response)
		if _, err := c.top.Write([]byte("DONE\r\n")); err != nil {
			_ = c.end(&NetworkError{Op: "write", Err: err})
		}
	})
	if w.await(); !w.dead() {
		w.fail(&ProtocolError{Msg: "IDLE continued twice"})
	}
	if !stop() {
		<-told // nobody else may write meanwhile
	}
	c.socket.patience(c.dialer.Timeouts.Response)
}
