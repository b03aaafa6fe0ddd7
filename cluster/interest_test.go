package cluster

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/mailbox"
)

// TestAnnouncements shows that whoever is told what a node listens to knows exactly that when it has been told everything, over streams that break
// at any point, however far behind it is; and that each frame says what went into it and is as small as promised.
func TestAnnouncements(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		i := newInterest(0, time.Hour)
		a := &audience{wake: func() {}}
		i.join(a)
		var other hearing // at the other end
		listening := make(map[eventbus.Key]bool)
		var keys []eventbus.Key
		for n := range byte(12) {
			keys = append(keys, eventbus.MailboxKey(mailbox.ID{n}), eventbus.AccountKey(mailbox.AccountID{n}))
		}
		tell := func(whole bool) {
			for _, one := range i.next(a) {
				frame := one.append(nil)
				if len(frame) > 64<<10 {
					t.Fatalf("a frame of %d bytes", len(frame))
				}
				got, err := parseAnnouncement(frame)
				if err != nil || got.number != one.number || got.whole != one.whole || got.more != one.more || !slices.Equal(got.toggles, one.toggles) {
					t.Fatalf("%v: %+v was read as %+v", err, one, got)
				}
				complete, err := other.take(&got)
				if err != nil {
					t.Fatal(err)
				}
				if complete {
					i.answered(a, got.number)
				}
				if !whole && rapid.IntRange(0, 3).Draw(t, "break") == 0 {
					break
				}
			}
		}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0: // the stream breaks, and another is opened
				other = hearing{}
				i.begin(a)
			case 1:
				tell(true)
			case 2:
				i.clear(time.Now().Add(time.Hour))
			case 3: // more than is remembered
				for n := range uint32(rapid.SampledFrom([]int{maxToggles - 1, maxLog, maxLog + 1}).Draw(t, "flood")) {
					i.mu.Lock()
					i.toggle(n*7, n%2 == 0)
					i.toggle(n*7, false)
					i.mu.Unlock()
				}
				for k := range listening { // which the flood may have washed away
					i.mu.Lock()
					i.toggle(bucketOf(k), true)
					i.mu.Unlock()
				}
			default:
				k := rapid.SampledFrom(keys).Draw(t, "key")
				i.watch(k, !listening[k])
				if listening[k] = !listening[k]; !listening[k] {
					delete(listening, k)
				}
			}
		}
		for range 10 { // as often as a stream finds something to send
			tell(true)
		}
		if a.knows != i.number || i.announced() != nil {
			t.Fatalf("answered %d of %d", a.knows, i.number)
		}
		if *other.heard != i.set {
			t.Fatal("the other node knows something else")
		}
		i.clear(time.Now().Add(time.Hour))
		tell(true)
		want := make(map[uint32]bool)
		for k := range listening {
			want[bucketOf(k)] = true
		}
		if got := slices.Collect(other.heard.all()); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
			t.Fatalf("listened to are %v, want %v", got, want)
		}
	})
}

// TestBucketsAgainstMap checks a bucketSet against a map, and what it wants against the keys.
func TestBucketsAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set, naive := new(bucketSet), make(map[uint32]bool)
		for range rapid.IntRange(0, 100).Draw(t, "steps") {
			b, in := rapid.Uint32Range(0, buckets-1).Draw(t, "bucket"), rapid.Bool().Draw(t, "in")
			if set.put(b, in) != (naive[b] != in) {
				t.Fatal("a change is not one, or the other way round")
			}
			if naive[b] = in; !in {
				delete(naive, b)
			}
		}
		if got := slices.Collect(set.all()); !slices.Equal(got, slices.Sorted(maps.Keys(naive))) {
			t.Fatalf("%v, want %v", got, naive)
		}
	})
	e := change(mailbox.NewID(), 1)
	e.Account = mailbox.NewAccountID()
	created := mailbox.Event{Kind: mailbox.EventCreated, Account: e.Account}
	for _, b := range []uint32{bucketOf(eventbus.MailboxKey(e.Mailbox)), bucketOf(eventbus.AccountKey(e.Account)), everything} {
		set := new(bucketSet)
		if set.wants(&e) || !set.wants(&created) {
			t.Error("nobody wants changes, or not what is no change")
		}
		set.put(b, true)
		if !set.wants(&e) {
			t.Errorf("bucket %d is not wanted", b)
		}
	}
	if !(*bucketSet)(nil).wants(&e) {
		t.Error("who has said nothing does not want everything")
	}
}

