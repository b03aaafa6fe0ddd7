package eventbustest

import (
	"sync"
	"testing"
	"time"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/mailbox"
)

// patience is how long something that must happen is waited for.
const patience = time.Minute

// A recorder is a listener that notes what it gets.
type recorder struct {
	eventbus.Listener
	mu     sync.Mutex
	events []mailbox.Event
	got    chan struct{} // has an item after each call
}

func record(scope eventbus.Scope, d eventbus.Delivery) *recorder {
	r := &recorder{got: make(chan struct{}, 1)}
	r.Listener.Name, r.Listener.Scope, r.Listener.Delivery = "recorder", scope, d
	r.Listener.Handle = func(events []mailbox.Event) error {
		r.mu.Lock()
		r.events = append(r.events, events...)
		r.mu.Unlock()
		select {
		case r.got <- struct{}{}:
		default:
		}
		return nil
	}
	return r
}

// all returns what has come so far.
func (r *recorder) all() []mailbox.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events[:len(r.events):len(r.events)]
}

// wait returns what has come as soon as it is n events or more.
func (r *recorder) wait(t *testing.T, n int) []mailbox.Event {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		if events := r.all(); len(events) >= n {
			return events
		}
		select {
		case <-r.got:
		case <-deadline.C:
			t.Fatalf("%d events came, want %d", len(r.all()), n)
		}
	}
}

// want waits for the ModSeqs and fails if anything else came.
func (r *recorder) want(t *testing.T, modseqs ...mailbox.ModSeq) {
	t.Helper()
	events := r.wait(t, len(modseqs))
	if len(events) != len(modseqs) {
		t.Fatalf("%d events came, want %d", len(events), len(modseqs))
	}
	for i, m := range modseqs {
		if events[i].Change == nil || events[i].Change.ModSeq != m {
			t.Fatalf("event %d is %+v, want ModSeq %d", i, events[i], m)
		}
	}
}

// wait receives from c.
func wait[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("%s did not happen", what)
	}
	return v
}

// A box is a mailbox to publish changes of.
type box struct {
	id      mailbox.ID
	account mailbox.AccountID
}

func newBox() box { return box{mailbox.NewID(), mailbox.NewAccountID()} }

// change returns the change that makes the box's ModSeq m.
func (b box) change(m mailbox.ModSeq) mailbox.Event {
	return mailbox.ChangeEvent(&mailbox.Change{Mailbox: b.id, Account: b.account, Prev: m - 1, ModSeq: m})
}

// publish publishes changes.
func (b box) publish(bus *eventbus.Bus, modseqs ...mailbox.ModSeq) {
	var events []mailbox.Event
	for _, m := range modseqs {
		events = append(events, b.change(m))
	}
	bus.Publish(events)
}

func (b box) key() eventbus.Key { return eventbus.MailboxKey(b.id) }

// listen registers r and returns its registration, once all nodes know of it. It is closed at the end of the test in any case.
func listen(t *testing.T, bus *eventbus.Bus, r *recorder, keys ...eventbus.Key) *eventbus.Registration {
	reg := bus.Listen(&r.Listener, keys...)
	t.Cleanup(reg.Close)
	if announced := reg.Announced(); announced != nil {
		wait(t, announced, "the announcement")
	}
	return reg
}
