package tracker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/mailbox"
)

// inWorld runs f in a bubble with a world whose network delivers only what f says.
func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		defer w.close()
		f(t, w)
	})
}

// deliver delivers the n-th thing on the network.
func (w *world) deliver(n int) { w.bus.Publish(w.network[n : n+1]) }

// TestGapWait shows the gap rule: a Change that does not follow waits for the one before it, and the store is asked only
// if that does not come.
func TestGapWait(t *testing.T) {
	t.Run("ComesInTime", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			w.store.add(5, 0)
			c := openClient(t, w.set, w.store)
			w.network = nil
			w.store.expunge(2)
			w.store.add(1, 0)
			w.store.flag([]imap.UID{4}, imap.FlagFlagged)
			w.deliver(2)
			w.deliver(1)
			if c.view.HasNews() {
				t.Fatal("a Change was applied before the one it follows")
			}
			time.Sleep(DefaultGapWait / 2)
			w.deliver(0)
			if !c.view.HasNews() || c.n.Load() == 0 {
				t.Fatal("the gap is closed and there is no news")
			}
			c.flush(t, true, 10)
			c.same(t)
			time.Sleep(time.Second)
			if n := w.store.count("ChangesSince"); n > 0 {
				t.Errorf("the store was asked %d times", n)
			}
		})
	})
	t.Run("NeverComes", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			w.store.add(5, 0)
			c := openClient(t, w.set, w.store)
			w.network = nil
			w.store.expunge(2)
			w.store.add(1, 0)
			w.deliver(1)
			time.Sleep(DefaultGapWait - time.Millisecond)
			if c.view.HasNews() || w.store.count("ChangesSince") > 0 {
				t.Fatal("the gap was not waited for")
			}
			time.Sleep(2 * time.Millisecond)
			synctest.Wait()
			c.flush(t, true, 10)
			c.same(t)
			w.deliver(0) // too late, and harmless
			c.same(t)
		})
	})
	t.Run("ReachDoesNotWait", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			w.store.add(5, 0)
			c := openClient(t, w.set, w.store)
			w.network = nil
			w.store.expunge(2)
			own := w.store.flag([]imap.UID{3}, imap.FlagSeen)
			w.deliver(1)
			start := time.Now()
			if err := c.view.Reach(t.Context(), own.ModSeq); err != nil || time.Since(start) > 0 {
				t.Fatalf("Reach took %v: %v", time.Since(start), err)
			}
			c.flush(t, true, 10)
			c.same(t)
		})
	})
}

// A slowNetwork is a Transport whose other nodes learn late what is listened to.
type slowNetwork struct{ announced chan struct{} }

func (slowNetwork) Send([]mailbox.Event)         {}
func (slowNetwork) Watch(eventbus.Key, bool)     {}
func (s slowNetwork) Announced() <-chan struct{} { return s.announced }

// TestP3LookAgain shows that what another node committed and did not send, because it did not know yet that somebody listens, is told as soon as
// it knows; that Open does not wait for that; and that a mailbox that is opened again is not looked at again.
func TestP3LookAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		network := slowNetwork{make(chan struct{})}
		defer w.bus.Connect(network)()
		w.store.add(5, 0)
		c := openClient(t, w.set, w.store)
		w.store.expunge(2)
		w.store.add(1, 0)
		synctest.Wait()
		if c.view.HasNews() {
			t.Fatal("it is told already")
		}
		before := c.n.Load()
		close(network.announced)
		synctest.Wait()
		if !c.view.HasNews() || c.n.Load() == before {
			t.Fatal("it is not told")
		}
		c.flush(t, true, 10)
		c.same(t)
		reads := w.store.count("ChangesSince")
		again := openClient(t, w.set, w.store)
		synctest.Wait()
		again.same(t)
		if n := w.store.count("ChangesSince"); reads != 1 || n != reads {
			t.Errorf("the store was asked %d times, then %d times", reads, n-reads)
		}
	})
	inWorld(t, func(t *testing.T, w *world) { // the client and the set go first
		network := slowNetwork{make(chan struct{})}
		defer w.bus.Connect(network)()
		openClient(t, w.set, w.store).view.Close()
	})
}

