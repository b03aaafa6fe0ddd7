package tracker

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// TestFlushOrder shows P1 for one client: what is withheld, in what order it is told, and that what came and went is not mentioned.
func TestFlushOrder(t *testing.T) {
	set, store := newSet(t)
	store.add(5, 0)
	c := openClient(t, set, store)
	store.expunge(2, 4)
	store.add(2, 0) // 6, 7
	store.expunge(6)
	store.flag([]imap.UID{5, 7}, imap.FlagFlagged, "New")
	before := c.view.ModSeq() - 4

	var u Update
	flush := func(expunges bool) {
		t.Helper()
		if err := c.view.Flush(t.Context(), expunges, 10, &u); err != nil {
			t.Fatal(err)
		}
	}
	flush(false)
	switch {
	case len(u.Expunged) > 0 || len(u.Vanished) > 0:
		t.Errorf("expunges were told: %v", u.Expunged)
	case !u.ExistsChanged || u.Exists != 6:
		t.Errorf("EXISTS %d, %v, want 6", u.Exists, u.ExistsChanged)
	case len(u.Flags) != 1 || u.Flags[0].UID != 5 || u.Flags[0].Number != 5 || u.Flags[0].Flags != mailbox.NewFlags(imap.FlagFlagged, "New"):
		t.Errorf("flags %+v, want those of UID 5 only: 7 was not told before", u.Flags)
	case !slices.Equal(u.Keywords, []string{"New"}):
		t.Errorf("keywords %v", u.Keywords)
	case u.ModSeq != before:
		t.Errorf("HIGHESTMODSEQ %d while expunges of %d are withheld", u.ModSeq, before+1)
	case u.More:
		t.Error("there is more that may be told")
	}
	if r := c.view.ResolveUIDs(imap.UIDSet{{Start: 1, Stop: 0}}); r.Count != 4 || r.UIDs.String() != "1,3,5,7" || r.Gone.String() != "2,4" {
		t.Errorf("UID 1:* is %+v", r)
	}
	if r, err := c.view.Resolve(imap.SeqSet{{Start: 5, Stop: 7}}); err != ErrNumber || r.UIDs.String() != "5,7" {
		t.Errorf("5:7 of 6 is %+v, %v", r, err)
	}
	if _, ok := c.view.Number(6); ok {
		t.Error("a message that came and went has a number")
	}

	store.add(1, 0)
	flush(true)
	switch {
	case !slices.Equal(u.Expunged, []uint32{4, 2}) || u.Vanished.String() != "2,4":
		t.Errorf("EXPUNGE %v, VANISHED %v", u.Expunged, u.Vanished)
	case u.Exists != 5 || !u.ExistsChanged:
		t.Errorf("EXISTS %d, %v, want 5", u.Exists, u.ExistsChanged)
	case u.ModSeq != c.view.ModSeq() || u.More || c.view.HasNews():
		t.Errorf("HIGHESTMODSEQ %d, want %d; more: %v", u.ModSeq, c.view.ModSeq(), u.More)
	}
	if n, ok := c.view.Number(7); n != 4 || !ok {
		t.Errorf("UID 7 is %d", n)
	}
	store.expunge(8)
	flush(true)
	if u.ExistsChanged || u.Exists != 4 || !slices.Equal(u.Expunged, []uint32{5}) {
		t.Errorf("after an expunge alone: EXPUNGE %v, EXISTS %d, %v", u.Expunged, u.Exists, u.ExistsChanged)
	}
}

// TestFlushPortions shows that many changes of flags are told in portions, each message once, and what changes meanwhile again.
func TestFlushPortions(t *testing.T) {
	set, store := newSet(t)
	store.add(25, 0)
	c := openClient(t, set, store)
	store.flag(store.uids(), imap.FlagFlagged)
	var u Update
	var told []imap.UID
	for i := 0; i == 0 || u.More; i++ {
		if err := c.view.Flush(t.Context(), true, 10, &u); err != nil {
			t.Fatal(err)
		}
		for _, r := range u.Flags {
			told = append(told, r.UID)
			c.flags[r.UID] = r.Flags
		}
		if i == 0 {
			if u.ModSeq >= c.view.ModSeq() {
				t.Errorf("HIGHESTMODSEQ %d is told with most flags untold", u.ModSeq)
			}
			store.flag([]imap.UID{2, 20}, imap.FlagSeen)
			store.expunge(25)
		}
	}
	slices.Sort(told)
	want := append(store.uids(), 2, 20) // 20 had its new flags already, and is told again by the newer Change
	slices.Sort(want)
	if !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
	for _, uid := range store.uids() {
		if c.flags[uid] != store.flagsOf(uid) {
			t.Errorf("UID %d: told %v, want %v", uid, c.flags[uid], store.flagsOf(uid))
		}
	}
}

