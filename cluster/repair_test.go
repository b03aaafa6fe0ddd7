package cluster

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/mailbox"
)

// A memoryFeed is the feed of a store that several nodes use.
type memoryFeed struct {
	mu     sync.Mutex
	events []mailbox.Event
	floor  int   // cursors below are refused
	fault  error // that Read returns
	reads  int
}

func (f *memoryFeed) End(context.Context) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strconv.Itoa(len(f.events)), nil
}

func (f *memoryFeed) Read(_ context.Context, after string, limit int) ([]mailbox.Event, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	if f.fault != nil {
		return nil, "", f.fault
	}
	at, err := strconv.Atoi(after)
	if err != nil || at < f.floor {
		return nil, "", &mailbox.Error{Kind: mailbox.NonExistent, Op: "read feed"}
	}
	end := min(at+limit, len(f.events))
	return f.events[at:end:end], strconv.Itoa(end), nil
}

// commit commits events and, if it does not die before, publishes them.
func (f *memoryFeed) commit(bus *eventbus.Bus, events ...mailbox.Event) {
	f.mu.Lock()
	f.events = append(f.events, events...)
	f.mu.Unlock()
	if bus != nil {
		bus.Publish(events)
	}
}

// TestDeathBetweenCommitAndPublish shows that the others learn of a change that nobody published within the repair interval.
func TestDeathBetweenCommitAndPublish(t *testing.T) {
	feed := new(memoryFeed)
	const interval = 500 * time.Millisecond
	all := startAll(t, 3, 64, func(_ int, o *Options) { o.Feed, o.RepairInterval = feed, interval })
	id := mailbox.NewID()
	var watchers []*watcher
	for _, m := range all {
		watchers = append(watchers, watch(t, m.bus, id))
	}
	feed.commit(all[0].bus, change(id, 1))
	for _, w := range watchers {
		w.await(t, 1)
	}
	feed.commit(nil, change(id, 2))
	for _, w := range watchers { // within interval/2: TestRepair
		w.await(t, 2)
	}
	feed.commit(all[2].bus, change(id, 3))
	for i, w := range watchers {
		w.await(t, 3)
		if s := all[i].Stats(); s.Repaired == 0 || s.Repairs == 0 {
			t.Errorf("%d events came from the feed", s.Repaired)
		}
	}
	watchers[1].onlyOnce(t) // on the others, the feed may come between commit and publish
}

// TestPartition separates nodes until they have given each other up, by giving one of them another key, and brings them together again.
func TestPartition(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as memberlist needs to give a node up")
	}
	feed := new(memoryFeed)
	key, away := NewKey(), NewKey()
	all := startAll(t, 3, 64, func(_ int, o *Options) { o.Feed, o.RepairInterval, o.Keys = feed, 200*time.Millisecond, []Key{key} })
	id := mailbox.NewID()
	var watchers []*watcher
	for _, m := range all {
		watchers = append(watchers, watch(t, m.bus, id))
	}
	if err := all[2].SetKeys([]Key{away}); err != nil {
		t.Fatal(err)
	}
	for m, from := range []*member{all[2], all[0]} {
		feed.commit(from.bus, change(id, mailbox.ModSeq(m+1)))
		for _, w := range watchers {
			w.await(t, mailbox.ModSeq(m+1)) // by the feed, across the border
		}
	}
	await(t, "the separation", func() bool { return len(all[2].Members()) == 1 && len(all[0].Members()) == 2 })
	feed.commit(all[1].bus, change(id, 3))
	if err := all[2].SetKeys([]Key{key}); err != nil {
		t.Fatal(err)
	}
	awaitStreams(t, all...)
	feed.commit(all[2].bus, change(id, 4))
	for _, w := range watchers {
		w.await(t, 4)
	}
}

// A receiver notes what a repair gives it.
type receiver struct {
	events chan []mailbox.Event
	lost   chan struct{}
}

func (r *receiver) Receive(events []mailbox.Event) { r.events <- events }
func (r *receiver) Lost(...eventbus.Key)           { r.lost <- struct{}{} }
func (r *receiver) Compare()                       { r.lost <- struct{}{} }

// TestRepair shows when the feed is read, and what happens when it cannot be.
func TestRepair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := new(memoryFeed)
		to := &receiver{make(chan []mailbox.Event, 100), make(chan struct{}, 100)}
		r := newRepair(feed, to, newRecent(time.Hour), time.Second, zerolog.Nop())
		id := mailbox.NewID()
		feed.commit(nil, change(id, 1)) // before
		if err := r.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { r.run(ctx) })
		defer running.Wait()
		defer cancel()
		reads := func() int {
			synctest.Wait()
			feed.mu.Lock()
			defer feed.mu.Unlock()
			return feed.reads
		}
		time.Sleep(10*time.Second + time.Millisecond)
		if n := reads(); n != 10 {
			t.Errorf("the feed was read %d times in 10 s", n)
		}
		// Losses are repaired at once, many by one reading.
		feed.commit(nil, change(id, 2))
		for range 100 {
			r.now()
		}
		time.Sleep(coalesce + 3*grace)
		if n := reads(); n != 11 || len(to.events) != 1 {
			t.Errorf("%d readings, %d times told", n-10, len(to.events))
		}
		<-to.events
		// The feed is read between commit and publish: that is not told twice.
		late := []mailbox.Event{{Kind: mailbox.EventCreated, Mailbox: id, Name: "late"}}
		feed.commit(nil, late...)
		r.now()
		time.Sleep(coalesce + grace/2)
		if n := reads(); n != 12 || len(r.recent.quick(late)) != 1 {
			t.Errorf("%d readings", n)
		}
		time.Sleep(grace)
		synctest.Wait()
		if len(to.events) != 0 {
			t.Errorf("told of %+v too", <-to.events)
		}
		// A long absence is read in pages.
		for m := mailbox.ModSeq(3); m < 3+2*feedPage+1; m++ {
			feed.commit(nil, change(id, m))
		}
		r.now()
		time.Sleep(coalesce + 3*grace)
		if n := reads(); n != 15 || len(to.events) != 3 || len(<-to.events)+len(<-to.events)+len(<-to.events) != 2*feedPage+1 {
			t.Errorf("%d readings", n)
		}
		// A fault: the cursor stays.
		feed.mu.Lock()
		feed.fault = errors.New("down")
		feed.mu.Unlock()
		feed.commit(nil, change(id, 9000))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if r.age() < 4*time.Second || len(to.events) != 0 {
			t.Errorf("age %s", r.age())
		}
		feed.mu.Lock()
		feed.fault = nil
		feed.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		if events := <-to.events; len(events) != 1 || events[0].Change.ModSeq != 9000 || len(to.lost) != 0 {
			t.Errorf("after the fault came %+v", events)
		}
		// The feed does not reach back: everybody starts again, and goes on from there.
		feed.mu.Lock()
		feed.floor = len(feed.events) + 1
		feed.events = append(feed.events, change(id, 9001), change(id, 9002))
		feed.mu.Unlock()
		r.now()
		time.Sleep(coalesce + 3*grace)
		synctest.Wait()
		if len(to.lost) != 1 || len(to.events) != 0 || r.reloads.Load() != 1 {
			t.Errorf("%d times lost", len(to.lost))
		}
		feed.commit(nil, change(id, 9003))
		r.now()
		time.Sleep(coalesce + 3*grace)
		synctest.Wait()
		if events := <-to.events; len(events) != 1 || events[0].Change.ModSeq != 9003 {
			t.Errorf("after the reload came %+v", events)
		}
	})
}
