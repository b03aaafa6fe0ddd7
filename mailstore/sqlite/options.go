package sqlite

import (
	"time"

	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/blob/fs"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/incoming"
	"github.com/starling-mail/starling/message"
)

// Options says where a store lives and how it works. Only Dir is required;
// what is zero gets its default.
type Options struct {
	// Dir is the data folder. It is made if it is not there, and locked.
	Dir string
	// Publish is told of every commit. Nil: nobody is.
	Publish mailstore.Publish
	Log     zerolog.Logger // nothing is logged if unset

	// DefaultQuota returns the limits of accounts without their own. It is asked
	// anew in each transaction. Nil: no limits.
	DefaultQuota func() mailbox.QuotaLimits

	Inline      int            // bytes up to which a body sits beside its metadata; default 64 KiB, at most 1 MiB
	Uncompress  bool           // store bodies as they are
	Message     message.Limits // of the parser
	Readers     int            // connections for reading; default 4
	ReaderCache int            // KiB of page cache of each; default 4,096
	WriterCache int            // KiB of page cache of the writer; default 16,384

	MaxMailboxes int // mailboxes of an account, and subscriptions; default 10,000
	MaxKeywords  int // keywords of a mailbox; default 200
	MaxCopy      int // messages in one Copy or Move; default 100,000

	FeedRetention    time.Duration // how long the feed reaches back; default 7 days
	ExpungeRetention time.Duration // how long the expunge log does; default 90 days
	MaintainEvery    time.Duration // default 1 minute

	// Files is the file system for blobs; nil: the folder blobs in Dir. Tests
	// put faults in its way.
	Files fs.Files
	// VFS names SQLite's layer to the operating system; "": the usual one.
	VFS string
}

func (o Options) withDefaults() Options {
	set(&o.Inline, 64<<10)
	o.Inline = min(o.Inline, incoming.MaxInline)
	set(&o.Readers, 4)
	set(&o.ReaderCache, 4<<10)
	set(&o.WriterCache, 16<<10)
	set(&o.MaxMailboxes, 10_000)
	set(&o.MaxKeywords, 200)
	set(&o.MaxCopy, 100_000)
	set(&o.FeedRetention, 7*24*time.Hour)
	set(&o.ExpungeRetention, 90*24*time.Hour)
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
