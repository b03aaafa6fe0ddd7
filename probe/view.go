package probe

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap"
	"github.com/emersion/go-imap/responses"
)

// A view is what the server has told one connection of the selected mailbox, as
// far as a probe wants to know: when it told of a new message, and what it told
// of the one message that is followed. The client's reader writes it, so its
// methods do not wait.
type view struct {
	mu     sync.Mutex
	news   chan struct{} // has an element if something was told since it was last taken
	number uint32        // the followed message's; 0: none is followed, or it is gone
	told   [3]time.Time  // by Kind; zero: not told
	bye    string        // what the server said when it ended the connection
}

func newView() *view { return &view{news: make(chan struct{}, 1)} }

// see takes one response.
func (v *view) see(resp imap.Resp) {
	if s, ok := resp.(*imap.StatusResp); ok && s.Type == imap.StatusRespBye {
		v.mu.Lock()
		v.bye = s.Info
		v.mu.Unlock()
	}
	name, fields, ok := imap.ParseNamedResp(resp)
	if !ok || len(fields) == 0 {
		return
	}
	n, err := imap.ParseNumber(fields[0])
	if err != nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case name == "EXISTS":
		v.tell(Append)
	case name == "FETCH" && n == v.number && flagged(fields):
		v.tell(Flag)
	case name == "EXPUNGE" && n == v.number:
		v.number = 0
		v.tell(Expunge)
	case name == "EXPUNGE" && n < v.number:
		v.number--
	}
}

// tell notes that something was told, for the first time since forget.
func (v *view) tell(k Kind) {
	if v.told[k].IsZero() {
		v.told[k] = time.Now()
	}
	select {
	case v.news <- struct{}{}:
	default:
	}
}

func flagged(fields []any) bool {
	if len(fields) < 2 {
		return false
	}
	items, ok := fields[1].([]any)
	if !ok {
		return false
	}
	var m imap.Message
	if err := m.Parse(items); err != nil {
		return false
	}
	return slices.ContainsFunc(m.Flags, func(f string) bool { return strings.EqualFold(f, imap.FlaggedFlag) })
}

// at returns when the server told of k, or zero.
func (v *view) at(k Kind) time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.told[k]
}

// forget makes k untold.
func (v *view) forget(k Kind) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.told[k] = time.Time{}
}

// follow has the view look out for the message with a number; 0: none.
func (v *view) follow(number uint32) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.number = number
}

// farewell returns what the server said at the end, or nothing.
func (v *view) farewell() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.bye
}

// A tee shows a view the responses that a command's handler gets.
type tee struct {
	view *view
	next responses.Handler // may be nil
}

// Handle implements responses.Handler. A "+" that nobody asked for goes no further:
// the client would keep it in a goroutine, for ever.
func (t tee) Handle(resp imap.Resp) error {
	t.view.see(resp)
	err := responses.ErrUnhandled
	if t.next != nil {
		err = t.next.Handle(resp)
	}
	if _, ok := resp.(*imap.ContinuationReq); ok && errors.Is(err, responses.ErrUnhandled) {
		return nil
	}
	return err
}

// Replies implements responses.Replier.
func (t tee) Replies() <-chan []byte {
	if r, ok := t.next.(responses.Replier); ok {
		return r.Replies()
	}
	return nil
}