// TestLinger shows that what nobody listens to any more is taken out late, not at all if somebody comes back, and only when the
// last of a bucket has gone.
func TestLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const linger = 30 * time.Second
		i := newInterest(linger, time.Second)
		go i.run(t.Context())
		k := eventbus.MailboxKey(mailbox.NewID())
		b := bucketOf(k)
		toggles := func() uint64 {
			i.mu.Lock()
			defer i.mu.Unlock()
			return i.number
		}
		i.watch(k, true)
		i.watch(k, true) // another key of the same bucket
		i.watch(k, false)
		time.Sleep(3 * linger)
		if !i.set.has(b) {
			t.Fatal("taken out with one left")
		}
		i.watch(k, false)
		time.Sleep(linger - time.Second)
		if !i.set.has(b) {
			t.Fatal("taken out too soon")
		}
		i.watch(k, true)
		time.Sleep(3 * linger)
		if !i.set.has(b) || toggles() != 1 {
			t.Fatal("who came back made a difference")
		}
		i.watch(k, false)
		time.Sleep(linger * 5 / 4)
		if i.set.has(b) || toggles() != 2 || len(i.leaving)+len(i.keys) != 0 {
			t.Fatal("not taken out")
		}
	})
}

// TestAnnounced shows when the other nodes count as told: when all have answered, have gone, or have had enough time.
func TestAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const wait = 200 * time.Millisecond
		i := newInterest(time.Minute, wait)
		closed := func(c <-chan struct{}) bool {
			synctest.Wait()
			select {
			case <-c:
				return true
			default:
				return false
			}
		}
		i.watch(eventbus.MailboxKey(mailbox.NewID()), true)
		if i.announced() != nil {
			t.Error("nobody is there, and is waited for")
		}
		a, b := &audience{wake: func() {}}, &audience{wake: func() {}}
		i.join(a)
		i.join(b)
		first := i.announced()
		i.watch(eventbus.MailboxKey(mailbox.NewID()), true)
		second := i.announced()
		i.answered(a, 2)
		i.answered(b, 99) // more than there is
		if closed(first) || closed(second) {
			t.Error("one has not answered")
		}
		i.answered(b, 1)
		i.answered(b, 0) // late
		if !closed(first) || closed(second) {
			t.Error("the first is answered, not the second")
		}
		i.leave(b)
		if !closed(second) || i.announced() != nil {
			t.Error("who has gone is waited for")
		}
		i.watch(eventbus.MailboxKey(mailbox.NewID()), true)
		third := i.announced()
		time.Sleep(wait - 1)
		if closed(third) {
			t.Error("not waited for")
		}
		time.Sleep(time.Nanosecond)
		if !closed(third) || len(i.waiting) != 0 {
			t.Error("waited for too long")
		}
	})
}

// FuzzAnnouncement shows P7 for what nodes say they listen to: what is accepted is within bounds and is written the same way again, and a
// hearing knows everything that is whole, or nothing.
func FuzzAnnouncement(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 100, maxToggles} {
		a := announcement{number: r.Uint64() >> 1, whole: true}
		for b := range n {
			a.toggles = append(a.toggles, newToggle(uint32(b*200), true))
		}
		f.Add(a.append(nil))
	}
	changed := announcement{number: 7, toggles: []toggle{newToggle(3, false), newToggle(4, true), newToggle(everything, true)}}
	part := announcement{number: 7, whole: true, more: true, toggles: []toggle{newToggle(0, true)}}
	f.Add(append(changed.append(nil), "trailing"...))
	f.Add(part.append(nil))
	f.Add(changed.append(nil)[:7])
	f.Add([]byte{announcementVersion, interestFrame, wholeFlag, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})        // a count that is too large
	f.Add([]byte{announcementVersion, interestFrame, 0, 1, 2, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0}) // a bucket that runs over
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := parseAnnouncement(b)
		if err != nil {
			return
		}
		if len(a.toggles) > maxToggles || cap(a.toggles) > len(b) || a.number >= interestAnswer {
			t.Fatalf("%d toggles, number %d", len(a.toggles), a.number)
		}
		last := -1
		for _, o := range a.toggles {
			if o.bucket() >= buckets || int(o.bucket()) <= last || a.whole && !o.on() {
				t.Fatalf("bucket %d after %d, %v", o.bucket(), last, o.on())
			}
			last = int(o.bucket())
		}
		again, err := parseAnnouncement(a.append(nil))
		if err != nil || again.number != a.number || again.whole != a.whole || again.more != a.more || !slices.Equal(again.toggles, a.toggles) {
			t.Fatalf("%v: %+v was read as %+v", err, a, again)
		}
		var h hearing
		complete, err := h.take(&a)
		if (err == nil) != a.whole || complete != (a.whole && !a.more) || complete != (h.heard != nil) {
			t.Fatalf("%+v: %v, %v", a, complete, err)
		}
	})
}

// TestHearing shows that what does not follow leaves nothing behind.
func TestHearing(t *testing.T) {
	whole, part, change := announcement{whole: true}, announcement{whole: true, more: true}, announcement{}
	for what, list := range map[string][]*announcement{
		"a change of nothing":        {&change},
		"a change between parts":     {&part, &change},
		"a change between new parts": {&whole, &change, &part, &change},
	} {
		var h hearing
		for n, a := range list {
			_, err := h.take(a)
			if last := n == len(list)-1; last != (err != nil) || last && (h.heard != nil || h.building != nil) {
				t.Errorf("%s, step %d: %v", what, n, err)
			}
		}
	}
}