// TestP3RegisterThenLoad shows that nothing is missed that commits while a mailbox is being opened, whenever it commits
// and whenever it is heard of.
func TestP3RegisterThenLoad(t *testing.T) {
	for _, commit := range []string{"before the load", "after the load"} {
		for _, heard := range []string{"at once", "after Open", "never, but the next one"} {
			t.Run(commit+", heard "+heard, func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					w.store.add(5, 0)
					w.network = nil
					change := func(op string) {
						w.store.hook(nil, nil)
						w.store.expunge(2)
						w.store.add(2, 3)
						if heard == "at once" {
							w.bus.Publish(w.network)
						}
					}
					if commit == "before the load" {
						w.store.hook(change, nil)
					} else {
						w.store.hook(nil, change)
					}
					c := openClient(t, w.set, w.store)
					switch heard {
					case "after Open":
						w.bus.Publish(w.network)
					case "never, but the next one":
						w.network = nil
						w.store.flag([]imap.UID{1}, imap.FlagSeen)
						w.bus.Publish(w.network)
						time.Sleep(time.Second)
						synctest.Wait()
					}
					c.flush(t, true, 10)
					c.same(t)
				})
			})
		}
	}
}

// TestOpenOfMany shows that several who open a mailbox at once load it once, and that one who gives up harms no other.
func TestOpenOfMany(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.store.add(3, 0)
		blocked := make(chan struct{})
		w.store.hook(func(string) { <-blocked }, nil)
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error, 3)
		for i := range 3 {
			go func() {
				if i == 2 {
					ctx = t.Context()
				}
				_, err := w.set.Open(ctx, w.store.box, &counter{})
				results <- err
			}()
			synctest.Wait()
		}
		cancel()
		if err := <-results; mailbox.KindOf(err) != mailbox.Unavailable {
			t.Errorf("who waited and gave up got %v", err)
		}
		close(blocked)
		for range 2 {
			if err := <-results; err != nil {
				t.Errorf("Open: %v", err)
			}
		}
		if n := w.store.count("Snapshot"); n != 1 {
			t.Errorf("%d snapshots for one mailbox", n)
		}
	})
}

// TestLost shows that a tracker whose queue overflowed starts again from the store, and Views keep what they told.
func TestLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := eventbus.New(eventbus.Options{Delivery: eventbus.Async, QueueLimit: 2, Log: zerolog.Nop()})
		store := newFakeStore(bus.Publish)
		set := New(Options{Store: store, Bus: bus, Log: zerolog.Nop()})
		defer bus.Close(context.Background())
		defer set.Close()
		store.add(10, 0)
		c := openClient(t, set, store)
		slow := &stuck{make(chan struct{})}
		v, err := set.Open(t.Context(), store.box, slow)
		if err != nil {
			t.Fatal(err)
		}
		for i := range imap.UID(6) {
			store.expunge(i + 2)
			synctest.Wait()
		}
		store.add(1, 0)
		close(slow.release)
		time.Sleep(time.Second)
		synctest.Wait()
		if bus.Stats().Lost == 0 {
			t.Fatal("nothing was lost")
		}
		c.flush(t, true, 10)
		c.same(t)
		v.Close()
	})
}

// stuck is a Watcher that blocks, which is forbidden.
type stuck struct{ release chan struct{} }

func (s *stuck) Changed() { <-s.release }

// TestExpungeLogTooShort shows that a tracker that was away for longer than the store remembers compares itself with a Snapshot.
func TestExpungeLogTooShort(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.store.add(20, 0)
		c := openClient(t, w.set, w.store)
		w.store.expunge(3, 5, 20)
		w.store.flag([]imap.UID{7}, imap.FlagFlagged, "New")
		w.store.trim()
		w.store.expunge(1)
		last := w.store.add(2, 5)
		if err := c.view.Reach(t.Context(), last.ModSeq); err != nil {
			t.Fatal(err)
		}
		if w.store.count("Snapshot") != 2 {
			t.Errorf("%d snapshots, want 2", w.store.count("Snapshot"))
		}
		c.flush(t, false, 4)
		if len(c.msgs) != 22 {
			t.Errorf("the client counts %d messages while expunges are withheld, want 22", len(c.msgs))
		}
		c.flush(t, true, 4)
		c.same(t)
	})
}

