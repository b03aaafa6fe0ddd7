package storetest

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

func newReader(b []byte) io.Reader { return bytes.NewReader(b) }

// testWriters has many do everything at once to the same mailboxes. That the
// outcome is what was published is verified as in every test.
func testWriters(f *fixture) {
	a, inbox := f.inbox()
	boxes := []mailbox.ID{inbox, f.create(a, "x").ID, f.create(a, "y").ID}
	var wg sync.WaitGroup
	for w := range 12 {
		wg.Go(func() {
			for i := range 30 {
				box, other := boxes[(w+i)%3], boxes[(w+i+1)%3]
				uids := span(imap.UID(i+1), imap.UID(i+3))
				var err error
				switch (w + i) % 6 {
				case 0, 1, 2:
					var d mailstore.Draft
					if d, err = f.store.Receive(f.ctx, newReader(f.mail(150)), 1000); err == nil {
						_, err = f.store.Append(f.ctx, box, []mailstore.Incoming{{Draft: d, Flags: mailbox.NewFlags(imap.FlagDeleted)}})
						d.Discard()
					}
				case 3:
					_, err = f.store.UpdateFlags(f.ctx, box, uids, mailstore.FlagUpdate{Op: imap.StoreFlagsAdd, Flags: mailbox.NewFlags(imap.FlagSeen)})
				case 4:
					_, err = f.store.Expunge(f.ctx, box, uids)
				case 5:
					_, err = f.store.Move(f.ctx, box, other, uids)
				}
				if err != nil {
					f.Error(err)
				}
			}
		})
	}
	wg.Wait()
	was, is, err := f.store.RecountQuota(f.ctx, a, false)
	f.must(err)
	f.equal("quota", was, is)
}

// testCancelled ends contexts before and while they are waited for: what was
// refused has changed nothing, and what is unknown is no error of the store.
func testCancelled(f *fixture) {
	_, inbox := f.inbox()
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	d := f.receive(f.mail(100))
	defer d.Discard()
	_, err := f.store.Append(ctx, inbox, []mailstore.Incoming{{Draft: d}})
	if k := mailbox.KindOf(err); k != mailbox.Unavailable && k != mailbox.Unknown {
		f.Errorf("append with an ended context: %v", err)
	}
	_, err = f.store.Snapshot(ctx, inbox)
	f.kind(err, mailbox.Unavailable)
	_, err = f.store.Receive(ctx, newReader(f.mail(100)), 1000)
	f.kind(err, mailbox.Unavailable)

	var wg sync.WaitGroup
	var mu sync.Mutex
	sure, perhaps := 0, 0
	for i := range 64 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(f.ctx, time.Duration(i)*50*time.Microsecond)
			defer cancel()
			_, err := f.store.Append(ctx, inbox, []mailstore.Incoming{{Draft: d}})
			mu.Lock()
			defer mu.Unlock()
			switch mailbox.KindOf(err) {
			case mailbox.Unknown:
				perhaps++
			case mailbox.Unavailable:
			default:
				if err != nil {
					f.Error(err)
				}
				sure++
			}
		})
	}
	wg.Wait()
	f.add(inbox) // behind all that was begun
	if n := int(f.snapshot(inbox).Counts.Messages); n < sure+1 || n > sure+perhaps+2 {
		f.Errorf("%d messages; %d were acknowledged, %d unknown", n, sure, perhaps)
	}
}

func testClosed(f *fixture) {
	_, inbox := f.inbox()
	d := f.receive(f.mail(100))
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for {
				if _, err := f.store.Append(f.ctx, inbox, []mailstore.Incoming{{Draft: d}}); err != nil {
					f.kind(err, mailbox.Unavailable)
					return
				}
			}
		})
	}
	f.must(f.store.Ready(f.ctx))
	f.must(f.store.Close())
	wg.Wait()
	f.done = true
	f.kind(f.store.Ready(f.ctx), mailbox.Unavailable)
	_, err := f.store.Snapshot(f.ctx, inbox)
	f.kind(err, mailbox.Unavailable)
	_, err = f.store.Expunge(f.ctx, inbox, span(1, 1))
	f.kind(err, mailbox.Unavailable)
	f.must(f.store.Close())
}

