package cluster

import (
	"slices"
	"testing"
	"time"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/eventbus/codec"
	"github.com/starling-mail/starling/eventbus/eventbustest"
	"github.com/starling-mail/starling/mailbox"
)

// TestSelectiveBuses runs the bus's suite over three nodes that send each other only what is listened to, with gossip and without.
func TestSelectiveBuses(t *testing.T) {
	for _, c := range []codec.Codec{codec.MessagePack, codec.JSON} {
		t.Run(c.String(), func(t *testing.T) {
			eventbustest.Run(t, func(t *testing.T) eventbustest.Buses {
				b := eventbustest.Buses{Queue: 64}
				for _, m := range startAll(t, 3, b.Queue, func(_ int, o *Options) { o.Codec, o.Interest = c, true }) {
					b.Nodes = append(b.Nodes, m.bus)
				}
				return b
			})
		})
	}
}

// announce listens to a mailbox on a node and waits until the others know.
func announce(t *testing.T, m *member, id mailbox.ID) *watcher {
	t.Helper()
	w := watch(t, m.bus, id)
	if done := m.Announced(); done != nil {
		<-done
	}
	return w
}

// awaitSelective waits until each node knows what each other listens to.
func awaitSelective(t *testing.T, all ...*member) {
	t.Helper()
	await(t, "announcements", func() bool {
		for _, m := range all {
			for _, p := range m.Stats().Peers {
				if !p.Selective {
					return false
				}
			}
		}
		return true
	})
}

// TestOnlyWhereListened shows that a Change goes where somebody listens to its mailbox or account and nowhere else, in whatever
// company it is published; that everything else goes to all; and that neither the numbers of events nor the feed make a loss of what was not sent.
func TestOnlyWhereListened(t *testing.T) {
	feed := new(memoryFeed)
	both := Streams | Broadcasts
	all := startAll(t, 3, 64, func(_ int, o *Options) {
		o.Interest, o.Lanes, o.Feed, o.RepairInterval = true, both, feed, 100*time.Millisecond
	})
	awaitSelective(t, all...)
	id, other := mailbox.NewID(), mailbox.NewID()
	var everywhere []*watcher
	for _, m := range all {
		everywhere = append(everywhere, watch(t, m.bus, mailbox.ID{9}))
	}
	w := announce(t, all[1], id)
	account := mailbox.NewAccountID()
	accounts := make(chan mailbox.Event, 10)
	defer all[2].bus.Listen(&eventbus.Listener{Scope: eventbus.Account, Handle: func(events []mailbox.Event) error {
		for _, e := range events {
			accounts <- e
		}
		return nil
	}}, eventbus.AccountKey(account)).Close()
	created := make(chan mailbox.Event, 10)
	defer all[2].bus.Listen(&eventbus.Listener{Scope: eventbus.AllAccounts, Handle: func(events []mailbox.Event) error {
		for _, e := range events {
			created <- e
		}
		return nil
	}}).Close()
	for _, m := range all {
		if done := m.Announced(); done != nil {
			<-done
		}
	}
	before := all[0].Stats()

	owned := change(other, 1)
	owned.Account, owned.Change.Account = account, account
	feed.commit(all[0].bus, change(id, 1), owned, change(other, 2), mailbox.Event{Kind: mailbox.EventCreated, Account: account, Name: "a"})
	for m := mailbox.ModSeq(2); m <= 20; m++ {
		feed.commit(all[0].bus, change(id, m))
		feed.commit(all[0].bus, change(other, m+1))
	}
	w.await(t, 20)
	if e := <-accounts; e.Change == nil || e.Change.ModSeq != 1 {
		t.Errorf("the account's listener got %+v", e)
	}
	if e := <-created; e.Name != "a" {
		t.Errorf("the listener of all accounts got %+v", e)
	}
	feed.commit(all[0].bus, change(mailbox.ID{9}, 1))
	for i, w := range everywhere {
		w.await(t, 1)
		reads := all[i].Stats().Repairs
		await(t, "two readings of the feed", func() bool { return all[i].Stats().Repairs >= reads+2 })
	}
	now := all[0].Stats()
	for i, want := range []uint64{20 + 1 + 1, 1 + 1 + 1} {
		a, b := before.Peers[i], now.Peers[i]
		if sent, withheld := b.Sent-a.Sent, b.Withheld-a.Withheld; sent != want || sent+withheld != 4+2*19+1 {
			t.Errorf("%s was sent %d events, and %d were withheld", b.Name, sent, withheld)
		}
	}
	for _, m := range all[1:] {
		if s := m.Stats(); s.Gossiped == 0 || s.Reloads != 0 || m.bus.Stats().Received > 25 {
			t.Errorf("%d broadcasts, %d repaired, %d reloads, %d events received", s.Gossiped, s.Repaired, s.Reloads, m.bus.Stats().Received)
		}
	}
	if got := w.all(); len(got) != 20 || w.lost() != 0 {
		t.Errorf("heard %d, %d losses", got, w.lost())
	}
	await(t, "the end of gossip", func() bool { return all[0].Stats().GossipQueued == 0 })
	if g := all[1].Stats().Gossiped - before.Gossiped; g > 2*retransmit {
		t.Errorf("%d broadcasts for one event that is no change", g) // that the streams have brought
	}
}

