package eventbustest

import (
	"errors"
	"sync"
	"testing"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/mailbox"
)

func ownKeyOnly(t *testing.T, b Buses) {
	mine, other := newBox(), newBox()
	for _, node := range b.Nodes {
		byBox, byAccount := record(eventbus.Mailbox, eventbus.Async), record(eventbus.Account, eventbus.Sync)
		listen(t, node, byBox, mine.key())
		listen(t, node, byAccount, eventbus.AccountKey(mine.account))
		defer byBox.want(t, 1, 2)
		defer byAccount.want(t, 1, 2)
	}
	other.publish(b.Nodes[0], 1)
	mine.publish(b.Nodes[0], 1)
	other.publish(b.Nodes[0], 2)
	mine.publish(b.Nodes[0], 2)
}

func severalKeysOnce(t *testing.T, b Buses) {
	one, two := newBox(), newBox()
	both := record(eventbus.Mailbox, eventbus.Async)
	listen(t, b.Nodes[0], both, one.key(), two.key(), one.key())
	// A change of rights concerns its owner and the user who got them.
	rights := record(eventbus.Account, eventbus.Async)
	owner, user := mailbox.NewAccountID(), mailbox.NewAccountID()
	listen(t, b.Nodes[0], rights, eventbus.AccountKey(owner), eventbus.AccountKey(user))
	userOnly := record(eventbus.Account, eventbus.Async)
	listen(t, b.Nodes[0], userOnly, eventbus.AccountKey(user))

	acl := mailbox.Event{Kind: mailbox.EventACLChanged, Account: owner, Mailbox: one.id, User: user}
	b.Nodes[0].Publish([]mailbox.Event{acl})
	one.publish(b.Nodes[0], 7)
	two.publish(b.Nodes[0], 8)
	acl.Name = "again"
	b.Nodes[0].Publish([]mailbox.Event{acl})
	if got := both.wait(t, 4); len(got) != 4 || got[1].Change.ModSeq != 7 || got[2].Change.ModSeq != 8 {
		t.Errorf("the mailbox listener got %+v", got)
	}
	for _, r := range []*recorder{rights, userOnly} {
		if got := r.wait(t, 2); len(got) != 2 || got[0].Name != "" || got[1].Name != "again" {
			t.Errorf("an account listener got %+v", got)
		}
	}
}

func everyListener(t *testing.T, b Buses) {
	x := newBox()
	var all []*recorder
	for _, node := range b.Nodes {
		for _, d := range []eventbus.Delivery{eventbus.Sync, eventbus.Async, eventbus.Mixed} {
			r := record(eventbus.Mailbox, d)
			listen(t, node, r, x.key())
			all = append(all, r)
		}
	}
	x.publish(b.Nodes[0], 1, 2)
	x.publish(b.Nodes[0], 3)
	for _, r := range all {
		r.want(t, 1, 2, 3)
	}
}

func registeredTwice(t *testing.T, b Buses) {
	x := newBox()
	r := record(eventbus.Mailbox, eventbus.Sync)
	first := listen(t, b.Nodes[0], r, x.key())
	second := listen(t, b.Nodes[0], r, x.key())
	x.publish(b.Nodes[0], 1)
	first.Close()
	x.publish(b.Nodes[0], 2)
	second.Close()
	x.publish(b.Nodes[0], 3)
	r.want(t, 1, 2)
}

func unregister(t *testing.T, b Buses) {
	x, y := newBox(), newBox()
	r := record(eventbus.Mailbox, eventbus.Sync)
	inX := listen(t, b.Nodes[0], r, x.key())
	listen(t, b.Nodes[0], r, y.key())
	other := record(eventbus.Mailbox, eventbus.Sync)
	listen(t, b.Nodes[0], other, x.key())
	inX.Close()
	inX.Close()
	x.publish(b.Nodes[0], 1)
	y.publish(b.Nodes[0], 2)
	r.want(t, 2)
	other.want(t, 1)
}

func beforeAndAfter(t *testing.T, b Buses) {
	x := newBox()
	for _, d := range []eventbus.Delivery{eventbus.Sync, eventbus.Async} {
		x.publish(b.Nodes[0], 1)
		r := record(eventbus.Mailbox, d)
		reg := listen(t, b.Nodes[0], r, x.key())
		x.publish(b.Nodes[0], 2)
		r.want(t, 2)
		reg.Close()
		x.publish(b.Nodes[0], 3)
		// What comes after it on the same listener would come after it.
		listen(t, b.Nodes[0], r, x.key())
		x.publish(b.Nodes[0], 4)
		r.want(t, 2, 4)
	}
}