// TestGone shows what ends all Views of a mailbox: BYE.
func TestGone(t *testing.T) {
	event := func(kind mailbox.EventKind) func(w *world) {
		return func(w *world) { w.bus.Publish([]mailbox.Event{{Kind: kind, Mailbox: w.store.box}}) }
	}
	publish := func(c mailbox.Change) func(w *world) {
		return func(w *world) {
			c.Mailbox, c.Line, c.Prev, c.ModSeq = w.store.box, 1, w.store.modseq, w.store.modseq+1
			w.bus.Publish([]mailbox.Event{mailbox.ChangeEvent(&c)})
		}
	}
	for _, tc := range []struct {
		name string
		do   func(w *world)
		want mailbox.Kind // Other: the mailbox stays
	}{
		{"Deleted", event(mailbox.EventDeleted), mailbox.NonExistent},
		{"UIDValidityChanged", event(mailbox.EventUIDValidityChanged), mailbox.NonExistent},
		{"Renamed", event(mailbox.EventRenamed), mailbox.Other},
		{"Subscribed", event(mailbox.EventSubscribed), mailbox.Other},
		{"UIDUsedTwice", publish(mailbox.Change{Added: imap.UIDSetNum(3)}), mailbox.Corrupt},
		{"StoreWentBack", func(w *world) { w.store.rewind(); w.tracker().lost() }, mailbox.Corrupt},
		{"StoreSaysRenumbered", func(w *world) {
			w.store.uidValidity++
			w.store.trim()
			w.store.modseq += 9
			w.store.trim()
			w.tracker().lost()
		}, mailbox.NonExistent},
		{"StoreSaysDeleted", func(w *world) {
			w.store.fail(&mailbox.Error{Kind: mailbox.NonExistent})
			w.tracker().lost()
		}, mailbox.NonExistent},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.store.add(5, 0)
				w.store.expunge(3)
				c := openClient(t, w.set, w.store)
				tc.do(w)
				time.Sleep(time.Second)
				synctest.Wait()
				if tc.want == mailbox.Other {
					c.flush(t, true, 10)
					c.same(t)
					return
				}
				if c.n.Load() == 0 || !c.view.HasNews() {
					t.Error("the session was not told")
				}
				c.flush(t, true, 10)
				if got := mailbox.KindOf(c.update.Gone); got != tc.want {
					t.Errorf("Gone = %v, want %v", c.update.Gone, tc.want)
				}
				if err := c.view.Reach(t.Context(), 100); mailbox.KindOf(err) != tc.want {
					t.Errorf("Reach: %v", err)
				}
				// Who opens the mailbox now gets what is there now.
				w.store.fail(nil)
				again := openClient(t, w.set, w.store)
				again.same(t)
				c.view.Close()
				w.store.add(1, 0)
				w.bus.Publish(w.network[len(w.network)-1:])
				again.flush(t, true, 10)
				again.same(t)
			})
		})
	}
}

// TestStoreFails shows that a failing store fails those who ask, is asked again while there are Views, and ends nothing.
func TestStoreFails(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.store.fail(&mailbox.Error{Kind: mailbox.Unavailable})
		if _, err := w.set.Open(t.Context(), w.store.box, &counter{}); mailbox.KindOf(err) != mailbox.Unavailable {
			t.Fatalf("Open: %v", err)
		}
		w.store.fail(nil)
		w.store.add(3, 0)
		c := openClient(t, w.set, w.store)
		w.network = nil
		w.store.add(1, 0)
		last := w.store.flag([]imap.UID{1}, imap.FlagSeen)
		w.store.fail(&mailbox.Error{Kind: mailbox.Unavailable})
		if err := c.view.Reach(t.Context(), last.ModSeq); mailbox.KindOf(err) != mailbox.Unavailable {
			t.Fatalf("Reach: %v", err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := w.store.count("ChangesSince"); n < 60 || n > 150 {
			t.Errorf("asked %d times in a minute", n)
		}
		if p := w.set.longestPause(); p != soonPause {
			t.Errorf("pauses of %v, although nobody else waits", p)
		}
		w.set.repairs.Add(100_000)
		if p := w.set.longestPause(); p != maxPause {
			t.Errorf("pauses of only %v, although many wait", p)
		}
		w.set.repairs.Add(-100_000)
		w.store.fail(nil)
		time.Sleep(2 * soonPause)
		synctest.Wait()
		c.flush(t, true, 10)
		c.same(t)
	})
}

