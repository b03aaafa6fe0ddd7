package storetest

import (
	"context"
	"slices"
	"sync"

	"github.com/emersion/go-imap/v2"
	"pgregory.net/rapid"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

func testPage(f *fixture) {
	_, inbox := f.inbox()
	f.fill(inbox, 10)
	f.expunge(inbox, span(4, 5))
	var p mailstore.Page
	page := func(uids imap.UIDSet, limit int, more bool, want ...imap.UID) {
		f.Helper()
		f.must(f.store.Page(f.ctx, inbox, uids, mailstore.FieldEnvelope|mailstore.FieldFlags, limit, &p))
		var got []imap.UID
		for _, r := range p.Rows {
			got = append(got, r.UID)
			if len(r.Envelope) == 0 {
				f.Errorf("%d has no envelope", r.UID)
			}
		}
		if !slices.Equal(got, want) || p.More != more {
			f.Errorf("page of %v: %v more %v, want %v more %v", uids, got, p.More, want, more)
		}
		f.equal("modseq", p.ModSeq, f.snapshot(inbox).ModSeq)
	}
	all := []imap.UID{1, 2, 3, 6, 7, 8, 9, 10}
	page(span(1, maxUID), 100, false, all...)
	page(span(1, maxUID), 8, false, all...)
	page(span(1, maxUID), 7, true, all[:7]...)
	page(imap.UIDSetNum(2, 4, 6, 8), 2, true, 2, 6)
	page(imap.UIDSetNum(2, 6, 11), 2, false, 2, 6)
	page(span(4, 5), 10, false)
	page(nil, 10, false)
	page(imap.UIDSet{{Start: 1, Stop: 1}, {Start: 3, Stop: 7}, {Start: 10, Stop: 20}}, 5, false, 1, 3, 6, 7, 10)
	// Fields that are not asked for are not there, although the memory is used again.
	f.must(f.store.Page(f.ctx, inbox, span(1, 1), 0, 5, &p))
	if r := p.Rows[0]; len(r.Envelope)+len(r.Structure)+len(r.Preview) > 0 || r.Size != 0 || r.UID != 1 || r.ModSeq == 0 {
		f.Errorf("row of no fields: %+v", r)
	}
}

// testPageSnapshot reads pages while flags change: each page must be the mailbox
// at the page's ModSeq.
func testPageSnapshot(f *fixture) {
	_, inbox := f.inbox()
	f.fill(inbox, 50)
	ctx, stop := context.WithCancel(f.ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer stop()
		op := imap.StoreFlagsAdd
		for range 100 { // all messages alike, always
			if _, err := f.store.UpdateFlags(f.ctx, inbox, span(1, 50), mailstore.FlagUpdate{Op: op, Flags: mailbox.NewFlags(imap.FlagSeen)}); err != nil {
				f.Error(err)
				return
			}
			op = imap.StoreFlagsAdd + imap.StoreFlagsDel - op
		}
	})
	var p mailstore.Page
	for ctx.Err() == nil {
		if err := f.store.Page(f.ctx, inbox, span(1, maxUID), mailstore.FieldFlags, 100, &p); err != nil {
			f.Error(err)
			break
		}
		for _, r := range p.Rows {
			if r.Flags != p.Rows[0].Flags || r.ModSeq > p.ModSeq || r.ModSeq != p.Rows[0].ModSeq && p.ModSeq > 51 {
				f.Errorf("page at %d: %d has %v at %d, the first %v at %d", p.ModSeq, r.UID, r.Flags, r.ModSeq, p.Rows[0].Flags, p.Rows[0].ModSeq)
				stop()
			}
		}
	}
	wg.Wait()
}

