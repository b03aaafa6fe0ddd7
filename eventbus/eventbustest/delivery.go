package eventbustest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/mailbox"
)

func publishFromHandler(t *testing.T, b Buses) {
	for _, d := range []eventbus.Delivery{eventbus.Sync, eventbus.Async} {
		x, y := newBox(), newBox()
		node := b.Nodes[0]
		r := record(eventbus.Mailbox, d)
		listen(t, node, r, y.key())
		reg := node.Listen(&eventbus.Listener{Scope: eventbus.Mailbox, Delivery: d, Handle: func(events []mailbox.Event) error {
			for _, e := range events {
				y.publish(node, e.Change.ModSeq)
			}
			return nil
		}}, x.key())
		x.publish(node, 1, 2)
		r.want(t, 1, 2)
		reg.Close()
	}
}

func closeFromHandler(t *testing.T, b Buses) {
	for _, d := range []eventbus.Delivery{eventbus.Sync, eventbus.Async} {
		x := newBox()
		node := b.Nodes[0]
		calls := make(chan int, 10)
		var reg *eventbus.Registration
		registered := make(chan struct{})
		reg = node.Listen(&eventbus.Listener{Scope: eventbus.Mailbox, Delivery: d, Handle: func(events []mailbox.Event) error {
			<-registered
			reg.Close()
			calls <- len(events)
			return nil
		}}, x.key())
		close(registered)
		x.publish(node, 1)
		wait(t, calls, "the call")
		x.publish(node, 2)
		after := record(eventbus.Mailbox, d)
		listen(t, node, after, x.key())
		x.publish(node, 3)
		after.want(t, 3)
		if len(calls) > 0 {
			t.Errorf("called after Close")
		}
	}
}

func asyncAndSync(t *testing.T, b Buses) {
	x := newBox()
	node := b.Nodes[0]
	release, entered := make(chan struct{}), make(chan struct{}, 1)
	held := func([]mailbox.Event) error {
		entered <- struct{}{}
		<-release
		return nil
	}
	reg := node.Listen(&eventbus.Listener{Scope: eventbus.Mailbox, Delivery: eventbus.Async, Handle: held}, x.key())
	x.publish(node, 1) // returns although the listener does not
	wait(t, entered, "the async call")
	reg.Close()
	release <- struct{}{}

	reg = node.Listen(&eventbus.Listener{Scope: eventbus.Mailbox, Delivery: eventbus.Sync, Handle: held}, x.key())
	published := make(chan struct{})
	go func() {
		x.publish(node, 2)
		close(published)
	}()
	wait(t, entered, "the sync call")
	select {
	case <-published:
		t.Error("Publish returned before the sync listener")
	default:
	}
	release <- struct{}{}
	wait(t, published, "the return of Publish")
	reg.Close()
}

func tooSlow(t *testing.T, b Buses) {
	x := newBox()
	node := b.Nodes[0]
	release, entered, lost := make(chan struct{}), make(chan struct{}, 1), make(chan int64, 1)
	slow := record(eventbus.Mailbox, eventbus.Async)
	note := slow.Handle
	var once sync.Once
	slow.Handle = func(events []mailbox.Event) error {
		once.Do(func() {
			entered <- struct{}{}
			<-release
		})
		return note(events)
	}
	slow.Lost = func() { lost <- int64(len(slow.all())) }
	listen(t, node, slow, x.key())
	quick := record(eventbus.Mailbox, eventbus.Sync)
	listen(t, node, quick, x.key())

	x.publish(node, 1)
	wait(t, entered, "the first call")
	before := node.Stats()
	n := mailbox.ModSeq(3*b.Queue + 10)
	for m := mailbox.ModSeq(2); m <= n; m++ {
		x.publish(node, m)
		if q := node.Stats().Queued; q > int64(b.Queue) {
			t.Fatalf("%d events are queued, the limit is %d", q, b.Queue)
		}
	}
	close(release)
	if got := wait(t, lost, "the notice of loss"); got != 1 {
		t.Errorf("told of the loss after %d events, want 1", got)
	}
	x.publish(node, n+1) // it starts again
	if got := slow.wait(t, 2); got[len(got)-1].Change.ModSeq != n+1 {
		t.Errorf("after the loss came %d", got[len(got)-1].Change.ModSeq)
	}
	if got := node.Stats().Lost - before.Lost; got != uint64(n-1) {
		t.Errorf("%d events are counted as lost, want %d", got, n-1)
	}
	if got := quick.wait(t, int(n)+1); len(got) != int(n)+1 {
		t.Errorf("the other listener got %d events, want %d", len(got), n+1)
	}
}

