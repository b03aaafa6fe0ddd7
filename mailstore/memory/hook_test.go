package memory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// A watched node notes what it publishes, and has a hook that can be replaced.
type watched struct {
	*Store
	told []mailbox.Event
	hook Hook
}

func watch(w *World) *watched {
	n := new(watched)
	n.Store = w.Open(Node{
		Publish: func(events []mailbox.Event) { n.told = append(n.told, events...) },
		Hook: func(ctx context.Context, step Step, op string) error {
			if n.hook == nil {
				return nil
			}
			return n.hook(ctx, step, op)
		},
	})
	return n
}

// on returns a hook that does do at one step of one method.
func on(step Step, op string, do func(context.Context) error) Hook {
	return func(ctx context.Context, s Step, o string) error {
		if s == step && o == op {
			return do(ctx)
		}
		return nil
	}
}

var errDown = &mailbox.Error{Kind: mailbox.Unavailable, Op: "test", Err: errors.New("the database is down")}

// TestRefused fails calls before they begin: nothing happens.
func TestRefused(t *testing.T) {
	w := New(Options{})
	a, b := watch(w), watch(w)
	inbox := addUser(t, a.Store, "ada")
	a.told = nil
	end, err := b.FeedEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a.hook = func(_ context.Context, step Step, op string) error {
		if step == After || op == "Receive" {
			return nil
		}
		return errDown
	}
	if _, err := try(a.Store, inbox, mailOf(1)); err != errDown {
		t.Errorf("append: %v", err)
	}
	if _, err := a.Snapshot(t.Context(), inbox); err != errDown {
		t.Errorf("snapshot: %v", err)
	}
	if err := a.Ready(t.Context()); err != errDown {
		t.Errorf("ready: %v", err)
	}
	snap, err := b.Snapshot(t.Context(), inbox)
	if err != nil || snap.Counts.Messages != 0 || snap.ModSeq != 1 {
		t.Errorf("another node sees %+v, %v", snap, err)
	}
	if now, err := b.FeedEnd(t.Context()); now != end || err != nil || len(a.told) > 0 {
		t.Errorf("the feed ends at %q, was %q, %v; %d events were published", now, end, err, len(a.told))
	}
}

// TestDies has a node die between a commit and its publishing: the others find
// it in the feed, and only there.
func TestDies(t *testing.T) {
	w := New(Options{})
	a, b := watch(w), watch(w)
	inbox := addUser(t, a.Store, "ada")
	a.told = nil
	end, err := b.FeedEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("killed")
	a.hook = on(After, "Append", func(context.Context) error { return cause })
	if c, err := try(a.Store, inbox, mailOf(1)); c != nil || mailbox.KindOf(err) != mailbox.Unknown || !errors.Is(err, cause) {
		t.Errorf("append: %v, %v", c, err)
	}
	if len(a.told) > 0 {
		t.Errorf("published: %v", a.told)
	}
	if events, _, err := b.ReadFeed(t.Context(), end, 10); err != nil || len(events) != 1 || events[0].Change.Added.String() != "1" {
		t.Errorf("the feed: %v, %v", events, err)
	}
	if snap, err := b.Snapshot(t.Context(), inbox); err != nil || snap.UIDs.String() != "1" {
		t.Errorf("another node sees %+v, %v", snap, err)
	}
	// Should the node live on, what it commits next is told.
	a.hook = nil
	add(t, a.Store, inbox, mailOf(2))
	if len(a.told) != 1 || a.told[0].Change.Added.String() != "2" {
		t.Errorf("published then: %v", a.told)
	}
}

// TestSlowToPublish has a node wait between a commit and its publishing. What it
// commits meanwhile is published behind it; other nodes go on, and Close waits.
func TestSlowToPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(Options{})
		a, b := watch(w), watch(w)
		inbox := addUser(t, a.Store, "ada")
		a.told = nil
		resume := make(chan struct{})
		waited := false
		a.hook = on(After, "Append", func(context.Context) error {
			if !waited {
				waited = true
				<-resume
			}
			return nil
		})
		var mu sync.Mutex
		var order []string
		call := func(name string, f func() error) {
			go func() {
				if err := f(); err != nil {
					t.Error(name, err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, name)
			}()
			synctest.Wait()
		}
		call("first", func() error { _, err := try(a.Store, inbox, mailOf(1)); return err })
		call("second", func() error { _, err := try(a.Store, inbox, mailOf(2)); return err })
		call("other node", func() error { _, err := try(b.Store, inbox, mailOf(3)); return err })
		call("reader", func() error {
			snap, err := a.Snapshot(t.Context(), inbox)
			if err == nil && snap.UIDs.String() != "1:3" {
				err = fmt.Errorf("uids %v", snap.UIDs)
			}
			return err
		})
		call("close", a.Close)
		if got := fmt.Sprint(order); got != "[other node reader]" || len(a.told) > 0 || len(b.told) != 1 {
			t.Fatalf("done: %s; published: %d and %d", got, len(a.told), len(b.told))
		}
		close(resume)
		synctest.Wait()
		slices.Sort(order)
		if got := fmt.Sprint(order); got != "[close first other node reader second]" {
			t.Errorf("done: %s", got)
		}
		var uids []string
		for _, e := range a.told {
			uids = append(uids, e.Change.Added.String())
		}
		if fmt.Sprint(uids) != "[1 2]" {
			t.Errorf("published: %v", uids)
		}
	})
}

// TestSlowRead has a node wait with what it has read: that is old by then.
func TestSlowRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(Options{})
		a, b := watch(w), watch(w)
		inbox := addUser(t, a.Store, "ada")
		resume := make(chan struct{})
		a.hook = on(After, "Snapshot", func(context.Context) error { <-resume; return nil })
		var snap *mailstore.Snapshot
		go func() {
			var err error
			if snap, err = a.Snapshot(t.Context(), inbox); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		add(t, b.Store, inbox, mailOf(1))
		add(t, a.Store, inbox, mailOf(2))
		close(resume)
		synctest.Wait()
		if snap == nil || len(snap.UIDs) > 0 {
			t.Errorf("snapshot: %+v", snap)
		}
	})
}

// TestLeave has a caller leave while the database does not answer.
func TestLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := watch(New(Options{}))
		inbox := addUser(t, a.Store, "ada")
		a.hook = on(Before, "Expunge", func(ctx context.Context) error { <-ctx.Done(); return nil })
		add(t, a.Store, inbox, mailOf(1), imap.FlagDeleted)
		ctx, cancel := context.WithCancel(t.Context())
		var err error
		go func() { _, err = a.Expunge(ctx, inbox, span(1, 1)) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		if mailbox.KindOf(err) != mailbox.Unavailable {
			t.Errorf("expunge: %v", err)
		}
		if snap, err := a.Snapshot(t.Context(), inbox); err != nil || snap.Counts.Messages != 1 {
			t.Errorf("snapshot: %+v, %v", snap, err)
		}
	})
}