func testSnapshot(f *fixture) {
	a, inbox := f.inbox()
	f.add(inbox, imap.FlagSeen)
	f.add(inbox, imap.FlagSeen, "k2")
	f.fill(inbox, 3)
	f.flag(inbox, span(5, 5), imap.StoreFlagsAdd, "k1")
	f.expunge(inbox, span(3, 3))
	s := f.snapshot(inbox)
	f.equal("uids", s.UIDs, "1:2,4:5")
	f.equal("keywords", s.Keywords, []string{"k2", "k1"})
	f.equal("first unseen", s.FirstUnseen, 4)
	if s.Line == 0 || s.Floor >= s.ModSeq {
		f.Errorf("line %d, floor %d, modseq %d", s.Line, s.Floor, s.ModSeq)
	}
	f.equal("info", s.Info, f.lookup(a, mailbox.Inbox))
	f.flag(inbox, span(1, 9), imap.StoreFlagsAdd, imap.FlagSeen)
	f.equal("first unseen", f.snapshot(inbox).FirstUnseen, 0)
}

func testRecent(f *fixture) {
	_, inbox := f.inbox()
	f.fill(inbox, 3)
	n, before := f.told.count(), f.snapshot(inbox)
	claim := func(upTo, want imap.UID) {
		f.Helper()
		got, err := f.store.ClaimRecent(f.ctx, inbox, upTo)
		f.must(err)
		f.equal("recent from", got, want)
	}
	f.equal("recent from", before.RecentFrom, 1)
	claim(1, 1)
	claim(4, 1)
	claim(4, 4)
	claim(2, 4)
	f.fill(inbox, 2)
	f.equal("recent from", f.snapshot(inbox).RecentFrom, 4)
	claim(6, 4)
	f.equal("events", f.told.kinds(n), []string{"changed +1 -0", "changed +1 -0"}) // claims are no changes
	// One of many gets each.
	f.fill(inbox, 1)
	var wg sync.WaitGroup
	won := make(chan imap.UID, 16)
	for range 16 {
		wg.Go(func() {
			if first, err := f.store.ClaimRecent(f.ctx, inbox, 7); err != nil {
				f.Error(err)
			} else if first < 7 {
				won <- first
			}
		})
	}
	wg.Wait()
	close(won)
	if len(won) != 1 {
		f.Errorf("%d claimed the same message", len(won))
	}
}

func testChangesSince(f *fixture) {
	_, inbox := f.inbox()
	f.fill(inbox, 3)
	at := f.snapshot(inbox).ModSeq
	f.flag(inbox, span(2, 2), imap.StoreFlagsAdd, imap.FlagSeen)
	f.add(inbox, "k")                            // 4
	f.expunge(inbox, span(1, 1))                 // was there
	f.expunge(inbox, span(f.add(inbox), maxUID)) // 5: came and went
	f.expunge(inbox, span(4, 4))                 // came and went

	c, ok, err := f.store.ChangesSince(f.ctx, inbox, at)
	f.must(err)
	s := f.snapshot(inbox)
	if !ok || c.Prev != at || c.ModSeq != s.ModSeq || c.Line != s.Line || c.Truncated || c.Counts != s.Counts {
		f.Fatalf("changes since %d: %+v", at, c)
	}
	f.equal("added", c.Added, "")
	f.equal("expunged", c.Expunged, "1,4:5")
	f.equal("flags", c.Flags, []mailbox.FlagChange{{UIDs: span(2, 2), Flags: mailbox.NewFlags(imap.FlagSeen)}})

	c, ok, err = f.store.ChangesSince(f.ctx, inbox, s.ModSeq)
	f.must(err)
	if !ok || c.Prev != s.ModSeq || c.ModSeq != s.ModSeq || len(c.Added)+len(c.Flags)+len(c.Expunged) > 0 {
		f.Errorf("nothing since: %+v", c)
	}
	if c, ok, err := f.store.ChangesSince(f.ctx, inbox, s.ModSeq+1); ok || err != nil {
		f.Errorf("since what is to come: %+v, %v", c, err)
	}
}