func noKeys(t *testing.T, b Buses) {
	x := newBox()
	nobody := record(eventbus.Mailbox, eventbus.Sync)
	listen(t, b.Nodes[0], nobody)
	wrong := record(eventbus.Account, eventbus.Sync)
	listen(t, b.Nodes[0], wrong, x.key())
	x.publish(b.Nodes[0], 1)
	nobody.want(t)
	wrong.want(t)
}

func nothingChanged(t *testing.T, b Buses) {
	x := newBox()
	r := record(eventbus.Mailbox, eventbus.Sync)
	listen(t, b.Nodes[0], r, x.key())
	everything := record(eventbus.Cluster, eventbus.Sync)
	listen(t, b.Nodes[0], everything)
	same := mailbox.ChangeEvent(&mailbox.Change{Mailbox: x.id, Account: x.account, Prev: 5, ModSeq: 5})
	b.Nodes[0].Publish([]mailbox.Event{x.change(5), same, x.change(6)})
	b.Nodes[0].Publish([]mailbox.Event{same})
	b.Nodes[0].Publish(nil)
	r.want(t, 5, 6)
	everything.want(t, 5, 6)
}

// registerThenLoad shows P3 for the bus: a change is in what is loaded after the registration, or it arrives, or both. Where the other nodes must first
// learn of the registration, it may also be in what is loaded when they have.
func registerThenLoad(t *testing.T, b Buses) {
	for range 200 {
		x := newBox()
		var mu sync.Mutex
		var stored mailbox.ModSeq // the store
		load := func() mailbox.ModSeq {
			mu.Lock()
			defer mu.Unlock()
			return stored
		}
		var done sync.WaitGroup
		done.Go(func() {
			for m := mailbox.ModSeq(1); m <= 3; m++ {
				mu.Lock()
				stored = m
				mu.Unlock()
				x.publish(b.Nodes[0], m)
			}
		})
		r := record(eventbus.Mailbox, eventbus.Sync)
		reg := b.Nodes[len(b.Nodes)-1].Listen(&r.Listener, x.key())
		loaded := load()
		if announced := reg.Announced(); announced != nil {
			wait(t, announced, "the announcement")
			loaded = load()
		}
		done.Wait()
		// From another node may also come what is loaded already.
		for n, have := 3-int(loaded), loaded; have != 3; n++ {
			have = loaded
			for _, e := range r.wait(t, n) {
				if e.Change.ModSeq > have+1 {
					t.Fatalf("loaded %d, then came %d: something between is lost", loaded, e.Change.ModSeq)
				}
				have = max(have, e.Change.ModSeq)
			}
		}
		reg.Close()
	}
}

func failing(t *testing.T, b Buses) {
	x := newBox()
	node := b.Nodes[0]
	calls := map[string]int{}
	var mu sync.Mutex
	var regs []*eventbus.Registration
	for _, d := range []eventbus.Delivery{eventbus.Sync, eventbus.Async} {
		for name, end := range map[string]func() error{
			"error": func() error { return errors.New("no") },
			"panic": func() error { panic("no") },
		} {
			regs = append(regs, node.Listen(&eventbus.Listener{
				Name: name, Scope: eventbus.Mailbox, Delivery: d,
				Handle: func([]mailbox.Event) error {
					mu.Lock()
					calls[name]++
					mu.Unlock()
					return end()
				},
			}, x.key()))
		}
	}
	good := record(eventbus.Mailbox, eventbus.Sync)
	listen(t, node, good, x.key())
	before := node.Stats()
	x.publish(node, 1)
	x.publish(node, 2)
	good.want(t, 1, 2)
	for _, r := range regs {
		r.Close()
	}
	mu.Lock()
	defer mu.Unlock()
	// The async ones may have had both at once, or have been closed before; nothing is repeated.
	if calls["error"] < 2 || calls["error"] > 4 || calls["panic"] < 2 || calls["panic"] > 4 {
		t.Errorf("calls: %v", calls)
	}
	if s := node.Stats(); s.Errors-before.Errors < 2 || s.Panics-before.Panics < 2 {
		t.Errorf("%d errors and %d panics counted", s.Errors-before.Errors, s.Panics-before.Panics)
	}
}
