package storetest

import (
	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

func testCopy(f *fixture) {
	a, inbox := f.inbox()
	for range 3 {
		f.add(inbox, imap.FlagSeen, "Work")
	}
	f.add(inbox, imap.FlagDeleted)
	f.expunge(inbox, span(2, 2))
	dst := f.create(a, "dst")
	f.fill(dst.ID, 2)
	n, before := f.told.count(), f.snapshot(inbox)
	out, err := f.store.Copy(f.ctx, inbox, dst.ID, span(1, 100))
	f.must(err)
	f.equal("copied", []any{out.UIDValidity, out.Source, out.Dest, out.Expunge == nil}, []any{dst.UIDValidity, "1,3:4", "3:5", true})
	f.equal("events", f.told.kinds(n), []string{"changed +3 -0"})
	f.equal("source", *f.snapshot(inbox), *before)
	fields := mailstore.FieldFlags | mailstore.FieldReceived | mailstore.FieldSize
	from, to := f.rows(inbox, fields), f.rows(dst.ID, fields)[2:]
	for i := range from {
		f.equal("flags", to[i].Flags, from[i].Flags)
		f.equal("received", to[i].Received, from[i].Received)
		f.equal("body", string(f.body(dst.ID, to[i].UID)), string(f.body(inbox, from[i].UID)))
	}
	f.equal("usage", f.quota(a).Usage, mailbox.QuotaUsage{Storage: 800, Messages: 8})
	// Onto itself, too: new messages.
	out, err = f.store.Copy(f.ctx, dst.ID, dst.ID, span(1, 1))
	f.must(err)
	f.equal("copied", []any{out.Source, out.Dest}, []any{"1", "6"})
	// Copies live on alone.
	f.expunge(inbox, span(1, 100))
	f.expunge(dst.ID, span(3, 3))
	f.maintain()
	f.equal("body", len(f.body(dst.ID, 4)), 100)

	n = f.told.count()
	out, err = f.store.Copy(f.ctx, inbox, dst.ID, span(50, 60))
	f.must(err)
	f.equal("nothing copied", []any{out.Change == nil, out.Source, out.Dest}, []any{true, "", ""})
	f.equal("nothing told", f.told.count(), n)
	_, err = f.store.Copy(f.ctx, dst.ID, inbox, span(1, 100))
	f.kind(err, mailbox.Limit) // five, four are allowed
	_, err = f.store.Copy(f.ctx, dst.ID, mailbox.NewID(), span(1, 1))
	f.kind(err, mailbox.NonExistent)
	_, stranger := f.inbox()
	n = f.told.count()
	_, err = f.store.Copy(f.ctx, dst.ID, stranger, span(1, 1))
	f.kind(err, mailbox.Cannot)
	limits := mailbox.QuotaLimits{Storage: -1, Messages: 6}
	f.must(f.store.SetQuota(f.ctx, a, &limits))
	_, err = f.store.Copy(f.ctx, dst.ID, inbox, span(1, 4))
	f.kind(err, mailbox.OverQuota)
	f.equal("events", f.told.kinds(n), []string{"quota"})
}

func testMove(f *fixture) {
	a, inbox := f.inbox()
	for range 5 {
		f.add(inbox, imap.FlagSeen, "Work")
	}
	dst := f.create(a, "dst")
	limits := mailbox.QuotaLimits{Storage: 500, Messages: 5} // a move needs no room
	f.must(f.store.SetQuota(f.ctx, a, &limits))
	n := f.told.count()
	out, err := f.store.Move(f.ctx, inbox, dst.ID, imap.UIDSet{{Start: 2, Stop: 3}, {Start: 5, Stop: 9}})
	f.must(err)
	f.equal("moved", []any{out.UIDValidity, out.Source, out.Dest, out.Expunge.Expunged}, []any{dst.UIDValidity, "2:3,5", "1:3", "2:3,5"})
	f.equal("events", f.told.kinds(n), []string{"changed +3 -0", "changed +0 -3"})
	f.equal("usage", f.quota(a).Usage, mailbox.QuotaUsage{Storage: 500, Messages: 5})
	f.equal("flags", f.rows(dst.ID, mailstore.FieldFlags)[0].Flags, mailbox.NewFlags(imap.FlagSeen, "Work"))
	f.maintain()
	f.equal("body", len(f.body(dst.ID, 3)), 100)
	_, err = f.store.Body(f.ctx, inbox, 5)
	f.kind(err, mailbox.Expunged)
	// And back.
	out, err = f.store.Move(f.ctx, dst.ID, inbox, span(1, 3))
	f.must(err)
	f.equal("moved", out.Dest, "6:8")
	f.equal("body", len(f.body(inbox, 8)), 100)
	out, err = f.store.Move(f.ctx, dst.ID, inbox, span(1, 3))
	f.must(err)
	f.equal("nothing moved", []any{out.Change == nil, out.Expunge == nil}, []any{true, true})
}

func testMoveWithin(f *fixture) {
	a, inbox := f.inbox()
	f.fill(inbox, 3)
	out, err := f.store.Move(f.ctx, inbox, inbox, span(1, 2))
	f.must(err)
	f.equal("moved", []any{out.Source, out.Dest}, []any{"1:2", "4:5"})
	f.equal("uids", f.snapshot(inbox).UIDs, "3:5")
	f.equal("body", len(f.body(inbox, 4)), 100)
	f.equal("usage", f.quota(a).Usage, mailbox.QuotaUsage{Storage: 300, Messages: 3})
}
