// Package storetest is the suite that every back end passes: it is the contract
// of package mailstore, executed.
package storetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// Options are what a test asks of the store that it opens. A zero value means:
// the back end's default.
type Options struct {
	Publish          mailstore.Publish
	DefaultQuota     func() mailbox.QuotaLimits
	MaxMailboxes     int
	MaxKeywords      int
	MaxCopy          int
	FeedRetention    time.Duration
	ExpungeRetention time.Duration
}

// A Maintainer is a store that trims its feed and its expunge log when told to.
// Stores that are none skip the tests of retention.
type Maintainer interface {
	Maintain(context.Context) error
}

// Run runs the suite. Open opens a new, empty store and has it closed at the
// test's end.
func Run(t *testing.T, open func(t *testing.T, o Options) mailstore.Store) {
	for _, c := range []struct {
		name string
		opts Options
		test func(*fixture)
	}{
		{name: "create", test: testCreate},
		{name: "names", test: testNames},
		{name: "special use", test: testSpecialUse},
		{name: "mailbox limits", opts: Options{MaxMailboxes: 3}, test: testMailboxLimits},
		{name: "delete", test: testDelete},
		{name: "uidvalidity", test: testUIDValidity},
		{name: "subscriptions", test: testSubscriptions},
		{name: "rename", test: testRename},
		{name: "rename refused", test: testRenameRefused},
		{name: "rename inbox", test: testRenameInbox},
		{name: "adopt uids", test: testAdoptUIDs},

		{name: "append", test: testAppend},
		{name: "append several", test: testAppendSeveral},
		{name: "append with uids", test: testAppendUIDs},
		{name: "append all or none", test: testAppendNone},
		{name: "draft in several mailboxes", test: testDraftTwice},
		{name: "receive", test: testReceive},
		{name: "ids", test: testIDs},
		{name: "flags", test: testFlags},
		{name: "unchanged since", test: testUnchangedSince},
		{name: "keywords", opts: Options{MaxKeywords: 3}, test: testKeywords},
		{name: "expunge", test: testExpunge},
		{name: "body", test: testBody},
		{name: "copy", opts: Options{MaxCopy: 4}, test: testCopy},
		{name: "move", test: testMove},
		{name: "move within a mailbox", test: testMoveWithin},

		{name: "page", test: testPage},
		{name: "page is one snapshot", test: testPageSnapshot},
		{name: "snapshot", test: testSnapshot},
		{name: "recent", test: testRecent},
		{name: "changes since", test: testChangesSince},
		{name: "changes since, any history", test: testChangesRandom},
		{name: "expunge log retention", opts: Options{ExpungeRetention: time.Nanosecond}, test: testExpungeRetention},
		{name: "feed", test: testFeed},
		{name: "feed with writers", test: testFeedWriters},
		{name: "feed retention", opts: Options{FeedRetention: time.Nanosecond}, test: testFeedRetention},

		{name: "users", test: testUsers},
		{name: "remove user", test: testRemoveUser},
		{name: "quota", opts: Options{DefaultQuota: func() mailbox.QuotaLimits { return mailbox.QuotaLimits{Storage: 1000, Messages: 5} }}, test: testQuota},
		{name: "quota with writers", test: testQuotaWriters},
		{name: "recount quota", test: testRecountQuota},

		{name: "writers", test: testWriters},
		{name: "cancelled", test: testCancelled},
		{name: "closed", test: testClosed},
		{name: "missing", test: testMissing},
		{name: "meter", test: testMeter},
		{name: "large mailbox", test: testLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fixture{T: t, ctx: t.Context()}
			f.told.line = make(map[mailbox.ID]uint64)
			c.opts.Publish = f.told.publish
			f.store = open(t, c.opts)
			c.test(f)
			f.verify()
		})
	}
}

// A fixture is one test's store with what it published.
type fixture struct {
	*testing.T
	ctx   context.Context
	store mailstore.Store
	told  told
	users atomic.Int32
	mails atomic.Int32
	done  bool // the store is closed: nothing to verify
}

// must fails the test on an error.
func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// kind wants an error of a kind.
func (f *fixture) kind(err error, want mailbox.Kind) {
	f.Helper()
	if err == nil {
		f.Errorf("no error, want one of kind %q", want)
	} else if got := mailbox.KindOf(err); got != want {
		f.Errorf("error of kind %q, want %q: %v", got, want, err)
	}
}

// account adds a user and returns the account.
func (f *fixture) account() mailbox.AccountID {
	f.Helper()
	u, err := f.store.AddUser(f.ctx, mailbox.User{Name: fmt.Sprint("user", f.users.Add(1))}, nil)
	f.must(err)
	return u.Account
}

