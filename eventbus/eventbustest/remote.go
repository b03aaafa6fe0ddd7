package eventbustest

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/mailbox"
)

// eachNode shows that what any node publishes reaches all, once and in order, and local listeners only there.
func eachNode(t *testing.T, b Buses) {
	x := newBox()
	var all, locals []*recorder
	for _, node := range b.Nodes {
		r, l := record(eventbus.Mailbox, eventbus.Async), record(eventbus.Local, eventbus.Sync)
		listen(t, node, r, x.key())
		listen(t, node, l)
		all, locals = append(all, r), append(locals, l)
	}
	var want []mailbox.ModSeq
	for i, node := range b.Nodes {
		m := mailbox.ModSeq(2*i + 1)
		x.publish(node, m)
		x.publish(node, m+1)
		want = append(want, m, m+1)
		for _, r := range all { // between nodes there is no order but the store's
			r.want(t, want...)
		}
	}
	for i, l := range locals {
		l.want(t, want[2*i:2*i+2]...)
	}
}

// networkNotWaitedFor shows that the publisher and the listeners of its node do not wait for other nodes, not even for one whose listener is
// stuck; and that this one has everything in the end.
func networkNotWaitedFor(t *testing.T, b Buses) {
	x := newBox()
	release := make(chan struct{})
	var stuck []*recorder
	for _, node := range b.Nodes[1:] {
		r := record(eventbus.Mailbox, eventbus.Sync)
		note := r.Handle
		r.Handle = func(events []mailbox.Event) error {
			<-release
			return note(events)
		}
		listen(t, node, r, x.key())
		stuck = append(stuck, r)
	}
	here := record(eventbus.Mailbox, eventbus.Sync)
	listen(t, b.Nodes[0], here, x.key())
	n := b.Queue / 2
	for m := 1; m <= n; m++ {
		x.publish(b.Nodes[0], mailbox.ModSeq(m))
		if got := len(here.all()); got != m {
			t.Fatalf("%d events were handled when Publish returned, want %d", got, m)
		}
	}
	close(release)
	for _, r := range stuck {
		r.wait(t, n)
	}
}

// manyNodes publishes 10,000 events from 16 goroutines on all nodes: every listener has all of them, those of a
// goroutine in its order.
func manyNodes(t *testing.T, b Buses) {
	const goroutines, total = 16, 10_000
	var boxes []box
	var keys []eventbus.Key
	for range goroutines {
		boxes = append(boxes, newBox())
		keys = append(keys, boxes[len(boxes)-1].key())
	}
	var all []*recorder
	for _, node := range b.Nodes {
		r := record(eventbus.Mailbox, eventbus.Sync)
		listen(t, node, r, keys...)
		all = append(all, r)
	}
	var publishers sync.WaitGroup
	for i, x := range boxes {
		publishers.Go(func() {
			for m := mailbox.ModSeq(1); m <= total/goroutines; m++ {
				x.publish(b.Nodes[i%len(b.Nodes)], m)
			}
		})
	}
	publishers.Wait()
	for i, r := range all {
		next := map[mailbox.ID]mailbox.ModSeq{}
		events := r.wait(t, total)
		if len(events) != total {
			t.Errorf("node %d: %d events, want %d", i, len(events), total)
		}
		for _, e := range events {
			if next[e.Mailbox]++; e.Change.ModSeq != next[e.Mailbox] {
				t.Fatalf("node %d: ModSeq %d came as number %d", i, e.Change.ModSeq, next[e.Mailbox])
			}
		}
	}
}

// losses counts the calls of Lost of one listener.
func losses(t *testing.T, bus *eventbus.Bus, scope eventbus.Scope, d eventbus.Delivery, keys ...eventbus.Key) (*atomic.Int64, chan struct{}) {
	n, told := new(atomic.Int64), make(chan struct{}, 100)
	reg := bus.Listen(&eventbus.Listener{Name: "lost", Scope: scope, Delivery: d, Handle: func([]mailbox.Event) error { return nil }, Lost: func() {
		n.Add(1)
		told <- struct{}{}
	}}, keys...)
	t.Cleanup(reg.Close)
	return n, told
}