// TestOwnSilentChange shows that a session is not told flags that it set with .SILENT, unless somebody else changed them too.
func TestOwnSilentChange(t *testing.T) {
	set, store := newSet(t)
	store.add(5, 0)
	c, other := openClient(t, set, store), openClient(t, set, store)
	own := store.flag([]imap.UID{1, 2}, imap.FlagSeen)
	c.view.Own(own.ModSeq)
	if c.view.HasNews() {
		t.Error("the session's own silent change is news")
	}
	own = store.flag([]imap.UID{3, 4}, imap.FlagDraft)
	c.view.Own(own.ModSeq)
	store.flag([]imap.UID{4}, imap.FlagDeleted)
	var u Update
	if err := c.view.Flush(t.Context(), true, 10, &u); err != nil || len(u.Flags) != 1 || u.Flags[0].UID != 4 {
		t.Errorf("told %+v, %v; want UID 4", u.Flags, err)
	}
	if c.view.notices != nil {
		t.Errorf("kept %+v", c.view.notices)
	}
	other.flush(t, true, 10)
	other.same(t)
}

// TestDisown shows that a session is told flags that it set itself if its command has failed, even when they were passed over before.
func TestDisown(t *testing.T) {
	set, store := newSet(t)
	store.add(5, 0)
	c := openClient(t, set, store)
	own := store.flag([]imap.UID{1, 2}, imap.FlagSeen)
	c.view.Own(own.ModSeq)
	c.flush(t, true, 10)
	if c.view.HasNews() || c.view.Tellable() != own.ModSeq {
		t.Fatalf("news, or only %d may be told", c.view.Tellable())
	}
	c.view.Disown(own.ModSeq)
	if !c.view.HasNews() || c.view.Tellable() >= own.ModSeq {
		t.Errorf("no news, or HIGHESTMODSEQ %d may be told", c.view.Tellable())
	}
	c.flush(t, true, 10)
	c.same(t)
}

// TestLogTooShort shows that a client that was told nothing for long gets its flags all the same, from the store.
func TestLogTooShort(t *testing.T) {
	for _, trimmed := range []bool{false, true} {
		set, store := newSet(t)
		store.add(40, 0)
		slow, quick := openClient(t, set, store), openClient(t, set, store)
		for i := range 3 * maxLogEntries {
			store.flag([]imap.UID{imap.UID(1 + i%7)}, imap.FlagSeen, []imap.Flag{"A", "B", imap.FlagDeleted}[i%3])
			if i%10 == 0 {
				quick.flush(t, true, 10)
			}
		}
		log := &slow.view.t.log
		if n := len(log.entries); n > maxLogEntries || log.from <= slow.view.flagsTold {
			t.Errorf("the log has %d entries from %d on; the slowest was told up to %d", n, log.from, slow.view.flagsTold)
		}
		if trimmed {
			store.trim()
		}
		slow.flush(t, true, 6)
		slow.same(t)
		quick.flush(t, true, 6)
		quick.same(t)
		store.flag([]imap.UID{9}, imap.FlagFlagged)
		for range 4 * trimEvery {
			store.flag([]imap.UID{9}, "C")
			slow.flush(t, true, 6)
			quick.flush(t, true, 6)
		}
		if n := len(log.entries); n > trimEvery {
			t.Errorf("the log keeps %d entries that everybody was told", n)
		}
		slow.view.Close()
		quick.view.Close()
		if log.entries != nil {
			t.Error("the log of an unwatched mailbox has entries")
		}
	}
}

// TestFlushFails shows that what could not be told because the store failed is told later.
func TestFlushFails(t *testing.T) {
	set, store := newSet(t)
	store.add(5, 0)
	c := openClient(t, set, store)
	store.expunge(1)
	store.flag([]imap.UID{3}, imap.FlagSeen)
	c.view.t.mu.Lock()
	c.view.t.log.reset(c.view.t.modseq) // as if the log were too short
	c.view.t.mu.Unlock()
	store.fail(&mailbox.Error{Kind: mailbox.Unavailable})
	var u Update
	if err := c.view.Flush(t.Context(), true, 10, &u); mailbox.KindOf(err) != mailbox.Unavailable {
		t.Fatalf("Flush: %v", err)
	}
	store.fail(nil)
	c.flush(t, true, 10)
	c.same(t)
}

