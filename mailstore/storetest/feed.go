package storetest

import (
	"reflect"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// eventually waits until ok, but not for ever.
func (f *fixture) eventually(ok func() bool) {
	f.Helper()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			f.Fatal("what should happen did not")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (f *fixture) end() mailstore.Cursor {
	f.Helper()
	c, err := f.store.FeedEnd(f.ctx)
	f.must(err)
	return c
}

// feed reads the feed to its end, limit events at a time.
func (f *fixture) feed(after mailstore.Cursor, limit int) (all []mailbox.Event, end mailstore.Cursor) {
	f.Helper()
	for {
		events, next, err := f.store.ReadFeed(f.ctx, after, limit)
		f.must(err)
		if len(events) == 0 {
			f.equal("cursor at the end", next, after)
			return all, next
		}
		if len(events) > limit {
			f.Fatalf("%d events, at most %d were asked for", len(events), limit)
		}
		all, after = append(all, events...), next
	}
}

func testFeed(f *fixture) {
	start := f.end()
	events, next, err := f.store.ReadFeed(f.ctx, start, 10)
	f.must(err)
	if len(events) > 0 || next != start {
		f.Errorf("an empty feed: %v, cursor %q, was %q", events, next, start)
	}
	a, inbox := f.inbox()
	f.add(inbox, imap.FlagSeen, "Work")
	f.add(inbox)
	f.flag(inbox, span(1, 2), imap.StoreFlagsAdd, imap.FlagFlagged)
	f.expunge(inbox, span(1, 1))
	f.create(a, "Ärger/x")
	f.must(f.store.Rename(f.ctx, a, "Ärger/x", "y"))
	f.must(f.store.Subscribe(f.ctx, a, "y", true))
	f.must(f.store.Subscribe(f.ctx, a, "y", false))
	_, err = f.store.Move(f.ctx, inbox, f.lookup(a, "y").ID, span(2, 2))
	f.must(err)
	f.must(f.store.Rename(f.ctx, a, mailbox.Inbox, "z"))
	f.must(f.store.Delete(f.ctx, a, "y"))
	f.must(f.store.SetQuota(f.ctx, a, nil))
	want := f.told.all()
	for _, limit := range []int{1, 3, 1000} {
		got, end := f.feed(start, limit)
		if len(got) != len(want) {
			f.Fatalf("the feed has %d events, %d were published", len(got), len(want))
		}
		for i := range got {
			if !reflect.DeepEqual(got[i], want[i]) {
				f.Errorf("event %d: %+v %+v, published was %+v %+v", i, got[i], got[i].Change, want[i], want[i].Change)
			}
		}
		f.equal("end", end, f.end())
	}
	for _, bad := range []mailstore.Cursor{"", "x", start + "0", "00000000000000000000000000000000.0.0"} {
		_, _, err := f.store.ReadFeed(f.ctx, bad, 1)
		f.kind(err, mailbox.NonExistent)
	}
}

// testFeedWriters follows the feed while many write: every event comes once, in
// the order of its mailbox.
func testFeedWriters(f *fixture) {
	const writers, each = 8, 40
	a, inbox := f.inbox()
	boxes := []mailbox.ID{inbox, f.create(a, "x").ID, f.create(a, "y").ID}
	cursor := f.end()
	n := f.told.count()
	var wg sync.WaitGroup
	done := make(chan struct{})
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				d, err := f.store.Receive(f.ctx, newReader(f.mail(200)), 1000)
				if err == nil {
					_, err = f.store.Append(f.ctx, boxes[(w+i)%len(boxes)], []mailstore.Incoming{{Draft: d}})
					d.Discard()
				}
				if err != nil {
					f.Error(err)
					return
				}
			}
		})
	}
	go func() { wg.Wait(); close(done) }()
	var got []mailbox.Event
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		events, next := f.feed(cursor, 7)
		got, cursor = append(got, events...), next
	}
	wg.Wait()
	want := f.told.all()[n:]
	f.equal("events", len(got), len(want))
	last := make(map[mailbox.ID]mailbox.ModSeq)
	for _, e := range got {
		if prev, ok := last[e.Mailbox]; ok && e.Change.Prev != prev {
			f.Fatalf("after modseq %d the feed goes on with %d", prev, e.Change.Prev)
		}
		last[e.Mailbox] = e.Change.ModSeq
	}
}

func testFeedRetention(f *fixture) {
	if _, ok := f.store.(Maintainer); !ok {
		f.Skip("the store keeps its feed by itself")
	}
	start := f.end()
	_, inbox := f.inbox()
	f.fill(inbox, 3)
	f.eventually(func() bool {
		f.maintain()
		_, _, err := f.store.ReadFeed(f.ctx, start, 10)
		if err != nil {
			f.kind(err, mailbox.NonExistent)
		}
		return err != nil
	})
	// Whoever has read all misses nothing. A store that sees transactions of others in progress
	// just then, in another database too, may not be sure of that and refuse.
	var end mailstore.Cursor
	f.eventually(func() bool {
		f.add(inbox)
		end = f.end()
		f.maintain()
		_, _, err := f.store.ReadFeed(f.ctx, end, 10)
		return err == nil
	})
	f.add(inbox)
	events, _ := f.feed(end, 10)
	f.equal("events after", len(events), 1)
}