// inbox adds a user and returns the account and its INBOX.
func (f *fixture) inbox() (mailbox.AccountID, mailbox.ID) {
	f.Helper()
	a := f.account()
	return a, f.lookup(a, mailbox.Inbox).ID
}

func (f *fixture) lookup(a mailbox.AccountID, name string) mailstore.Info {
	f.Helper()
	i, err := f.store.Lookup(f.ctx, a, name)
	f.must(err)
	return i
}

func (f *fixture) create(a mailbox.AccountID, name string, use ...imap.MailboxAttr) mailstore.Info {
	f.Helper()
	i, err := f.store.Create(f.ctx, a, name, use)
	f.must(err)
	return i
}

// names lists an account's mailboxes, those only subscribed to in parentheses.
func (f *fixture) names(a mailbox.AccountID) (names []string) {
	f.Helper()
	list, err := f.store.List(f.ctx, a)
	f.must(err)
	for _, i := range list {
		if i.ID.IsZero() {
			names = append(names, "("+i.Name+")")
		} else {
			names = append(names, i.Name)
		}
	}
	return names
}

// mail makes a message of that many bytes, with a Message-ID of its own.
func (f *fixture) mail(size int) []byte {
	b := fmt.Appendf(nil, "Message-ID: <%d@example.org>\r\nSubject: test\r\n\r\n", f.mails.Add(1))
	if len(b) > size {
		b = b[:size]
	}
	return append(b, bytes.Repeat([]byte{'x'}, size-len(b))...)
}

func (f *fixture) receive(mail []byte) mailstore.Draft {
	f.Helper()
	d, err := f.store.Receive(f.ctx, bytes.NewReader(mail), 1<<30)
	f.must(err)
	return d
}

// add appends one message of 100 bytes.
func (f *fixture) add(box mailbox.ID, flags ...imap.Flag) imap.UID {
	f.Helper()
	return f.addMail(box, f.mail(100), flags...)
}

func (f *fixture) addMail(box mailbox.ID, mail []byte, flags ...imap.Flag) imap.UID {
	f.Helper()
	d := f.receive(mail)
	defer d.Discard()
	a, err := f.store.Append(f.ctx, box, []mailstore.Incoming{{Draft: d, Flags: mailbox.NewFlags(flags...)}})
	f.must(err)
	nums, _ := a.Change.Added.Nums()
	if len(nums) != 1 {
		f.Fatalf("append of one message added %v", a.Change.Added)
	}
	return nums[0]
}

// fill appends n messages.
func (f *fixture) fill(box mailbox.ID, n int) {
	f.Helper()
	for range n {
		f.add(box)
	}
}

func (f *fixture) flag(box mailbox.ID, uids imap.UIDSet, op imap.StoreFlagsOp, flags ...imap.Flag) mailstore.Flagged {
	f.Helper()
	r, err := f.store.UpdateFlags(f.ctx, box, uids, mailstore.FlagUpdate{Op: op, Flags: mailbox.NewFlags(flags...)})
	f.must(err)
	return r
}

// expunge marks messages as deleted and removes them.
func (f *fixture) expunge(box mailbox.ID, uids imap.UIDSet) *mailbox.Change {
	f.Helper()
	f.flag(box, uids, imap.StoreFlagsAdd, imap.FlagDeleted)
	c, err := f.store.Expunge(f.ctx, box, uids)
	f.must(err)
	return c
}

func (f *fixture) snapshot(box mailbox.ID) *mailstore.Snapshot {
	f.Helper()
	s, err := f.store.Snapshot(f.ctx, box)
	f.must(err)
	return s
}

// rows reads all messages of a mailbox.
func (f *fixture) rows(box mailbox.ID, fields mailstore.Fields) []mailstore.Row {
	f.Helper()
	var p mailstore.Page
	f.must(f.store.Page(f.ctx, box, span(1, maxUID), fields, 1<<20, &p))
	return p.Rows
}

func (f *fixture) body(box mailbox.ID, uid imap.UID) []byte {
	f.Helper()
	b, err := f.store.Body(f.ctx, box, uid)
	f.must(err)
	defer b.Close()
	got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	f.must(err)
	return got
}

func (f *fixture) quota(a mailbox.AccountID) mailbox.Quota {
	f.Helper()
	q, err := f.store.Quota(f.ctx, a)
	f.must(err)
	return q
}

const maxUID = imap.UID(1<<32 - 1)

func span(from, to imap.UID) imap.UIDSet { return imap.UIDSet{{Start: from, Stop: to}} }

// equal compares by how values print: nil and empty are the same.
func (f *fixture) equal(what string, got, want any) {
	f.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		f.Errorf("%s: %s, want %s", what, g, w)
	}
}