// testMissing asks everything of mailboxes and accounts that are not there.
func testMissing(f *fixture) {
	box, a := mailbox.NewID(), mailbox.NewAccountID()
	d := f.receive(f.mail(100))
	defer d.Discard()
	for name, call := range map[string]func() error{
		"List":         func() error { _, err := f.store.List(f.ctx, a); return err },
		"Lookup":       func() error { _, err := f.store.Lookup(f.ctx, a, "INBOX"); return err },
		"Create":       func() error { _, err := f.store.Create(f.ctx, a, "x", nil); return err },
		"Delete":       func() error { return f.store.Delete(f.ctx, a, "x") },
		"Rename":       func() error { return f.store.Rename(f.ctx, a, "x", "y") },
		"Subscribe":    func() error { return f.store.Subscribe(f.ctx, a, "x", true) },
		"Snapshot":     func() error { _, err := f.store.Snapshot(f.ctx, box); return err },
		"ChangesSince": func() error { _, _, err := f.store.ChangesSince(f.ctx, box, 1); return err },
		"ClaimRecent":  func() error { _, err := f.store.ClaimRecent(f.ctx, box, 5); return err },
		"Append": func() error {
			_, err := f.store.Append(f.ctx, box, []mailstore.Incoming{{Draft: d}})
			return err
		},
		"UpdateFlags": func() error {
			_, err := f.store.UpdateFlags(f.ctx, box, span(1, 2), mailstore.FlagUpdate{})
			return err
		},
		"Expunge":      func() error { _, err := f.store.Expunge(f.ctx, box, span(1, 2)); return err },
		"Copy":         func() error { _, err := f.store.Copy(f.ctx, box, box, span(1, 2)); return err },
		"Move":         func() error { _, err := f.store.Move(f.ctx, box, box, span(1, 2)); return err },
		"Page":         func() error { return f.store.Page(f.ctx, box, span(1, 2), 0, 10, new(mailstore.Page)) },
		"Quota":        func() error { _, err := f.store.Quota(f.ctx, a); return err },
		"SetQuota":     func() error { return f.store.SetQuota(f.ctx, a, nil) },
		"RecountQuota": func() error { _, _, err := f.store.RecountQuota(f.ctx, a, false); return err },
	} {
		if err := call(); mailbox.KindOf(err) != mailbox.NonExistent {
			f.Errorf("%s of what is not there: %v", name, err)
		}
	}
	f.equal("events", f.told.kinds(0), []string{})
}

// testLarge does everything to a mailbox of 100,000 messages.
func testLarge(f *fixture) {
	const n, batch = 100_000, 10_000
	a, inbox := f.inbox()
	d := f.receive(f.mail(100))
	defer d.Discard()
	list := make([]mailstore.Incoming, batch)
	for i := range list {
		list[i].Draft = d
	}
	for range n / batch {
		_, err := f.store.Append(f.ctx, inbox, list)
		f.must(err)
	}
	s := f.snapshot(inbox)
	f.equal("uids", s.UIDs, "1:100000")
	f.equal("counts", s.Counts, mailbox.Counts{Messages: n, Unseen: n, Size: n * 100, UIDNext: n + 1})
	since := s.ModSeq
	f.flag(inbox, span(50_001, 51_000), imap.StoreFlagsAdd, imap.FlagSeen)
	f.expunge(inbox, span(70_001, 70_500))
	other := f.create(a, "other").ID
	out, err := f.store.Copy(f.ctx, inbox, other, span(1, 20_000))
	f.must(err)
	f.equal("copied", out.Dest, "1:20000")
	out, err = f.store.Move(f.ctx, inbox, other, span(90_001, 100_000))
	f.must(err)
	f.equal("moved", out.Dest, "20001:30000")
	c, ok, err := f.store.ChangesSince(f.ctx, inbox, since)
	f.must(err)
	if !ok || c.Expunged.String() != "70001:70500,90001:100000" || size(c.Flags[0].UIDs) != 1000 {
		f.Errorf("changes: %v %v", ok, c)
	}
	var p mailstore.Page
	f.must(f.store.Page(f.ctx, inbox, span(89_900, maxUID), mailstore.FieldSize, 500, &p))
	f.equal("last page", []any{len(p.Rows), p.More}, []any{101, false})
	f.equal("usage", f.quota(a).Usage, mailbox.QuotaUsage{Storage: 119_500 * 100, Messages: 119_500})
	f.must(f.store.Delete(f.ctx, a, "other"))
	f.equal("usage", f.quota(a).Usage, mailbox.QuotaUsage{Storage: 89_500 * 100, Messages: 89_500})
}