// TestListensLate shows that what is listened to on a running node comes from then on, and nothing more a while after nobody does.
func TestListensLate(t *testing.T) {
	all := startAll(t, 2, 64, func(_ int, o *Options) { o.Interest, o.InterestLinger = true, 20*time.Millisecond })
	awaitSelective(t, all...)
	id, end := mailbox.NewID(), mailbox.NewID()
	last := announce(t, all[1], end)
	all[0].publish(id, 1)
	w := announce(t, all[1], id)
	all[0].publish(id, 2)
	w.await(t, 2)
	w.reg.Close()
	m := mailbox.ModSeq(3)
	await(t, "the end of sending", func() bool {
		before := all[0].of("n2")
		all[0].publish(id, m)
		m++
		return all[0].of("n2").Withheld > before.Withheld
	})
	all[0].publish(end, 1)
	last.await(t, 1)
	if got := w.all(); !slices.Equal(got, []mailbox.ModSeq{2}) {
		t.Errorf("heard %d", got)
	}
}

// TestMixedModes shows that nodes that say what they listen to and such that do not work together: who says nothing gets everything.
func TestMixedModes(t *testing.T) {
	all := startAll(t, 3, 64, func(i int, o *Options) { o.Interest = i > 0 })
	id := mailbox.NewID()
	await(t, "announcements", func() bool { return all[1].of("n3").Selective && all[2].of("n2").Selective })
	var watchers []*watcher
	for _, m := range all {
		watchers = append(watchers, announce(t, m, id))
	}
	for i, m := range all {
		m.publish(id, mailbox.ModSeq(i+1))
		for _, w := range watchers {
			w.await(t, mailbox.ModSeq(i+1))
		}
		m.publish(mailbox.NewID(), 1)
	}
	for _, w := range watchers {
		w.onlyOnce(t)
	}
	for i, m := range all {
		for j, other := range all {
			if i == j {
				continue
			}
			if p := m.of(other.o.Name); (p.Withheld > 0) != (i > 0 && j > 0) || p.Selective != (i > 0 && j > 0) {
				t.Errorf("%s to %s: %+v", m.o.Name, p.Name, p)
			}
		}
	}
}

// TestCutSendsEverything shows that a node is sent everything from when the stream that its announcements came on has broken until it has
// announced everything anew, and that what it has begun to listen to meanwhile comes.
func TestCutSendsEverything(t *testing.T) {
	feed := new(memoryFeed)
	all := startAll(t, 2, 10_000, func(_ int, o *Options) { o.Interest, o.Feed, o.RepairInterval = true, feed, 200*time.Millisecond })
	awaitSelective(t, all...)
	for range 3 {
		all[1].cut()
		id := mailbox.NewID()
		w := watch(t, all[1].bus, id)
		stored := mailbox.ModSeq(0)
		for m := mailbox.ModSeq(1); m <= 20; m++ {
			feed.commit(all[0].bus, change(id, m))
			select {
			case <-time.After(time.Millisecond):
			case <-t.Context().Done():
			}
		}
		feed.mu.Lock()
		for _, e := range feed.events {
			if e.Mailbox == id {
				stored = max(stored, e.Change.ModSeq)
			}
		}
		feed.mu.Unlock()
		w.await(t, stored)
		awaitStreams(t, all...)
		awaitSelective(t, all...)
	}
	all[1].stop()
	await(t, "the end of what was announced", func() bool { return !all[0].of("n2").Selective })
}

// TestAroundBrokenLink shows that a Change goes by gossip to a node that wants it and that there is no stream to, and not where the streams
// bring it to all that want it.
func TestAroundBrokenLink(t *testing.T) {
	keys := []Key{NewKey()}
	both := Streams | Broadcasts
	a := start(t, Options{Name: "n1", Keys: keys, Lanes: both, Interest: true}, 64)
	seeds := []string{a.GossipAddress().String()}
	// Nobody can reach the stream address of n2; but it reaches the others, and they know what it listens to.
	b := start(t, Options{Name: "n2", Keys: keys, Lanes: both, Interest: true, Join: seeds, AdvertiseStream: "127.0.0.1:1"}, 64)
	c := start(t, Options{Name: "n3", Keys: keys, Lanes: both, Interest: true, Join: seeds}, 64)
	await(t, "the streams that are possible", func() bool {
		return a.of("n3").Connected && b.of("n3").Connected && c.of("n1").Connected && b.of("n1").Connected
	})
	id, alone := mailbox.NewID(), mailbox.NewID()
	atB, atC, onlyC := watch(t, b.bus, id), watch(t, c.bus, id), watch(t, c.bus, alone)
	await(t, "announcements", func() bool {
		return a.of("n2").Selective && a.of("n3").Selective && c.of("n2").Selective && a.of("n2").wants(a, id) && a.of("n3").wants(a, alone)
	})
	gossiped := b.Stats().Gossiped
	a.publish(alone, 1)
	onlyC.await(t, 1)
	const n = 20
	for s := range mailbox.ModSeq(n) {
		a.publish(id, s+1)
		atC.await(t, s+1)
	}
	await(t, "the last change by gossip", func() bool { return slices.Contains(atB.all(), n) })
	atC.onlyOnce(t)
	if b.Stats().Gossiped == gossiped {
		t.Error("nothing came by gossip")
	}
	if got := b.bus.Stats().Received; got > n {
		t.Errorf("%d events came", got)
	}
}

// wants says whether m knows that a node listens to a mailbox.
func (p PeerStats) wants(m *member, id mailbox.ID) bool {
	e := change(id, 1)
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.peers[p.Name] != nil && m.peers[p.Name].wanted() != nil && m.peers[p.Name].wanted().wants(&e)
}
