package postgres

import (
	"time"

	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/incoming"
	"github.com/starling-mail/starling/message"
)

// DefaultInline is Options.Inline where that is not given.
const DefaultInline = 64 << 10

// Options says where a store lives and how it works. URL and Blobs are
// required; what is zero gets its default.
type Options struct {
	// URL is the database, in the form of libpq: a URL or key=value pairs. With
	// several hosts, target_session_attrs=read-write finds the one that takes writes.
	URL string
	// Blobs keeps the bodies above Inline. All nodes must see the same blobs, and
	// no other database may have them.
	Blobs blob.Store
	// Shard is the name of this database among several that are one mail store (see
	// package sharded). Empty: it is alone.
	Shard string
	// Directory is the shard that knows where each account is. Nil: this one.
	Directory *Store
	// Publish is told of every commit of this node. Nil: nobody is.
	Publish mailstore.Publish
	Log     zerolog.Logger // nothing is logged if unset

	// DefaultQuota returns the limits of accounts without their own. It is asked
	// anew in each transaction. Nil: no limits.
	DefaultQuota func() mailbox.QuotaLimits

	Inline      int            // bytes up to which a body sits in the database; default DefaultInline, at most 1 MiB
	Uncompress  bool           // store bodies as they are
	Message     message.Limits // of the parser
	Connections int            // to the database, at most; default 16

	MaxMailboxes int // mailboxes of an account, and subscriptions; default 10,000
	MaxKeywords  int // keywords of a mailbox; default 200
	MaxCopy      int // messages in one Copy or Move; default 100,000

	// Timeout bounds one transaction, and one read whose context has no deadline, with
	// the wait for a connection and for locks; default 30 s. A larger one only delays the answer when the database hangs.
	Timeout time.Duration
	// ResolveTimeout is how long the outcome of a transaction whose COMMIT was not
	// answered is asked for, before it is Unknown; default 10 s.
	ResolveTimeout time.Duration

	FeedRetention    time.Duration // how long the feed reaches back; default 7 days
	ExpungeRetention time.Duration // how long the expunge log does; default 90 days
	BodyGrace        time.Duration // how long a blob outlives its last message; default 10 minutes
	OrphanAge        time.Duration // blobs older than this that no message has are deleted; default 48 hours
	MaintainEvery    time.Duration // default 1 minute
}

func (o Options) withDefaults() Options {
	set(&o.Inline, DefaultInline)
	o.Inline = min(o.Inline, incoming.MaxInline)
	set(&o.Connections, 16)
	set(&o.MaxMailboxes, 10_000)
	set(&o.MaxKeywords, 200)
	set(&o.MaxCopy, 100_000)
	set(&o.Timeout, 30*time.Second)
	set(&o.ResolveTimeout, 10*time.Second)
	set(&o.FeedRetention, 7*24*time.Hour)
	set(&o.ExpungeRetention, 90*24*time.Hour)
	set(&o.BodyGrace, 10*time.Minute)
	set(&o.OrphanAge, 48*time.Hour)
	set(&o.MaintainEvery, time.Minute)
	if o.Publish == nil {
		o.Publish = func([]mailbox.Event) {}
	}
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