// TestClaimRecent shows that each message is recent in one session (RFC 3501 §2.3.2).
func TestClaimRecent(t *testing.T) {
	set, store := newSet(t)
	store.add(3, 0)
	store.ClaimRecent(t.Context(), store.box, 2)
	a, b := openClient(t, set, store), openClient(t, set, store)
	claim := func(c *client, want string) {
		t.Helper()
		got, err := c.view.ClaimRecent(t.Context())
		if err != nil || got.String() != want {
			t.Errorf("claimed %q, %v, want %q", got, err, want)
		}
	}
	if got := b.view.Select().Recent; got != 2 {
		t.Errorf("Recent = %d, want 2", got)
	}
	claim(a, "2:3")
	claim(b, "")
	store.add(2, 1) // 5, 6
	claim(b, "")    // not told yet
	b.flush(t, true, 10)
	store.fail(errors.New("broken"))
	if _, err := b.view.ClaimRecent(t.Context()); err == nil {
		t.Error("claimed while the store fails")
	}
	store.fail(nil)
	reads := store.count("ClaimRecent")
	claim(b, "5:6")
	a.flush(t, true, 10)
	claim(a, "")
	claim(b, "")
	if n := store.count("ClaimRecent") - reads; n != 1 {
		t.Errorf("the store was asked %d times", n)
	}
	// Another node claimed some in between.
	store.add(4, 0) // 7 to 10
	a.flush(t, true, 10)
	store.ClaimRecent(t.Context(), store.box, 9)
	claim(a, "9:10")
}

// TestFirstUnseen shows that the first unseen message is right wherever it is told.
func TestFirstUnseen(t *testing.T) {
	set, store := newSet(t)
	store.add(2, 0, imap.FlagSeen)
	store.add(6, 0)
	watcher := openClient(t, set, store)
	defer watcher.view.Close()
	for _, step := range []struct {
		do   func()
		want uint32
	}{
		{func() {}, 3},
		{func() { store.flag([]imap.UID{3, 5}, imap.FlagSeen) }, 4},
		{func() { store.expunge(4) }, 5},
		{func() { store.expunge(1) }, 4},
		{func() { store.flag([]imap.UID{2}) }, 1},
		{func() { store.flag([]imap.UID{2, 6, 7, 8}, imap.FlagSeen) }, 0},
		{func() { store.add(1, 0, imap.FlagSeen) }, 0},
		{func() { store.add(1, 0) }, 8},
		{func() { store.flag([]imap.UID{10}, imap.FlagSeen); store.flag([]imap.UID{9}) }, 7},
	} {
		step.do()
		v, err := set.Open(t.Context(), store.box, &counter{})
		if err != nil {
			t.Fatal(err)
		}
		if got := v.Select().FirstUnseen; got != step.want {
			t.Errorf("FirstUnseen = %d, want %d", got, step.want)
		}
		v.Close()
	}
}

// TestSelect shows what SELECT reports of an empty mailbox and of a full one.
func TestSelect(t *testing.T) {
	set, store := newSet(t)
	c := openClient(t, set, store)
	if s := c.view.Select(); s.UIDNext != 1 || s.Messages != 0 || s.UIDValidity != 1 || s.ModSeq != 1 {
		t.Errorf("empty: %+v", s)
	}
	if n, last := c.view.Told(); n != 0 || last != 0 {
		t.Errorf("empty: told %d, %d", n, last)
	}
	if _, err := c.view.Resolve(imap.SeqSet{{}}); err != ErrNumber {
		t.Errorf("* of an empty mailbox: %v", err)
	}
	store.add(3, 5, "K")
	store.expunge(8)
	s := c.view.Select()
	if s.UIDNext != 9 || s.Messages != 2 || s.Counts.Unseen != 2 || !slices.Equal(s.Keywords, []string{"K"}) {
		t.Errorf("%+v", s)
	}
}

// TestFlags shows that flags are read from the store once, and are those of the store after each change.
func TestFlags(t *testing.T) {
	set, store := newSet(t)
	store.add(700, 0)
	store.add(300, 100_000, imap.FlagSeen, "A")
	c := openClient(t, set, store)
	check := func(reads int) {
		t.Helper()
		before := store.count("Page")
		var rows []FlagRow
		var err error
		for from := uint32(1); from <= uint32(len(c.msgs)); from += 500 {
			set, _ := c.view.Resolve(imap.SeqSet{{Start: from, Stop: min(from+499, uint32(len(c.msgs)))}})
			if rows, err = c.view.Flags(t.Context(), set.UIDs, rows); err != nil {
				t.Fatal(err)
			}
		}
		if len(rows) != len(c.msgs) {
			t.Fatalf("%d rows, want %d", len(rows), len(c.msgs))
		}
		for i, r := range rows {
			m := store.msgs[r.UID]
			if r.UID != c.msgs[i] || int(r.Number) != i+1 || r.Flags != m.flags || r.ModSeq != m.modseq {
				t.Fatalf("row %d is %+v, the message %+v", i, r, m)
			}
		}
		if n := store.count("Page") - before; n != reads {
			t.Errorf("%d pages were read, want %d", n, reads)
		}
	}
	check(2)
	check(0)
	store.flag([]imap.UID{1, 2, 600, 100_800}, imap.FlagDeleted, "B")
	store.expunge(3, 700, 100_701)
	store.add(2, 0, imap.FlagDraft)
	store.add(1, 5000)
	c.flush(t, true, 100)
	check(1) // the block of the last one is new
	check(0)

	set.mu.Lock()
	set.Budget = 1
	set.mu.Unlock()
	other := openClient(t, set, store)
	other.view.Close()
	set.weigh(c.view.t, 1000, 1000)
	if c.view.t.cache != nil {
		t.Error("the cache is larger than the budget")
	}
	check(2) // and is read again by each call; it does not stay
	if rows, err := c.view.Flags(t.Context(), imap.UIDSet{{Start: 200_000, Stop: 300_000}}, nil); err != nil || len(rows) != 0 {
		t.Errorf("flags of nothing: %v, %v", rows, err)
	}
}