// testChangesRandom lets anything happen and wants what ChangesSince tells, from
// any moment on, to lead from the mailbox then to the mailbox now.
func testChangesRandom(f *fixture) {
	a, _ := f.inbox()
	round := 0
	rapid.Check(f.T, func(t *rapid.T) {
		round++
		name := string(rune('a' + round%26))
		for range round / 26 {
			name += "x"
		}
		box, other := f.create(a, name).ID, f.create(a, name+"-other").ID
		past := map[mailbox.ModSeq]map[imap.UID]mailbox.Flags{}
		note := func() mailbox.ModSeq {
			state := make(map[imap.UID]mailbox.Flags)
			var p mailstore.Page
			f.must(f.store.Page(f.ctx, box, span(1, maxUID), mailstore.FieldFlags, 1000, &p))
			for _, r := range p.Rows {
				state[r.UID] = r.Flags
			}
			past[p.ModSeq] = state
			return p.ModSeq
		}
		note()
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			from := imap.UID(rapid.IntRange(1, 10).Draw(t, "from"))
			uids := span(from, from+imap.UID(rapid.IntRange(0, 3).Draw(t, "more")))
			switch rapid.SampledFrom([]string{"add", "add", "flag", "expunge", "move", "copy"}).Draw(t, "op") {
			case "add":
				f.add(box)
			case "flag":
				f.flag(box, uids, rapid.SampledFrom([]imap.StoreFlagsOp{imap.StoreFlagsAdd, imap.StoreFlagsDel}).Draw(t, "how"), imap.FlagSeen)
			case "expunge":
				f.expunge(box, uids)
			case "move":
				_, err := f.store.Move(f.ctx, box, other, uids)
				f.must(err)
			case "copy":
				_, err := f.store.Copy(f.ctx, box, box, uids)
				f.must(err)
			}
			note()
		}
		now := note()
		for since, state := range past {
			c, ok, err := f.store.ChangesSince(f.ctx, box, since)
			if err != nil || !ok {
				t.Fatalf("since %d: %v %v", since, ok, err)
			}
			m := &model{flags: state}
			m.apply(c)
			if c.ModSeq != now || len(m.flags) != len(past[now]) {
				t.Fatalf("since %d: %d messages, want %d", since, len(m.flags), len(past[now]))
			}
			for uid, flags := range past[now] {
				if got, ok := m.flags[uid]; !ok || got != flags {
					t.Fatalf("since %d: %d has %v, want %v", since, uid, got, flags)
				}
			}
		}
	})
}

func testExpungeRetention(f *fixture) {
	if _, ok := f.store.(Maintainer); !ok {
		f.Skip("the store keeps its expunge log by itself")
	}
	_, inbox := f.inbox()
	f.fill(inbox, 4)
	at := f.snapshot(inbox).ModSeq
	f.expunge(inbox, span(1, 1))
	f.expunge(inbox, span(2, 2))
	// The log has seconds; it may keep a row until the next one begins.
	f.eventually(func() bool {
		f.maintain()
		return f.snapshot(inbox).Floor > at
	})
	s := f.snapshot(inbox)
	f.equal("floor", s.Floor, s.ModSeq) // of the last expunge
	if c, ok, err := f.store.ChangesSince(f.ctx, inbox, at); ok || err != nil {
		f.Errorf("below the floor: %+v, %v", c, err)
	}
	if _, ok, err := f.store.ChangesSince(f.ctx, inbox, s.Floor-1); ok || err != nil {
		f.Errorf("just below the floor: %v %v", ok, err)
	}
	f.flag(inbox, span(3, 3), imap.StoreFlagsAdd, imap.FlagSeen)
	c, ok, err := f.store.ChangesSince(f.ctx, inbox, s.Floor)
	f.must(err)
	if !ok || c.Flags[0].UIDs.String() != "3" {
		f.Errorf("at the floor: %v %+v", ok, c)
	}
}
