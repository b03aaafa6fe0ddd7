package sharded

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// A client caches a mailbox as one with QRESYNC does (RFC 7162): all that it knows it was told by changes since the modseq that
// it has.
type client struct {
	box    mailbox.ID
	modseq mailbox.ModSeq
	flags  map[imap.UID]mailbox.Flags
	next   imap.UID
}

// sync asks for what has changed, and wants it to follow from what is known.
func (c *client) sync(ctx context.Context, s *Store) error {
	ch, ok, err := s.ChangesSince(ctx, c.box, c.modseq)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("modseq %d is not known any more", c.modseq)
	}
	if ch.ModSeq < c.modseq {
		return fmt.Errorf("modseq %d comes after %d", ch.ModSeq, c.modseq)
	}
	for _, r := range ch.Expunged {
		for uid := range c.flags {
			if uid >= r.Start && uid <= r.Stop {
				delete(c.flags, uid)
			}
		}
	}
	if len(ch.Added) > 0 && ch.Added[0].Start < c.next {
		return fmt.Errorf("UID %d is new, %d was the next", ch.Added[0].Start, c.next)
	}
	for _, f := range ch.Flags {
		for _, r := range f.UIDs {
			for uid := r.Start; uid <= r.Stop; uid++ {
				c.flags[uid] = f.Flags
			}
		}
	}
	if ch.Counts.UIDNext < c.next {
		return fmt.Errorf("UIDNEXT %d comes after %d", ch.Counts.UIDNext, c.next)
	}
	if int(ch.Counts.Messages) != len(c.flags) {
		return fmt.Errorf("%d messages at modseq %d, the client knows %d", ch.Counts.Messages, ch.ModSeq, len(c.flags))
	}
	c.modseq, c.next = ch.ModSeq, ch.Counts.UIDNext
	return nil
}

// A writer adds, flags and removes messages of its own and remembers what was acknowledged.
type writer struct {
	s     *Store
	box   mailbox.ID
	flags map[imap.UID]mailbox.Flags
	gone  []imap.UID
	text  map[imap.UID]int
}

func one(uid imap.UID) imap.UIDSet { return imap.UIDSet{{Start: uid, Stop: uid}} }

func (w *writer) work(ctx context.Context, n int) error {
	uids := slices.Collect(maps.Keys(w.flags))
	kind := rand.IntN(10)
	switch {
	case len(uids) < 5 || kind < 4:
		size := 200
		if kind == 0 {
			size = 70_000
		}
		uid, err := add(ctx, w.s, w.box, n, size, imap.FlagSeen)
		if err != nil {
			return err
		}
		w.flags[uid], w.text[uid] = mailbox.NewFlags(imap.FlagSeen), n
	case kind < 8:
		uid, flags := uids[rand.IntN(len(uids))], mailbox.NewFlags(imap.Flag(fmt.Sprint("k", rand.IntN(30))))
		if _, err := w.s.UpdateFlags(ctx, w.box, one(uid), mailstore.FlagUpdate{Op: imap.StoreFlagsSet, Flags: flags}); err != nil {
			return err
		}
		w.flags[uid] = flags
	default:
		uid := uids[rand.IntN(len(uids))]
		if _, err := w.s.UpdateFlags(ctx, w.box, one(uid), mailstore.FlagUpdate{Op: imap.StoreFlagsAdd, Flags: mailbox.NewFlags(imap.FlagDeleted)}); err != nil {
			return err
		}
		c, err := w.s.Expunge(ctx, w.box, one(uid))
		if err != nil {
			return err
		}
		if c == nil {
			return fmt.Errorf("UID %d was there and is not", uid)
		}
		delete(w.flags, uid)
		w.gone = append(w.gone, uid)
	}
	return nil
}