// TestFlagsOfBusyMailbox shows that flags are served although the mailbox changes at each read.
func TestFlagsOfBusyMailbox(t *testing.T) {
	set, store := newSet(t)
	store.add(2000, 0)
	c := openClient(t, set, store)
	n := imap.UID(0)
	store.hook(nil, func(op string) {
		if op == "Page" {
			n++
			store.flag([]imap.UID{n, 1000 + n}, imap.FlagFlagged)
		}
	})
	rows, err := c.view.Flags(t.Context(), imap.UIDSet{{Start: 100, Stop: 1800}}, nil)
	if err != nil || len(rows) != 1701 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, r := range rows {
		if int(r.UID) != 100+i || int(r.Number) != 100+i {
			t.Fatalf("row %d is %+v", i, r)
		}
	}
	store.hook(nil, nil)
	c.flush(t, true, 100)
	c.same(t)
	// Nothing that was read before a change has stayed in the cache.
	if rows, err = c.view.Flags(t.Context(), imap.UIDSet{{Start: 1, Stop: 2000}}, nil); err != nil || len(rows) != 2000 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, r := range rows {
		if r.Flags != store.flagsOf(r.UID) {
			t.Fatalf("UID %d has %v, want %v", r.UID, r.Flags, store.flagsOf(r.UID))
		}
	}
}

// TestManyKindsOfFlags shows that a cache does not keep every set of flags that there ever was.
func TestManyKindsOfFlags(t *testing.T) {
	set, store := newSet(t)
	store.add(2, 0)
	c := openClient(t, set, store)
	for i := range maxDistinct + 100 {
		store.flag([]imap.UID{1}, imap.Flag([]byte{'k', 'a' + byte(i%26), 'a' + byte(i/26%26), 'a' + byte(i/676)}))
		if i%500 == 0 {
			if _, err := c.view.Flags(t.Context(), imap.UIDSetNum(1, 2), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(c.view.t.cache.sets); n > maxDistinct {
		t.Errorf("%d sets are kept", n)
	}
	c.flush(t, true, 10)
	c.same(t)
}

// TestRace lets sessions and writers work at once; at the end every client has what the store has.
func TestRace(t *testing.T) {
	set, store := newSet(t)
	store.add(50, 0)
	done := make(chan *client)
	stop := make(chan struct{})
	const clients = 4
	for range clients {
		c := openClient(t, set, store)
		go func() {
			defer func() { done <- c }()
			var u Update
			var rows []FlagRow
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := c.view.Flush(context.Background(), true, 20, &u); err != nil {
					t.Error(err)
					return
				}
				for _, n := range u.Expunged {
					c.msgs = slices.Delete(c.msgs, int(n)-1, int(n))
				}
				for _, r := range u.Flags {
					c.flags[r.UID] = r.Flags
				}
				if u.Keywords != nil {
					c.keywords = u.Keywords
				}
				c.learn(t, u.Exists)
				r, _ := c.view.Resolve(imap.SeqSet{{Start: 1, Stop: 0}})
				if rows, _ = c.view.Flags(context.Background(), r.UIDs, rows[:0]); len(rows) > len(c.msgs) {
					t.Errorf("%d rows of %d messages", len(rows), len(c.msgs))
				}
				if v, err := set.Open(context.Background(), store.box, &counter{}); err == nil {
					v.Select()
					v.Close()
				}
			}
		}()
	}
	end := time.Now().Add(300 * time.Millisecond)
	for i := 0; time.Now().Before(end); i++ {
		uids := store.uids()
		switch i % 4 {
		case 0:
			store.add(3, 0)
		case 1, 2:
			store.flag(uids[:min(len(uids), 9)], []imap.Flag{imap.FlagSeen, "K"}[i%2])
		case 3:
			store.expunge(uids[i%len(uids)], uids[len(uids)/2], uids[len(uids)-1])
		}
	}
	close(stop)
	for range clients {
		c := <-done
		c.modseq = 0
		c.flush(t, true, 20)
		c.same(t)
	}
}
