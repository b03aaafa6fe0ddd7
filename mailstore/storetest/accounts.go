package storetest

import (
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

func testUsers(f *fixture) {
	before := time.Now().Add(-time.Second)
	u, err := f.store.AddUser(f.ctx, mailbox.User{Name: "ada@example.org", Password: "hash", Aliases: []string{"b@example.org", "a@example.org"}, Admin: true},
		[]mailstore.NewMailbox{{Name: "Sent", SpecialUse: []imap.MailboxAttr{imap.MailboxAttrSent}}, {Name: "Drafts"}})
	f.must(err)
	if u.Account.IsZero() || u.Created.Before(before) || u.Created.After(time.Now()) {
		f.Errorf("added: %+v", u)
	}
	for _, name := range []string{"ada@example.org", "a@example.org", "b@example.org"} {
		got, err := f.store.User(f.ctx, name)
		f.must(err)
		f.equal(name, got, u)
	}
	f.equal("aliases", u.Aliases, []string{"a@example.org", "b@example.org"})
	f.equal("mailboxes", f.names(u.Account), []string{"Drafts", "INBOX", "Sent"})
	list, err := f.store.List(f.ctx, u.Account)
	f.must(err)
	for _, i := range list {
		f.equal(i.Name+" is subscribed to", i.Subscribed, true)
	}
	f.equal("use", f.lookup(u.Account, "Sent").SpecialUse, []imap.MailboxAttr{imap.MailboxAttrSent})

	_, err = f.store.User(f.ctx, "nobody")
	f.kind(err, mailbox.NonExistent)
	for _, u := range []mailbox.User{{Name: "ada@example.org"}, {Name: "a@example.org"}, {Name: "bob", Aliases: []string{"b@example.org"}}, {Name: "bob", Aliases: []string{"bob"}}} {
		_, err = f.store.AddUser(f.ctx, u, nil)
		f.kind(err, mailbox.AlreadyExists)
	}
	bob, err := f.store.AddUser(f.ctx, mailbox.User{Name: "bob", Disabled: true}, nil)
	f.must(err)

	n := f.told.count()
	u.Aliases, u.Password, u.Admin, u.Disabled = []string{"c@example.org"}, "other", false, true
	f.must(f.store.UpdateUser(f.ctx, u))
	f.equal("events", f.told.kinds(n), []string{"credentials ada@example.org"})
	got, err := f.store.User(f.ctx, "c@example.org")
	f.must(err)
	f.equal("updated", got, u)
	_, err = f.store.User(f.ctx, "a@example.org")
	f.kind(err, mailbox.NonExistent)
	bad := u
	bad.Aliases = []string{"d@example.org", "bob"}
	f.kind(f.store.UpdateUser(f.ctx, bad), mailbox.AlreadyExists)
	f.kind(f.store.UpdateUser(f.ctx, mailbox.User{Name: "nobody"}), mailbox.NonExistent)
	users, err := f.store.UserList(f.ctx)
	f.must(err)
	f.equal("list", users, []mailbox.User{u, bob})
}

func testRemoveUser(f *fixture) {
	u, err := f.store.AddUser(f.ctx, mailbox.User{Name: "ada", Aliases: []string{"alias"}}, []mailstore.NewMailbox{{Name: "Sent"}})
	f.must(err)
	inbox := f.lookup(u.Account, mailbox.Inbox).ID
	f.fill(inbox, 3)
	other, theirs := f.inbox()
	f.add(theirs)
	n := f.told.count()
	f.kind(f.store.RemoveUser(f.ctx, "alias"), mailbox.NonExistent)
	f.must(f.store.RemoveUser(f.ctx, "ada"))
	events := f.told.kinds(n)
	slices.Sort(events)
	f.equal("events", events, []string{"credentials ada", "deleted INBOX", "deleted Sent"})
	f.maintain()
	for _, name := range []string{"ada", "alias"} {
		_, err := f.store.User(f.ctx, name)
		f.kind(err, mailbox.NonExistent)
	}
	_, err = f.store.Quota(f.ctx, u.Account)
	f.kind(err, mailbox.NonExistent)
	_, err = f.store.List(f.ctx, u.Account)
	f.kind(err, mailbox.NonExistent)
	_, err = f.store.Snapshot(f.ctx, inbox)
	f.kind(err, mailbox.NonExistent)
	f.kind(f.store.RemoveUser(f.ctx, "ada"), mailbox.NonExistent)
	again, err := f.store.AddUser(f.ctx, mailbox.User{Name: "ada"}, nil)
	f.must(err)
	if again.Account == u.Account || f.lookup(again.Account, mailbox.Inbox).Counts.Messages != 0 {
		f.Errorf("the same account came back")
	}
	f.equal("another account", f.quota(other).Usage.Messages, 1)
}

func testQuota(f *fixture) {
	a, inbox := f.inbox()
	q := f.quota(a)
	f.equal("quota", q, mailbox.Quota{Account: a, Limits: mailbox.QuotaLimits{Storage: 1000, Messages: 5}})
	try := func(size int) error {
		d := f.receive(f.mail(size))
		defer d.Discard()
		_, err := f.store.Append(f.ctx, inbox, []mailstore.Incoming{{Draft: d}})
		return err
	}
	f.must(try(999))
	f.kind(try(2), mailbox.OverQuota)
	f.must(try(1)) // to the last byte
	f.kind(try(1), mailbox.OverQuota)
	n := f.told.count()
	f.must(f.store.SetQuota(f.ctx, a, &mailbox.QuotaLimits{Storage: -1, Messages: 3}))
	f.equal("events", f.told.kinds(n), []string{"quota"})
	f.must(try(5000))
	f.kind(try(1), mailbox.OverQuota)
	q = f.quota(a)
	f.equal("quota", q, mailbox.Quota{Account: a, Limits: mailbox.QuotaLimits{Storage: -1, Messages: 3}, Own: true, Usage: mailbox.QuotaUsage{Storage: 6000, Messages: 3}})
	// Below what is used: nothing comes in, all may go.
	f.must(f.store.SetQuota(f.ctx, a, &mailbox.QuotaLimits{Storage: 0, Messages: 0}))
	f.kind(try(1), mailbox.OverQuota)
	f.flag(inbox, span(1, 1), imap.StoreFlagsAdd, imap.FlagSeen)
	_, err := f.store.Move(f.ctx, inbox, f.create(a, "x").ID, span(1, 1))
	f.must(err)
	f.expunge(inbox, span(2, 3))
	f.equal("usage", f.quota(a).Usage, mailbox.QuotaUsage{Storage: 999, Messages: 1})
	f.must(f.store.SetQuota(f.ctx, a, nil))
	f.equal("own", f.quota(a).Own, false)
	f.must(try(1))
	f.kind(f.store.SetQuota(f.ctx, mailbox.NewAccountID(), nil), mailbox.NonExistent)
}

// testQuotaWriters lets 32 writers fill an account: not a byte passes the limit,
// and what fits goes in.
func testQuotaWriters(f *fixture) {
	a, inbox := f.inbox()
	other := f.create(a, "other").ID
	limit := mailbox.QuotaLimits{Storage: 20_000, Messages: -1}
	f.must(f.store.SetQuota(f.ctx, a, &limit))
	var wg sync.WaitGroup
	for w := range 32 {
		wg.Go(func() {
			for i := range 10 {
				box := []mailbox.ID{inbox, other}[(w+i)%2]
				d, err := f.store.Receive(f.ctx, newReader(f.mail(100+w)), 1000)
				if err != nil {
					f.Error(err)
					return
				}
				_, err = f.store.Append(f.ctx, box, []mailstore.Incoming{{Draft: d}})
				d.Discard()
				if err != nil {
					if mailbox.KindOf(err) != mailbox.OverQuota {
						f.Error(err)
					}
					return
				}
				if q, err := f.store.Quota(f.ctx, a); err != nil || q.Usage.Storage > limit.Storage {
					f.Errorf("usage %+v, %v", q.Usage, err)
				}
			}
		})
	}
	wg.Wait()
	q := f.quota(a)
	if q.Usage.Storage > limit.Storage || q.Usage.Storage < limit.Storage-132 {
		f.Errorf("%d of %d bytes used", q.Usage.Storage, limit.Storage)
	}
	was, is, err := f.store.RecountQuota(f.ctx, a, false)
	f.must(err)
	f.equal("recount", is, was)
	f.equal("usage", is, q.Usage)
}

func testRecountQuota(f *fixture) {
	a, inbox := f.inbox()
	f.fill(inbox, 3)
	f.must(f.store.Delete(f.ctx, a, f.create(a, "x").Name))
	for _, mend := range []bool{false, true} {
		was, is, err := f.store.RecountQuota(f.ctx, a, mend)
		f.must(err)
		f.equal("was, is", []any{was, is}, []any{mailbox.QuotaUsage{Storage: 300, Messages: 3}, mailbox.QuotaUsage{Storage: 300, Messages: 3}})
	}
	_, _, err := f.store.RecountQuota(f.ctx, mailbox.NewAccountID(), true)
	f.kind(err, mailbox.NonExistent)
}
