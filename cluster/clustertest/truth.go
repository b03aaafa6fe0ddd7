package clustertest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/memory"
)

// The truth is all that the store has committed, read from its feed, published or not.
type truth struct {
	store *memory.Store // nobody's

	mu     sync.Mutex
	cursor mailstore.Cursor
	boxes  map[mailbox.ID]*boxTruth
	latest time.Time // when something was seen that had been committed since the time before
}

// A boxTruth is the history of one mailbox.
type boxTruth struct {
	truth    *truth
	id       mailbox.ID
	validity uint32
	messages map[imap.UID]*message
	modseq   mailbox.ModSeq
	by       map[mailbox.ModSeq]string // who has published what
}

// A message is the history of one message.
type message struct {
	versions []version
	expunged mailbox.ModSeq // 0: it is there
	by       string         // the node that has expunged it, if it has told so
}

// A version is the flags that a message has had from a ModSeq on.
type version struct {
	modseq mailbox.ModSeq
	flags  string
}

func newTruth(store *memory.Store) (*truth, error) {
	cursor, err := store.FeedEnd(context.Background())
	return &truth{store: store, cursor: cursor, boxes: make(map[mailbox.ID]*boxTruth)}, err
}

// follow returns the history of a mailbox, which is empty until now.
func (t *truth) follow(i mailstore.Info) *boxTruth {
	b := &boxTruth{truth: t, id: i.ID, validity: i.UIDValidity, messages: make(map[imap.UID]*message), modseq: i.ModSeq, by: make(map[mailbox.ModSeq]string)}
	t.boxes[i.ID] = b
	return b
}

// read reads what was committed since. The caller holds mu.
func (t *truth) read() {
	for {
		const limit = 100
		events, cursor, err := t.store.ReadFeed(context.Background(), t.cursor, limit)
		if err != nil {
			panic(err) // it is in memory, and nothing disturbs it
		}
		t.cursor = cursor
		for _, e := range events {
			if b := t.boxes[e.Mailbox]; b != nil && e.Change != nil {
				b.apply(e.Change)
				t.latest = time.Now()
			}
		}
		if len(events) < limit {
			return
		}
	}
}

func (b *boxTruth) apply(c *mailbox.Change) {
	b.modseq = c.ModSeq
	for _, r := range c.Added {
		for uid := r.Start; uid <= r.Stop; uid++ {
			b.messages[uid] = new(message)
		}
	}
	for _, f := range c.Flags {
		flags := string(f.Flags.Append(nil))
		for _, r := range f.UIDs {
			for uid := r.Start; uid <= r.Stop; uid++ {
				m := b.messages[uid]
				m.versions = append(m.versions, version{c.ModSeq, flags})
			}
		}
	}
	for _, r := range c.Expunged {
		for uid := r.Start; uid <= r.Stop; uid++ {
			b.messages[uid].expunged = c.ModSeq
		}
	}
}

// published notes what a node publishes.
func (t *truth) published(node string, events []mailbox.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range events {
		if b := t.boxes[e.Mailbox]; b != nil && e.Change != nil {
			b.by[e.Change.ModSeq] = node
		}
	}
	t.read()
}

// message returns the history of a message up to now: nil if it never was.
func (b *boxTruth) message(uid imap.UID) *message {
	b.truth.mu.Lock()
	defer b.truth.mu.Unlock()
	b.truth.read()
	m := b.messages[uid]
	if m == nil {
		return nil
	}
	return &message{slices.Clone(m.versions), m.expunged, b.by[m.expunged]}
}

// now returns the mailbox as it is.
func (b *boxTruth) now() (uids []imap.UID, flags map[imap.UID]string, modseq mailbox.ModSeq) {
	b.truth.mu.Lock()
	defer b.truth.mu.Unlock()
	b.truth.read()
	flags = make(map[imap.UID]string)
	for uid, m := range b.messages {
		if m.expunged == 0 {
			uids = append(uids, uid)
			flags[uid] = m.versions[len(m.versions)-1].flags
		}
	}
	slices.Sort(uids)
	return uids, flags, b.modseq
}

// changed returns when something was last found committed.
func (t *truth) changed() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.read()
	return t.latest
}