// TestReachOfNothing shows that a ModSeq that the store does not know is an error and not a wait.
func TestReachOfNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := openClient(t, w.set, w.store)
		if err := c.view.Reach(t.Context(), 99); mailbox.KindOf(err) != mailbox.Unavailable {
			t.Errorf("Reach: %v", err)
		}
		w.store.add(1, 0)
		w.bus.Publish(w.network)
		c.flush(t, true, 10)
		c.same(t)
	})
}

// TestTooManyEarly shows that what is kept while a Change is missing is bounded.
func TestTooManyEarly(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.store.add(100, 0)
		c := openClient(t, w.set, w.store)
		w.network = nil
		for uid := range imap.UID(90) {
			w.store.expunge(uid + 1)
		}
		w.bus.Publish(w.network[1:])
		tr := w.tracker()
		tr.mu.Lock()
		if n := len(tr.early); n != maxEarly {
			t.Errorf("%d Changes are kept", n)
		}
		tr.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		c.flush(t, true, 10)
		c.same(t)
	})
}

// TestTrackersStay shows that a mailbox that nobody watches any more is followed on, so that opening it again reads nothing,
// and that the budget bounds how many there are.
func TestTrackersStay(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.store.add(10, 0)
		c := openClient(t, w.set, w.store)
		c.view.Close()
		c.view.Close()
		w.store.expunge(4)
		w.bus.Publish(w.network)
		c = openClient(t, w.set, w.store)
		c.same(t)
		if w.store.count("Snapshot") != 1 || w.store.count("ChangesSince") != 0 {
			t.Error("a mailbox that was followed was read again")
		}
		c.view.Close()

		idle, _, _ := w.tracker().weight()
		w.set.Budget = 3*idle + idle/2
		first := w.store.box
		for range 10 {
			w.store.box = mailbox.NewID() // the fake store serves any
			openClient(t, w.set, w.store).view.Close()
		}
		if n := len(w.set.trackers); n != 3 {
			t.Errorf("%d trackers stay, want 3", n)
		}
		if n := w.bus.Stats().Listeners; n != 3 {
			t.Errorf("%d trackers listen, want 3", n)
		}
		w.store.box = first
		c = openClient(t, w.set, w.store)
		c.same(t)
		c.view.Close()
	})
}

// TestOpenAfterClose shows that a Set that is closed opens nothing, and Views can still be closed.
func TestOpenAfterClose(t *testing.T) {
	set, store := newSet(t)
	store.add(2, 0)
	c := openClient(t, set, store)
	set.Close()
	if _, err := set.Open(t.Context(), store.box, c); mailbox.KindOf(err) != mailbox.Unavailable {
		t.Errorf("Open: %v", err)
	}
	store.add(1, 0)
	c.flush(t, true, 10)
	c.view.Close()
}

// TestNewLineDuringFlush shows that what a client was told is not measured by the ModSeqs of a line that has ended meanwhile.
func TestNewLineDuringFlush(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.store.add(5, 0)
		for range 20 {
			w.store.flag([]imap.UID{1}, imap.FlagSeen)
			w.store.flag([]imap.UID{1}, imap.FlagDraft)
		}
		c := openClient(t, w.set, w.store)
		w.network = nil
		lost := w.store.flag([]imap.UID{2}, imap.FlagFlagged)
		w.store.flag([]imap.UID{3}, imap.FlagFlagged)
		if err := c.view.Reach(t.Context(), lost.ModSeq); err != nil {
			t.Fatal(err)
		}
		w.store.hook(nil, func(string) {
			w.store.hook(nil, nil)
			w.network = nil
			w.store.newLine()
			w.store.flag([]imap.UID{4}, imap.FlagDeleted)
			w.bus.Publish(w.network)
		})
		c.flush(t, true, 10)
		time.Sleep(time.Second)
		synctest.Wait()
		c.flush(t, true, 10)
		c.same(t)
	})
}
