// Package memory is a store that keeps mail in memory, for tests and for
// simulations of a cluster. A World is what the nodes of a cluster share, as
// they would share a database; each node opens a Store on it and publishes what it
// commits itself.
//
// It starts no goroutine, does no I/O and waits on channels only, so it works in
// the bubbles of testing/synctest. What it does follows from Options.Seed and the
// order of the calls: IDs are drawn from the seed, and no order of a map shows in what it
// returns or publishes. Nothing outlives the process, and it has no limit of memory.
package memory

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/incoming"
	"github.com/starling-mail/starling/message"
)

// inline is the size up to which a draft comes through the receiver's own
// buffer; larger ones are collected by blobs. Each World makes its buffers anew, so they are small.
const inline = 8 << 10

// Options are a World's settings. What is zero gets its default.
type Options struct {
	// Seed is where IDs of mailboxes and accounts, UIDVALIDITY, Line and the feed's
	// name come from. Worlds of one seed take each other's cursors for theirs.
	Seed uint64
	// DefaultQuota returns the limits of accounts without their own. It must not
	// use the store. Nil: no limits.
	DefaultQuota func() mailbox.QuotaLimits

	MaxMailboxes int // mailboxes of an account, and subscriptions; default 10,000
	MaxKeywords  int // keywords of a mailbox; default 200
	MaxCopy      int // messages in one Copy or Move; default 100,000

	FeedRetention    time.Duration // what Store.Maintain leaves of the feed; default 7 days
	ExpungeRetention time.Duration // what it leaves of the expunge log; default 90 days
}

func (o Options) withDefaults() Options {
	set(&o.MaxMailboxes, 10_000)
	set(&o.MaxKeywords, 200)
	set(&o.MaxCopy, 100_000)
	set(&o.FeedRetention, 7*24*time.Hour)
	set(&o.ExpungeRetention, 90*24*time.Hour)
	if o.DefaultQuota == nil {
		o.DefaultQuota = func() mailbox.QuotaLimits { return mailbox.Unlimited }
	}
	return o
}

func set[T int | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// A World is the mail that several Stores share.
type World struct {
	o        Options
	blobs    *blobs
	receiver *incoming.Receiver
	system   [16]byte // names the feed
	line     uint64

	mu       sync.Mutex
	rand     *rand.Rand
	names    map[string]*account // by login name and alias
	accounts map[mailbox.AccountID]*account
	boxes    map[mailbox.ID]*box
	feed     []entry
	floor    uint64 // how many events were trimmed from the feed
}

// New returns a World without users.
func New(o Options) *World {
	w := &World{
		o:        o.withDefaults(),
		blobs:    &blobs{m: make(map[blob.ID]kept)},
		rand:     rand.New(rand.NewPCG(o.Seed, 0)),
		names:    make(map[string]*account),
		accounts: make(map[mailbox.AccountID]*account),
		boxes:    make(map[mailbox.ID]*box),
	}
	w.receiver = incoming.NewReceiver(inline, message.Limits{}, w.blobs, new(incoming.Codec))
	w.system = w.newID()
	w.line = w.rand.Uint64()>>1 | 1
	return w
}

// newID draws an ID.
func (w *World) newID() (id [16]byte) {
	for i := 0; i < len(id); i += 8 {
		n := w.rand.Uint64()
		for k := range 8 {
			id[i+k] = byte(n >> (8 * k))
		}
	}
	return id
}

// A Node is whoever opens a Store: one member of a cluster.
type Node struct {
	// Publish is told of every commit of this node, in their order and one at a
	// time. It must not wait for a write of this node. Nil: nobody is told.
	Publish mailstore.Publish
	// Hook may disturb this node's calls. Nil: nothing does.
	Hook Hook
}

// Open returns a node's Store.
func (w *World) Open(n Node) *Store {
	if n.Publish == nil {
		n.Publish = func([]mailbox.Event) {}
	}
	if n.Hook == nil {
		n.Hook = func(context.Context, Step, string) error { return nil }
	}
	published := make(chan struct{})
	close(published)
	return &Store{w: w, node: n, published: published}
}
