package eventbus_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/eventbus/codec"
	"github.com/starling-mail/starling/eventbus/eventbustest"
	"github.com/starling-mail/starling/mailbox"
)

func newBus(t testing.TB, o eventbus.Options) *eventbus.Bus {
	o.Log = zerolog.Nop()
	b := eventbus.New(o)
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestOneBus(t *testing.T) {
	eventbustest.Run(t, func(t *testing.T) eventbustest.Buses {
		const queue = 64
		return eventbustest.Buses{Nodes: []*eventbus.Bus{newBus(t, eventbus.Options{QueueLimit: queue})}, Queue: queue}
	})
}

func TestThreeBuses(t *testing.T) {
	for _, c := range []codec.Codec{codec.MessagePack, codec.JSON} {
		t.Run(c.String(), func(t *testing.T) {
			eventbustest.Run(t, func(t *testing.T) eventbustest.Buses {
				b := eventbustest.Buses{Queue: 64}
				for range 3 {
					b.Nodes = append(b.Nodes, newBus(t, eventbus.Options{QueueLimit: b.Queue}))
				}
				eventbustest.Mesh(t, c, b.Nodes...)
				return b
			})
		})
	}
}

// TestDisconnect shows that a Transport gets nothing once it is disconnected, and that it may be connected twice.
func TestDisconnect(t *testing.T) {
	b := newBus(t, eventbus.Options{})
	var sent counter
	first, second := b.Connect(&sent), b.Connect(&sent)
	b.Publish(event(1, mailbox.NewID()))
	first()
	first()
	b.Publish(event(2, mailbox.NewID()))
	second()
	b.Publish(event(3, mailbox.NewID()))
	b.Receive(event(4, mailbox.NewID()))
	if sent != 3 {
		t.Errorf("%d events were sent, want 3", sent)
	}
}

// TestSelective shows that a Selective Transport is told of each key when the first listens to it and when the last one has gone, of what was
// listened to before it came, and nothing once it is disconnected.
func TestSelective(t *testing.T) {
	b := newBus(t, eventbus.Options{})
	id, account := mailbox.NewID(), mailbox.NewAccountID()
	box, owner := eventbus.MailboxKey(id), eventbus.AccountKey(account)
	listen := func(scope eventbus.Scope, keys ...eventbus.Key) *eventbus.Registration {
		return b.Listen(&eventbus.Listener{Scope: scope, Handle: func([]mailbox.Event) error { return nil }}, keys...)
	}
	before := listen(eventbus.Mailbox, box)
	listen(eventbus.Local)
	if before.Announced() != nil {
		t.Error("something is waited for without a Transport")
	}
	chosen := &chooser{said: make(map[eventbus.Key][]bool), announced: make(chan struct{})}
	disconnect := b.Connect(chosen)
	if before.Announced() != (<-chan struct{})(chosen.announced) {
		t.Error("the Transport is not asked")
	}
	again := listen(eventbus.Mailbox, box)
	account1, everything := listen(eventbus.Account, owner), listen(eventbus.Cluster)
	listen(eventbus.AllAccounts)
	before.Close()
	again.Close()
	account1.Close()
	everything.Close()
	again = listen(eventbus.Mailbox, box)
	disconnect()
	again.Close()
	want := map[eventbus.Scope][]bool{eventbus.Mailbox: {true, false, true}, eventbus.Account: {true, false}, eventbus.Cluster: {true, false}}
	if len(chosen.said) != len(want) {
		t.Errorf("told of %d keys", len(chosen.said))
	}
	for k, said := range chosen.said {
		if !slices.Equal(said, want[k.Scope()]) {
			t.Errorf("scope %d: %v", k.Scope(), said)
		}
	}
	// The other nodes count on it.
	if h := eventbus.MailboxKey(mailbox.ID{1, 2, 3}).Hash(); h != 0x60228058ebd6aec {
		t.Errorf("%#x", h)
	}
}

// A chooser is a Selective Transport.
type chooser struct {
	counter
	said      map[eventbus.Key][]bool
	announced chan struct{}
}

func (c *chooser) Watch(k eventbus.Key, on bool) { c.said[k] = append(c.said[k], on) }
func (c *chooser) Announced() <-chan struct{}    { return c.announced }

type counter int

func (c *counter) Send(events []mailbox.Event) { *c += counter(len(events)) }

func event(m mailbox.ModSeq, id mailbox.ID) []mailbox.Event {
	return []mailbox.Event{mailbox.ChangeEvent(&mailbox.Change{Mailbox: id, Prev: m - 1, ModSeq: m})}
}

// TestDeliveryOfAll shows that the bus's Delivery overrides the listeners' own.
func TestDeliveryOfAll(t *testing.T) {
	for _, d := range []eventbus.Delivery{eventbus.Sync, eventbus.Async} {
		b := newBus(t, eventbus.Options{Delivery: d})
		publishing := true // no race with a sync listener only
		waiting, done := make(chan struct{}), make(chan bool, 1)
		id := mailbox.NewID()
		opposite := eventbus.Sync + eventbus.Async - d
		b.Listen(&eventbus.Listener{Scope: eventbus.Mailbox, Delivery: opposite, Handle: func([]mailbox.Event) error {
			if d == eventbus.Async {
				<-waiting
			}
			done <- publishing
			return nil
		}}, eventbus.MailboxKey(id))
		b.Publish(event(1, id))
		publishing = false
		close(waiting)
		if got := <-done; got != (d == eventbus.Sync) {
			t.Errorf("delivery %d: called while publishing: %v", d, got)
		}
	}
}

// TestCloseDrains shows that what was queued is handled, and what is published later is not taken.
func TestCloseDrains(t *testing.T) {
	b := eventbus.New(eventbus.Options{Log: zerolog.Nop()})
	id := mailbox.NewID()
	hold, handled := make(chan struct{}), 0
	b.Listen(&eventbus.Listener{Scope: eventbus.Mailbox, Handle: func(events []mailbox.Event) error {
		<-hold
		handled += len(events)
		return nil
	}}, eventbus.MailboxKey(id))
	for m := mailbox.ModSeq(1); m <= 5; m++ {
		b.Publish(event(m, id))
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Close(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Close with events queued and no time: %v", err)
	}
	b.Publish(event(6, id))
	close(hold)
	if err := b.Close(t.Context()); err != nil || handled != 5 {
		t.Errorf("Close: %v; %d events handled, want 5", err, handled)
	}
	if s := b.Stats(); s.Published != 5 || s.Delivered != 5 || s.Queued != 0 || s.Listeners != 1 {
		t.Errorf("stats: %+v", s)
	}
}