// TestMoveBusy moves an account to and fro while eight writers on two nodes work on it and a client follows. All that was acknowledged is there
// at the end, nothing else is, and the client, which was told of changes only, knows it as it is.
func TestMoveBusy(t *testing.T) {
	list := shards(t, 2)
	told := make([][]mailbox.Event, 2)
	var mu sync.Mutex
	nodes := make([]*Store, 2)
	for n := range nodes {
		mine := slices.Clone(list)
		for i := range mine {
			mine[i].Postgres.Publish = func(events []mailbox.Event) {
				mu.Lock()
				defer mu.Unlock()
				told[n] = append(told[n], events...)
			}
		}
		nodes[n] = open(t, Options{Shards: mine})
	}
	s := nodes[0]
	account := furnish(t, s, "ada")
	inbox, err := s.Lookup(t.Context(), account, mailbox.Inbox)
	if err != nil {
		t.Fatal(err)
	}
	clients := make([]*client, len(nodes))
	for i, node := range nodes {
		clients[i] = &client{box: inbox.ID, flags: make(map[imap.UID]mailbox.Flags)}
		if err := clients[i].sync(t.Context(), node); err != nil {
			t.Fatal(err)
		}
	}
	before := maps.Clone(clients[0].flags)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var working sync.WaitGroup
	writers := make([]*writer, 8)
	failed := make(chan error, 100)
	for i := range writers {
		w := &writer{s: nodes[i%2], box: inbox.ID, flags: make(map[imap.UID]mailbox.Flags), text: make(map[imap.UID]int)}
		writers[i] = w
		working.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := w.work(context.WithoutCancel(ctx), 10_000*(i+1)+n); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	for i, c := range clients {
		working.Go(func() {
			for ctx.Err() == nil {
				if err := c.sync(context.WithoutCancel(ctx), nodes[i]); err != nil {
					failed <- fmt.Errorf("client: %w", err)
					return
				}
			}
		})
	}
	working.Go(func() { // mailboxes come, are renamed and go
		for n := 0; ctx.Err() == nil; n++ {
			name := fmt.Sprint("box", n)
			_, err := nodes[1].Create(t.Context(), account, name, nil)
			err = errors.Join(err, nodes[0].Rename(t.Context(), account, name, "renamed"), nodes[1].Delete(t.Context(), account, "renamed"))
			if err != nil {
				failed <- err
				return
			}
		}
	})
	for i, to := range []string{"b", "a", "b"} {
		moved(t, nodes[i%2], account, to)
	}
	stop()
	working.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}

	want := before
	for _, w := range writers {
		maps.Copy(want, w.flags)
	}
	var page mailstore.Page
	if err := nodes[1].Page(t.Context(), inbox.ID, imap.UIDSet{{Start: 1, Stop: 1<<32 - 1}}, mailstore.FieldFlags, 1<<20, &page); err != nil {
		t.Fatal(err)
	}
	have := make(map[imap.UID]mailbox.Flags)
	for _, r := range page.Rows {
		have[r.UID] = r.Flags
	}
	if !maps.Equal(have, want) {
		t.Errorf("there are %d messages, %d were acknowledged, or with other flags", len(have), len(want))
	}
	for i, c := range clients {
		if err := c.sync(t.Context(), nodes[i]); err != nil {
			t.Errorf("client %d: %v", i, err)
		}
		if !maps.Equal(c.flags, want) {
			t.Errorf("client %d knows %d messages of %d, or other flags", i, len(c.flags), len(want))
		}
	}
	for _, w := range writers {
		for uid, n := range w.text {
			if _, there := w.flags[uid]; there && !slices.Equal(read(t, nodes[0], inbox.ID, uid)[:120], mail(n, 200)[:120]) {
				t.Errorf("UID %d is another message", uid)
			}
		}
	}
	// What the nodes published is one chain.
	chain := make(map[mailbox.ModSeq]mailbox.ModSeq)
	for _, events := range told {
		for _, e := range events {
			if e.Mailbox == inbox.ID && e.Change != nil {
				if _, twice := chain[e.Change.Prev]; twice {
					t.Errorf("two changes follow modseq %d", e.Change.Prev)
				}
				chain[e.Change.Prev] = e.Change.ModSeq
			}
		}
	}
	at := mailbox.ModSeq(1)
	for chain[at] != 0 {
		at = chain[at]
	}
	if at != page.ModSeq {
		t.Errorf("the chain of changes ends at modseq %d, the mailbox is at %d", at, page.ModSeq)
	}
	maintain(t, s)
	if f := check(t, s); len(f) > 0 {
		t.Errorf("check: %q", f)
	}
	if was, is, err := s.RecountQuota(t.Context(), account, false); err != nil || was != is {
		t.Errorf("usage %+v, is %+v, %v", was, is, err)
	}
	t.Logf("%d changes during the moves", len(chain))
}
