package probe

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/emersion/go-imap"
	idle "github.com/emersion/go-imap-idle"
)

// A waiting is a connection that waits for news: it idles, or polls where the
// server has no IDLE. Nothing else may use the connection until end.
type waiting struct {
	c    *conn
	stop chan struct{}
	done chan struct{} // closed when the goroutine has ended
	err  error         // then
}

// wait begins to wait. It returns when the server has answered IDLE.
func (c *conn) wait() (*waiting, error) {
	w := &waiting{c: c, stop: make(chan struct{}), done: make(chan struct{})}
	if !c.idles {
		go func() {
			defer close(w.done)
			w.err = w.poll()
		}()
		return w, nil
	}
	h := &idling{Response: idle.Response{RepliesCh: make(chan []byte, 1), Stop: w.stop}, began: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.err = c.execute(new(idle.Command), h)
	}()
	err := c.guard(func() error {
		select {
		case <-h.began:
			return nil
		case <-w.done:
			return w.ended()
		}
	})
	if err != nil {
		close(w.stop)
		return nil, err
	}
	return w, nil
}

// An idling is a running IDLE.
type idling struct {
	idle.Response
	once  sync.Once
	began chan struct{} // closed by the server's "+"
}

// Handle implements responses.Handler.
func (h *idling) Handle(resp imap.Resp) error {
	if _, ok := resp.(*imap.ContinuationReq); ok {
		h.once.Do(func() { close(h.began) })
	}
	return h.Response.Handle(resp)
}

func (w *waiting) poll() error {
	t := time.NewTicker(w.c.poll)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if err := w.c.noop(); err != nil {
				return err
			}
		case <-w.stop:
			return nil
		}
	}
}

// until returns when the server told of k: zero if it has not by the deadline.
func (w *waiting) until(ctx context.Context, k Kind, deadline time.Time) (time.Time, error) {
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	for {
		if at := w.c.view.at(k); !at.IsZero() {
			return at, nil
		}
		select {
		case <-w.c.view.news:
		case <-t.C:
			return w.c.view.at(k), nil
		case <-w.done:
			return time.Time{}, w.ended()
		case <-ctx.Done():
			return time.Time{}, context.Cause(ctx)
		}
	}
}

// ended says why the waiting has ended before it should.
func (w *waiting) ended() error {
	if w.err == nil {
		return errors.New(w.c.node.Name + ": the server ended IDLE by itself")
	}
	return w.err
}

// end stops waiting: the connection can be used again.
func (w *waiting) end() error {
	close(w.stop)
	return w.c.guard(func() error {
		<-w.done
		return w.err
	})
}
