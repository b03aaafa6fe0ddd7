package storetest

import (
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

func testCreate(f *fixture) {
	a := f.account()
	i := f.create(a, "Work/2026")
	if i.ID.IsZero() || i.Account != a || i.Name != "Work/2026" || i.UIDValidity == 0 || i.ModSeq < 1 || i.Subscribed ||
		i.Counts != (mailbox.Counts{UIDNext: 1}) || i.RecentFrom != 1 {
		f.Errorf("created: %+v", i)
	}
	f.equal("found", f.lookup(a, "Work/2026"), i)
	_, err := f.store.Create(f.ctx, a, "Work/2026", nil)
	f.kind(err, mailbox.AlreadyExists)
	_, err = f.store.Create(f.ctx, a, mailbox.Inbox, nil)
	f.kind(err, mailbox.AlreadyExists)
	_, err = f.store.Lookup(f.ctx, a, "Work") // no parent is made
	f.kind(err, mailbox.NonExistent)
	_, err = f.store.Lookup(f.ctx, f.account(), "Work/2026")
	f.kind(err, mailbox.NonExistent)
	f.equal("names", f.names(a), []string{"INBOX", "Work/2026"})
}

func testNames(f *fixture) {
	a := f.account()
	for _, name := range []string{"zebra", "Äpfel & Birnen", "日本語/受信", "a b", "work", "Work", "%", "INBOX/sub", "Work.dot", "_", "o'clock"} {
		_, err := f.store.Create(f.ctx, a, name, nil)
		if mailbox.CheckName(name) != nil {
			f.kind(err, mailbox.Cannot)
			continue
		}
		f.must(err)
		f.equal("name", f.lookup(a, name).Name, name)
	}
	names := f.names(a)
	if !slices.IsSorted(names) || len(names) != 11 {
		f.Errorf("list: %q", names)
	}
}

func testSpecialUse(f *fixture) {
	a := f.account()
	i := f.create(a, "Gone", imap.MailboxAttrTrash, "\\junk")
	f.equal("uses", i.SpecialUse, []imap.MailboxAttr{imap.MailboxAttrTrash, imap.MailboxAttrJunk})
	f.equal("uses found", f.lookup(a, "Gone").SpecialUse, i.SpecialUse)
	_, err := f.store.Create(f.ctx, a, "Gone2", []imap.MailboxAttr{"\\TRASH"})
	f.kind(err, mailbox.Cannot)
	_, err = f.store.Create(f.ctx, a, "Odd", []imap.MailboxAttr{"\\Odd"})
	f.kind(err, mailbox.Cannot)
	f.equal("names", f.names(a), []string{"Gone", "INBOX"})
	f.create(f.account(), "Gone", imap.MailboxAttrTrash) // another account's
	f.must(f.store.Rename(f.ctx, a, "Gone", "Bin"))
	f.equal("uses after rename", f.lookup(a, "Bin").SpecialUse, i.SpecialUse)
	f.must(f.store.Delete(f.ctx, a, "Bin"))
	f.create(a, "Gone2", imap.MailboxAttrTrash) // free again
}

func testMailboxLimits(f *fixture) {
	a := f.account() // with INBOX, subscribed to
	f.create(a, "1")
	f.create(a, "2")
	_, err := f.store.Create(f.ctx, a, "3", nil)
	f.kind(err, mailbox.Limit)
	f.kind(f.store.Rename(f.ctx, a, mailbox.Inbox, "3"), mailbox.Limit)
	f.must(f.store.Subscribe(f.ctx, a, "x", true))
	f.must(f.store.Subscribe(f.ctx, a, "y", true))
	f.kind(f.store.Subscribe(f.ctx, a, "z", true), mailbox.Limit)
	f.must(f.store.Delete(f.ctx, a, "1"))
	f.create(a, "3")
}

func testDelete(f *fixture) {
	a := f.account()
	top, child := f.create(a, "a"), f.create(a, "a/b")
	f.fill(top.ID, 3)
	f.add(child.ID)
	f.must(f.store.Subscribe(f.ctx, a, "a", true))
	n := f.told.count()
	f.must(f.store.Delete(f.ctx, a, "a"))
	f.equal("events", f.told.kinds(n), []string{"deleted a"})
	f.equal("names", f.names(a), []string{"INBOX", "(a)", "a/b"})
	f.equal("messages below", f.lookup(a, "a/b").Counts.Messages, 1)
	f.equal("usage", f.quota(a).Usage, mailbox.QuotaUsage{Storage: 100, Messages: 1})
	f.kind(f.store.Delete(f.ctx, a, "a"), mailbox.NonExistent)
	f.kind(f.store.Delete(f.ctx, a, mailbox.Inbox), mailbox.Cannot)
	_, err := f.store.Snapshot(f.ctx, top.ID)
	f.kind(err, mailbox.NonExistent)
	if m, ok := f.store.(Maintainer); ok {
		f.must(m.Maintain(f.ctx))
		f.equal("body below", len(f.body(child.ID, 1)), 100)
	}
}

func testUIDValidity(f *fixture) {
	a := f.account()
	seen := map[uint32]bool{f.lookup(a, mailbox.Inbox).UIDValidity: true}
	ids := make(map[mailbox.ID]bool)
	for range 20 {
		i := f.create(a, "again")
		if seen[i.UIDValidity] || ids[i.ID] {
			f.Fatalf("UIDVALIDITY %d or ID %s was there before", i.UIDValidity, i.ID)
		}
		seen[i.UIDValidity], ids[i.ID] = true, true
		f.equal("first uid", f.add(i.ID), 1)
		f.must(f.store.Delete(f.ctx, a, "again"))
	}
	// A renamed mailbox keeps its own; what takes the name gets another.
	first := f.create(a, "x")
	f.must(f.store.Rename(f.ctx, a, "x", "y"))
	second := f.create(a, "x")
	if y := f.lookup(a, "y"); y.UIDValidity != first.UIDValidity || y.ID != first.ID || second.UIDValidity == first.UIDValidity {
		f.Errorf("x %+v, renamed %+v, new x %+v", first, y, second)
	}
}

func testSubscriptions(f *fixture) {
	a := f.account()
	f.create(a, "b")
	n := f.told.count()
	for range 2 {
		f.must(f.store.Subscribe(f.ctx, a, "nowhere", true))
		f.must(f.store.Subscribe(f.ctx, a, "b", true))
	}
	f.must(f.store.Subscribe(f.ctx, a, mailbox.Inbox, false))
	f.must(f.store.Subscribe(f.ctx, a, mailbox.Inbox, false))
	f.equal("events", f.told.kinds(n), []string{"subscribed nowhere", "subscribed b", "unsubscribed INBOX"})
	f.equal("names", f.names(a), []string{"INBOX", "b", "(nowhere)"})
	list, err := f.store.List(f.ctx, a)
	f.must(err)
	for i, want := range []bool{false, true, true} {
		f.equal(list[i].Name, list[i].Subscribed, want)
	}
	f.equal("lookup", f.lookup(a, "b").Subscribed, true)
	f.equal("snapshot", f.snapshot(f.lookup(a, "b").ID).Subscribed, true)
	// RFC 9051 §6.3.5, §6.3.6: subscriptions are names.
	f.must(f.store.Rename(f.ctx, a, "b", "c"))
	f.equal("names", f.names(a), []string{"INBOX", "(b)", "c", "(nowhere)"})
	f.must(f.store.Subscribe(f.ctx, a, "b", false))
	f.must(f.store.Subscribe(f.ctx, a, "nowhere", false))
	f.equal("names", f.names(a), []string{"INBOX", "c"})
}

func testRename(f *fixture) {
	a := f.account()
	for _, name := range []string{"a", "a/b", "a/b/c", "a0", "a-b", "ab", "A/b"} {
		f.add(f.create(a, name).ID)
	}
	before := f.lookup(a, "a/b/c")
	n := f.told.count()
	f.must(f.store.Rename(f.ctx, a, "a", "z/y"))
	f.equal("events", f.told.kinds(n), []string{"renamed a z/y", "renamed a/b z/y/b", "renamed a/b/c z/y/b/c"})
	f.equal("names", f.names(a), []string{"A/b", "INBOX", "a-b", "a0", "ab", "z/y", "z/y/b", "z/y/b/c"})
	after := f.lookup(a, "z/y/b/c")
	before.Name = after.Name
	f.equal("renamed", after, before)
	f.equal("message", len(f.body(after.ID, 1)), 100)

	// Up into a name that only the renamed ones used.
	f.must(f.store.Rename(f.ctx, a, "z/y", "z"))
	f.must(f.store.Rename(f.ctx, a, "z/b", "z/b/b"[:3]+"x"))
	f.equal("names", f.names(a), []string{"A/b", "INBOX", "a-b", "a0", "ab", "z", "z/bx", "z/bx/c"})
	f.create(a, "z/bx/bx")
	f.create(a, "z/bx/bx/bx")
	f.must(f.store.Delete(f.ctx, a, "z/bx"))
	f.must(f.store.Rename(f.ctx, a, "z/bx/bx", "z/bx"))
	f.equal("names", f.names(a), []string{"A/b", "INBOX", "a-b", "a0", "ab", "z", "z/bx", "z/bx/bx", "z/bx/c"})
}

func testRenameRefused(f *fixture) {
	a := f.account()
	for _, name := range []string{"a", "a/b", "c", "d/b"} {
		f.create(a, name)
	}
	before, n := f.names(a), f.told.count()
	f.kind(f.store.Rename(f.ctx, a, "no", "x"), mailbox.NonExistent)
	f.kind(f.store.Rename(f.ctx, a, "a", "c"), mailbox.AlreadyExists)
	f.kind(f.store.Rename(f.ctx, a, "a", mailbox.Inbox), mailbox.AlreadyExists)
	f.kind(f.store.Rename(f.ctx, a, "a", "d"), mailbox.AlreadyExists) // d/b is there: all or none
	f.kind(f.store.Rename(f.ctx, a, "a", "a/x"), mailbox.Cannot)
	f.kind(f.store.Rename(f.ctx, a, "a", "a"), mailbox.AlreadyExists)
	long := make([]byte, mailbox.MaxNameLen)
	for i := range long {
		long[i] = 'x'
	}
	f.kind(f.store.Rename(f.ctx, a, "a", string(long)), mailbox.Cannot) // then a/b would be too long
	f.equal("names", f.names(a), before)
	f.equal("events", f.told.kinds(n), []string{})
}

func testRenameInbox(f *fixture) {
	a, inbox := f.inbox()
	f.create(a, "INBOX/sub")
	f.add(inbox, imap.FlagSeen, "Work")
	f.fill(inbox, 4)
	f.expunge(inbox, span(3, 3))
	old, rows := f.snapshot(inbox), f.rows(inbox, mailstore.FieldFlags|mailstore.FieldSize|mailstore.FieldReceived)
	usage, n := f.quota(a).Usage, f.told.count()
	f.must(f.store.Rename(f.ctx, a, mailbox.Inbox, "Old"))
	f.equal("events", f.told.kinds(n), []string{"created Old", "changed +4 -0", "changed +0 -4"})
	f.equal("names", f.names(a), []string{"INBOX", "INBOX/sub", "Old"})
	snap := f.snapshot(inbox)
	f.equal("INBOX", snap.Counts, mailbox.Counts{UIDNext: old.Counts.UIDNext})
	f.equal("INBOX UIDVALIDITY", snap.UIDValidity, old.UIDValidity)
	moved := f.lookup(a, "Old")
	got := f.rows(moved.ID, mailstore.FieldFlags|mailstore.FieldSize|mailstore.FieldReceived)
	if len(got) != len(rows) {
		f.Fatalf("%d messages in the new mailbox, want %d", len(got), len(rows))
	}
	for i := range got {
		f.equal("flags", got[i].Flags, rows[i].Flags)
		f.equal("received", got[i].Received, rows[i].Received)
		f.equal("body", len(f.body(moved.ID, got[i].UID)), 100)
	}
	f.equal("usage", f.quota(a).Usage, usage)
	f.equal("keywords", f.snapshot(moved.ID).Keywords, []string{"Work"})
	f.equal("next uid in INBOX", f.add(inbox), old.Counts.UIDNext)
	// An empty INBOX makes an empty mailbox.
	f.expunge(inbox, span(1, 100))
	f.must(f.store.Rename(f.ctx, a, mailbox.Inbox, "Older"))
	f.equal("Older", f.lookup(a, "Older").Counts.Messages, 0)
	f.kind(f.store.Rename(f.ctx, a, mailbox.Inbox, "Older"), mailbox.AlreadyExists)
}

func testAdoptUIDs(f *fixture) {
	s, ok := f.store.(mailstore.UIDAdopter)
	if !ok {
		f.Skip("the store takes over no UIDs")
	}
	a, inbox := f.inbox()
	n := f.told.count()
	f.must(s.AdoptUIDs(f.ctx, inbox, 12345, 100))
	f.must(s.AdoptUIDs(f.ctx, inbox, 12345, 50))
	f.equal("events", f.told.kinds(n), []string{"uidvalidity INBOX"})
	f.equal("UIDVALIDITY", f.lookup(a, mailbox.Inbox).UIDValidity, 12345)
	f.equal("uid", f.add(inbox), 100)
	f.kind(s.AdoptUIDs(f.ctx, inbox, 54321, 1), mailbox.Cannot)
	f.must(s.AdoptUIDs(f.ctx, inbox, 12345, 200))
	f.equal("uid", f.add(inbox), 200)
	f.kind(s.AdoptUIDs(f.ctx, mailbox.NewID(), 1, 1), mailbox.NonExistent)
	if v := f.create(a, "new").UIDValidity; v == 12345 {
		f.Error("an adopted UIDVALIDITY was given out again")
	}
}