func order(t *testing.T, b Buses) {
	const publishers = 8
	n := mailbox.ModSeq(b.Queue / publishers / 2)
	var boxes []box
	var keys []eventbus.Key
	for range publishers {
		boxes = append(boxes, newBox())
		keys = append(keys, boxes[len(boxes)-1].key())
	}
	async, sync1 := record(eventbus.Mailbox, eventbus.Async), record(eventbus.Mailbox, eventbus.Sync)
	listen(t, b.Nodes[0], async, keys...)
	listen(t, b.Nodes[0], sync1, keys...)
	var done sync.WaitGroup
	for _, x := range boxes {
		done.Go(func() {
			for m := mailbox.ModSeq(1); m <= n; m++ {
				x.publish(b.Nodes[0], m)
			}
		})
	}
	done.Wait()
	for _, r := range []*recorder{async, sync1} {
		next := map[mailbox.ID]mailbox.ModSeq{}
		for _, e := range r.wait(t, publishers*int(n)) {
			if next[e.Mailbox]++; e.Change.ModSeq != next[e.Mailbox] {
				t.Fatalf("ModSeq %d came as number %d", e.Change.ModSeq, next[e.Mailbox])
			}
		}
	}
}

func local(t *testing.T, b Buses) {
	var all []*recorder
	for _, node := range b.Nodes {
		r := record(eventbus.Local, eventbus.Async)
		listen(t, node, r)
		all = append(all, r)
	}
	for i, node := range b.Nodes {
		newBox().publish(node, mailbox.ModSeq(i)+1)
	}
	for i, r := range all {
		r.want(t, mailbox.ModSeq(i)+1)
	}
}

func cluster(t *testing.T, b Buses) {
	var all []*recorder
	for _, node := range b.Nodes {
		r := record(eventbus.Cluster, eventbus.Async)
		listen(t, node, r)
		all = append(all, r)
	}
	x := newBox()
	x.publish(b.Nodes[0], 1, 2)
	x.publish(b.Nodes[0], 3)
	for _, r := range all {
		r.want(t, 1, 2, 3)
	}
}

// allAccounts shows that everything but Changes comes to each node once, whatever keys others listen on.
func allAccounts(t *testing.T, b Buses) {
	x := newBox()
	var all []*recorder
	for _, node := range b.Nodes {
		r := record(eventbus.AllAccounts, eventbus.Sync)
		listen(t, node, r)
		all = append(all, r)
	}
	created := mailbox.Event{Kind: mailbox.EventCreated, Account: x.account, Mailbox: x.id, Name: "a"}
	deleted := mailbox.Event{Kind: mailbox.EventDeleted, Account: x.account, Mailbox: x.id, Name: "a"}
	x.publish(b.Nodes[0], 1)
	b.Nodes[0].Publish([]mailbox.Event{x.change(2), created, x.change(3), deleted, x.change(4)})
	for _, r := range all {
		if got := r.wait(t, 2); len(got) != 2 || got[0] != created || got[1] != deleted {
			t.Errorf("came %+v", got)
		}
	}
}

// whole shows that events of an account arrive as they were published, on each node.
func whole(t *testing.T, b Buses) {
	x := newBox()
	user := mailbox.NewAccountID()
	events := []mailbox.Event{
		{Kind: mailbox.EventRenamed, Account: x.account, Mailbox: x.id, Name: "new", OldName: "old"},
		{Kind: mailbox.EventDeleted, Account: x.account, Mailbox: x.id, Name: "new"},
		{Kind: mailbox.EventACLChanged, Account: x.account, Mailbox: x.id, User: user},
	}
	for _, node := range b.Nodes {
		r := record(eventbus.Account, eventbus.Async)
		listen(t, node, r, eventbus.AccountKey(x.account))
		defer func() {
			for i, e := range r.wait(t, len(events)) {
				if e != events[i] {
					t.Errorf("came %+v, want %+v", e, events[i])
				}
			}
		}()
	}
	b.Nodes[0].Publish(events)
}

// many publishes from many goroutines while listeners come and go.
func many(t *testing.T, b Buses) {
	const goroutines, each = 16, 100
	x := newBox()
	r := record(eventbus.Mailbox, eventbus.Sync)
	listen(t, b.Nodes[0], r, x.key())
	var done sync.WaitGroup
	for g := range goroutines {
		done.Go(func() {
			for i := range each {
				other := record(eventbus.Mailbox, eventbus.Delivery(i%3))
				reg := b.Nodes[0].Listen(&other.Listener, x.key(), newBox().key())
				x.publish(b.Nodes[0], mailbox.ModSeq(1+g*each+i))
				reg.Close()
			}
		})
	}
	done.Wait()
	seen := map[mailbox.ModSeq]bool{}
	for _, e := range r.wait(t, goroutines*each) {
		if seen[e.Change.ModSeq] {
			t.Fatal(fmt.Sprint("twice: ", e.Change.ModSeq))
		}
		seen[e.Change.ModSeq] = true
	}
}