// lostAll shows that everybody but the local listeners is told once, however many keys it has.
func lostAll(t *testing.T, b Buses) {
	node := b.Nodes[0]
	x, y := newBox(), newBox()
	local, _ := losses(t, node, eventbus.Local, eventbus.Sync)
	var counts []*atomic.Int64
	for _, d := range []eventbus.Delivery{eventbus.Sync, eventbus.Async} {
		n, told := losses(t, node, eventbus.Mailbox, d, x.key(), y.key())
		account, toldAccount := losses(t, node, eventbus.Account, d, eventbus.AccountKey(x.account))
		cluster, toldCluster := losses(t, node, eventbus.Cluster, d)
		defer wait(t, told, "the notice")
		defer wait(t, toldAccount, "the account's notice")
		defer wait(t, toldCluster, "the cluster's notice")
		counts = append(counts, n, account, cluster)
	}
	for _, d := range []eventbus.Delivery{eventbus.Sync, eventbus.Async} {
		reg := node.Listen(&eventbus.Listener{Name: "panics", Scope: eventbus.Mailbox, Delivery: d, Handle: func([]mailbox.Event) error { return nil },
			Lost: func() { panic("no") }}, x.key())
		defer reg.Close()
	}
	silent := node.Listen(&eventbus.Listener{Scope: eventbus.Mailbox, Handle: func([]mailbox.Event) error { return nil }}, x.key())
	defer silent.Close()
	node.Lost()
	if local.Load() != 0 {
		t.Error("a local listener was told")
	}
	for _, n := range counts {
		if n.Load() > 1 {
			t.Error("told twice")
		}
	}
}

// compareAll shows that everybody but the local listeners is told that everything must be compared, those who do not tell that from a loss as of a
// loss; and that events that come later are handled.
func compareAll(t *testing.T, b Buses) {
	node := b.Nodes[0]
	x := newBox()
	local, _ := losses(t, node, eventbus.Local, eventbus.Sync)
	for _, d := range []eventbus.Delivery{eventbus.Sync, eventbus.Async} {
		n, told := losses(t, node, eventbus.AllAccounts, d)
		r := record(eventbus.Mailbox, d)
		compared := make(chan int, 10)
		r.Compare = func() { compared <- len(r.all()) }
		r.Lost = func() { t.Error("told of a loss") }
		reg := listen(t, node, r, x.key())
		node.Compare()
		if n := wait(t, compared, "the comparison"); n != 0 {
			t.Errorf("told after %d events", n)
		}
		wait(t, told, "the notice")
		node.Receive([]mailbox.Event{x.change(1)})
		r.want(t, 1)
		reg.Close()
		if len(compared) > 0 || n.Load() != 1 {
			t.Error("told twice")
		}
	}
	if local.Load() != 0 {
		t.Error("a local listener was told")
	}
}

// lostKeys shows that only the listeners on the keys, and the cluster's, are told; and that events that come later come after it.
func lostKeys(t *testing.T, b Buses) {
	node := b.Nodes[0]
	x, y := newBox(), newBox()
	other, _ := losses(t, node, eventbus.Mailbox, eventbus.Sync, y.key())
	cluster, _ := losses(t, node, eventbus.Cluster, eventbus.Sync)
	r := record(eventbus.Mailbox, eventbus.Async)
	before := make(chan int, 1)
	r.Lost = func() { before <- len(r.all()) }
	listen(t, node, r, x.key())
	node.Lost(x.key())
	node.Receive([]mailbox.Event{x.change(1)})
	if n := wait(t, before, "the notice"); n != 0 {
		t.Errorf("told after %d events", n)
	}
	x.publish(node, 2)
	if got := r.wait(t, 1); got[len(got)-1].Change.ModSeq > 2 {
		t.Errorf("after the loss came %+v", got)
	}
	if other.Load() != 0 || cluster.Load() != 1 {
		t.Errorf("another mailbox was told %d times, the cluster's listener %d times", other.Load(), cluster.Load())
	}
}
