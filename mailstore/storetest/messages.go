package storetest

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing/iotest"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/message"
)

func testAppend(f *fixture) {
	a, inbox := f.inbox()
	start := time.Now().Truncate(time.Second)
	mail := []byte("From: ada@example.org\r\nSubject: Hello\r\nMessage-ID: <1@x>\r\n\r\nThe text.\r\n")
	d := f.receive(mail)
	f.equal("size", d.Size(), len(mail))
	zone := time.FixedZone("", -5*3600-1800)
	received := time.Date(2020, 2, 29, 23, 59, 58, 0, zone)
	out, err := f.store.Append(f.ctx, inbox, []mailstore.Incoming{{Draft: d, Flags: mailbox.NewFlags(imap.FlagFlagged, "b", "a"), Received: received}})
	f.must(err)
	d.Discard()
	f.equal("UIDVALIDITY", out.UIDValidity, f.lookup(a, mailbox.Inbox).UIDValidity)
	f.equal("added", out.Change.Added, "1")
	f.equal("flags", out.Change.Flags, []mailbox.FlagChange{{UIDs: span(1, 1), Flags: mailbox.NewFlags(imap.FlagFlagged, "b", "a")}})
	f.equal("counts", out.Change.Counts, mailbox.Counts{Messages: 1, Unseen: 1, Size: int64(len(mail)), UIDNext: 2})

	r := f.rows(inbox, ^mailstore.Fields(0))[0]
	f.equal("uid, modseq", []any{r.UID, r.ModSeq}, []any{1, out.Change.ModSeq})
	if !r.Received.Equal(received) || r.Received.Format(time.RFC822Z) != received.Format(time.RFC822Z) {
		f.Errorf("received %v, want %v", r.Received, received)
	}
	if r.Saved.Before(start) || r.Saved.After(time.Now()) {
		f.Errorf("saved %v, want after %v", r.Saved, start)
	}
	if !strings.HasPrefix(string(r.Envelope), `(NIL "Hello" `) || !strings.Contains(r.Preview, "The text.") || r.Size != int64(len(mail)) {
		f.Errorf("row: %+v", r)
	}
	m, err := message.Decode(r.Structure)
	f.must(err)
	f.equal("structure", []any{m.Size, m.MessageID, string(m.Envelope)}, []any{len(mail), "1@x", string(r.Envelope)})
	if got := f.body(inbox, 1); !bytes.Equal(got, mail) {
		f.Errorf("body %q", got)
	}
	f.equal("usage", f.quota(a).Usage, mailbox.QuotaUsage{Storage: int64(len(mail)), Messages: 1})

	// Without a date: now.
	uid := f.add(inbox)
	for _, r := range f.rows(inbox, mailstore.FieldReceived) {
		if r.UID == uid && (r.Received.Before(start) || r.Received.After(time.Now())) {
			f.Errorf("received %v, want now", r.Received)
		}
	}
}

func testAppendSeveral(f *fixture) {
	a, inbox := f.inbox()
	n := f.told.count()
	var list []mailstore.Incoming
	for i := range 5 {
		d := f.receive(f.mail(100 + i))
		defer d.Discard()
		in := mailstore.Incoming{Draft: d}
		if i%2 == 0 {
			in.Flags = mailbox.NewFlags(imap.FlagSeen)
		}
		list = append(list, in)
	}
	out, err := f.store.Append(f.ctx, inbox, list)
	f.must(err)
	f.equal("added", out.Change.Added, "1:5")
	f.equal("events", f.told.kinds(n), []string{"changed +5 -0"}) // one transaction, one modseq
	for i, r := range f.rows(inbox, mailstore.FieldSize|mailstore.FieldFlags) {
		f.equal("modseq", r.ModSeq, out.Change.ModSeq)
		f.equal("size", r.Size, 100+i)
		f.equal("flags", r.Flags, list[i].Flags)
	}
	f.equal("usage", f.quota(a).Usage, mailbox.QuotaUsage{Storage: 510, Messages: 5})
	_, err = f.store.Append(f.ctx, mailbox.NewID(), list)
	f.kind(err, mailbox.NonExistent)
}

func testAppendUIDs(f *fixture) {
	_, inbox := f.inbox()
	d := f.receive(f.mail(100))
	defer d.Discard()
	out, err := f.store.Append(f.ctx, inbox, []mailstore.Incoming{{Draft: d, UID: 7}, {Draft: d}, {Draft: d, UID: 20}})
	f.must(err)
	f.equal("added", out.Change.Added, "7:8,20")
	f.equal("UIDNEXT", out.Change.Counts.UIDNext, 21)
	for _, uid := range []imap.UID{7, 9, 20} {
		_, err := f.store.Append(f.ctx, inbox, []mailstore.Incoming{{Draft: d, UID: uid}})
		f.kind(err, mailbox.Cannot)
	}
	_, err = f.store.Append(f.ctx, inbox, []mailstore.Incoming{{Draft: d, UID: 31}, {Draft: d, UID: 30}})
	f.kind(err, mailbox.Cannot)
	f.equal("next", f.add(inbox), 21)
	_, err = f.store.Append(f.ctx, inbox, []mailstore.Incoming{{Draft: d, UID: maxUID}})
	f.kind(err, mailbox.Limit)
}

func testAppendNone(f *fixture) {
	a, inbox := f.inbox()
	limits := mailbox.QuotaLimits{Storage: 250, Messages: -1}
	f.must(f.store.SetQuota(f.ctx, a, &limits))
	n, before := f.told.count(), f.snapshot(inbox)
	d, big := f.receive(f.mail(100)), f.receive(f.mail(200))
	defer d.Discard()
	defer big.Discard()
	_, err := f.store.Append(f.ctx, inbox, []mailstore.Incoming{{Draft: d, Flags: mailbox.NewFlags("new")}, {Draft: big}})
	f.kind(err, mailbox.OverQuota)
	_, err = f.store.Append(f.ctx, inbox, []mailstore.Incoming{{Draft: d, UID: 5, Flags: mailbox.NewFlags("new")}, {Draft: d, UID: 4}})
	f.kind(err, mailbox.Cannot)
	f.equal("snapshot", *f.snapshot(inbox), *before)
	f.equal("events", f.told.kinds(n), []string{})
	f.equal("usage", f.quota(a).Usage, mailbox.QuotaUsage{})
	f.equal("next", f.add(inbox), 1)
}

func testDraftTwice(f *fixture) {
	a, inbox := f.inbox()
	_, other := f.inbox()
	for _, size := range []int{100, 2 << 20} { // inline or not
		mail := f.mail(size)
		d := f.receive(mail)
		uid := func(box mailbox.ID) imap.UID {
			out, err := f.store.Append(f.ctx, box, []mailstore.Incoming{{Draft: d}, {Draft: d}})
			f.must(err)
			return out.Change.Added[len(out.Change.Added)-1].Stop
		}
		first, second := uid(inbox), uid(other)
		f.expunge(inbox, span(first-1, first-1))
		f.maintain()
		third := uid(inbox)
		f.expunge(inbox, span(1, maxUID))
		f.maintain()
		if got := f.body(other, second); !bytes.Equal(got, mail) {
			f.Errorf("the body changed when its copies went: %d bytes", len(got))
		}
		f.expunge(other, span(1, maxUID))
		f.maintain()
		if fourth := uid(inbox); fourth <= third || !bytes.Equal(f.body(inbox, fourth), mail) {
			f.Errorf("append after all copies had gone: uid %d", fourth)
		}
		d.Discard()
		f.maintain()
		if got := f.body(inbox, f.snapshot(inbox).Counts.UIDNext-1); !bytes.Equal(got, mail) {
			f.Errorf("the body changed when the draft was discarded: %d bytes", len(got))
		}
		_, err := f.store.Append(f.ctx, inbox, []mailstore.Incoming{{Draft: d}})
		f.kind(err, mailbox.Cannot)
		f.expunge(inbox, span(1, maxUID))
	}
	f.equal("usage", f.quota(a).Usage, mailbox.QuotaUsage{})
}

// maintain has the store clear away what is gone.
func (f *fixture) maintain() {
	f.Helper()
	if m, ok := f.store.(Maintainer); ok {
		f.must(m.Maintain(f.ctx))
	}
}

func testReceive(f *fixture) {
	_, inbox := f.inbox()
	for _, size := range []int{0, 1, 1000, 64 << 10, 64<<10 + 1, 3 << 20} {
		mail := bytes.Repeat([]byte("0123456789abcde\n"), size/16+1)[:size]
		d, err := f.store.Receive(f.ctx, iotest.HalfReader(bytes.NewReader(mail)), int64(size))
		f.must(err)
		out, err := f.store.Append(f.ctx, inbox, []mailstore.Incoming{{Draft: d}})
		f.must(err)
		d.Discard()
		if got := f.body(inbox, out.Change.Added[0].Start); !bytes.Equal(got, mail) {
			f.Errorf("body of %d bytes came back as %d", size, len(got))
		}
		if size > 0 {
			_, err = f.store.Receive(f.ctx, bytes.NewReader(mail), int64(size)-1)
			f.kind(err, mailbox.TooBig)
		}
		cause := errors.New("connection lost")
		_, err = f.store.Receive(f.ctx, io.MultiReader(bytes.NewReader(mail), iotest.ErrReader(cause)), 1<<30)
		if err != cause {
			f.Errorf("after %d bytes: %v, want the reader's error as it is", size, err)
		}
		_, err = f.store.Receive(f.ctx, io.MultiReader(bytes.NewReader(mail), iotest.ErrReader(io.ErrUnexpectedEOF)), 1<<30)
		if err != io.ErrUnexpectedEOF {
			f.Errorf("after %d bytes: %v, want the reader's error as it is", size, err)
		}
	}
}

func testIDs(f *fixture) {
	a, inbox := f.inbox()
	_, other := f.inbox()
	mail := func(id, refs string) []byte {
		return []byte("Message-ID: <" + id + "@x>\r\n" + refs + "Subject: s\r\n\r\ntext\r\n")
	}
	one := mail("one", "")
	f.addMail(inbox, one)
	f.addMail(inbox, mail("two", "In-Reply-To: <one@x>\r\n"))
	f.addMail(inbox, mail("three", "References: <one@x> <two@x>\r\n"))
	f.addMail(inbox, mail("four", ""))
	f.addMail(inbox, mail("six", "References: <five@x>\r\n")) // before what it answers
	f.addMail(inbox, mail("five", ""))
	f.addMail(other, one)
	_, err := f.store.Copy(f.ctx, inbox, f.create(a, "copy").ID, span(1, 1))
	f.must(err)
	r := f.rows(inbox, mailstore.FieldIDs)
	same := func(i, j int, want bool) {
		f.Helper()
		if (r[i].ThreadID == r[j].ThreadID) != want {
			f.Errorf("messages %d and %d in one thread: %v, want %v", i+1, j+1, !want, want)
		}
	}
	same(0, 1, true)
	same(1, 2, true)
	same(0, 3, false)
	same(4, 5, true)
	same(3, 4, false)
	copied := f.rows(f.lookup(a, "copy").ID, mailstore.FieldIDs)[0]
	if copied.EmailID != r[0].EmailID || copied.ThreadID != r[0].ThreadID {
		f.Errorf("a copy has other IDs") // RFC 8474 §4, §5
	}
	if r[0].EmailID == r[1].EmailID || r[0].EmailID == [16]byte{} {
		f.Errorf("EMAILIDs: %x %x", r[0].EmailID, r[1].EmailID)
	}
}

func testFlags(f *fixture) {
	_, inbox := f.inbox()
	f.fill(inbox, 4)
	f.add(inbox, imap.FlagDeleted, imap.FlagSeen)
	set := func(uids imap.UIDSet, op imap.StoreFlagsOp, want string, flags ...imap.Flag) {
		f.Helper()
		n := f.told.count()
		out := f.flag(inbox, uids, op, flags...)
		got := ""
		if out.Change != nil {
			var b strings.Builder
			for _, c := range out.Change.Flags {
				b.WriteString(c.UIDs.String() + "=(" + string(c.Flags.Append(nil)) + ") ")
			}
			got = strings.TrimSpace(b.String())
			for _, r := range f.rows(inbox, mailstore.FieldFlags) {
				for _, c := range out.Change.Flags {
					if c.UIDs.Contains(r.UID) {
						f.equal("modseq", r.ModSeq, out.Change.ModSeq)
					}
				}
			}
		} else if f.told.count() != n {
			f.Errorf("nothing changed, yet it was told")
		}
		if got != want {
			f.Errorf("change %s, want %s", got, want)
		}
	}
	set(span(2, 3), imap.StoreFlagsAdd, `2:3=(\Seen)`, imap.FlagSeen)
	set(span(1, 4), imap.StoreFlagsAdd, `1,4=(\Seen)`, imap.FlagSeen)
	set(span(1, 4), imap.StoreFlagsAdd, ``, imap.FlagSeen)
	set(span(1, 9), imap.StoreFlagsAdd, `1:4=(\Seen Work) 5=(\Deleted \Seen Work)`, "Work")
	set(span(3, 3), imap.StoreFlagsDel, `3=(\Seen)`, "work", "other")
	set(span(1, 5), imap.StoreFlagsSet, `1:5=(\Flagged)`, imap.FlagFlagged)
	set(span(1, 5), imap.StoreFlagsSet, ``, imap.FlagFlagged)
	set(imap.UIDSetNum(1, 3, 5), imap.StoreFlagsSet, `1,3,5=()`)
	set(span(7, 9), imap.StoreFlagsSet, ``, imap.FlagSeen)
	set(nil, imap.StoreFlagsSet, ``, imap.FlagSeen)
}

func testUnchangedSince(f *fixture) {
	_, inbox := f.inbox()
	f.fill(inbox, 4)
	out := f.flag(inbox, span(2, 2), imap.StoreFlagsAdd, imap.FlagSeen)
	limit := out.Change.Prev
	got, err := f.store.UpdateFlags(f.ctx, inbox, span(1, 4), mailstore.FlagUpdate{
		Op: imap.StoreFlagsAdd, Flags: mailbox.NewFlags(imap.FlagDeleted), UnchangedSince: &limit})
	f.must(err)
	f.equal("modified", got.Modified, "2")
	f.equal("changed", got.Change.Flags[0].UIDs, "1,3:4")
	var zero mailbox.ModSeq
	got, err = f.store.UpdateFlags(f.ctx, inbox, span(1, 9), mailstore.FlagUpdate{
		Op: imap.StoreFlagsSet, Flags: mailbox.NewFlags(imap.FlagSeen), UnchangedSince: &zero})
	f.must(err)
	if got.Change != nil || got.Modified.String() != "1:4" { // RFC 7162 §3.1.3: 0 never passes for what is there
		f.Errorf("UNCHANGEDSINCE 0: %+v", got)
	}
}

func testKeywords(f *fixture) {
	a, inbox := f.inbox()
	f.add(inbox, "NonJunk")
	f.add(inbox, "nonjunk", "Work")
	f.equal("keywords", f.snapshot(inbox).Keywords, []string{"NonJunk", "Work"})
	for _, r := range f.rows(inbox, mailstore.FieldFlags) {
		if !strings.Contains(r.Flags.Keywords, "NonJunk") { // in the spelling of the first use
			f.Errorf("keywords of %d: %q", r.UID, r.Flags.Keywords)
		}
	}
	if out := f.flag(inbox, span(1, 1), imap.StoreFlagsAdd, "NONJUNK"); out.Change != nil {
		f.Errorf("the same keyword in another case changed %v", out.Change.Flags)
	}
	f.flag(inbox, span(1, 1), imap.StoreFlagsDel, "never")
	f.flag(inbox, span(1, 1), imap.StoreFlagsSet, "third")
	d := f.receive(f.mail(100))
	defer d.Discard()
	_, err := f.store.Append(f.ctx, inbox, []mailstore.Incoming{{Draft: d, Flags: mailbox.NewFlags("fourth")}})
	f.kind(err, mailbox.Limit)
	_, err = f.store.UpdateFlags(f.ctx, inbox, span(1, 1), mailstore.FlagUpdate{Op: imap.StoreFlagsAdd, Flags: mailbox.NewFlags("fourth")})
	f.kind(err, mailbox.Limit)
	other := f.create(a, "other").ID
	f.add(other, "fourth", "WORK")
	_, err = f.store.Copy(f.ctx, other, inbox, span(1, 1))
	f.kind(err, mailbox.Limit)
	_, err = f.store.Copy(f.ctx, inbox, other, span(2, 2))
	f.must(err)
	f.equal("keywords", f.snapshot(other).Keywords, []string{"fourth", "WORK", "NonJunk"})
	f.equal("keywords", f.snapshot(inbox).Keywords, []string{"NonJunk", "Work", "third"})
}

func testExpunge(f *fixture) {
	a, inbox := f.inbox()
	f.fill(inbox, 6)
	f.flag(inbox, imap.UIDSetNum(1, 3, 4, 6), imap.StoreFlagsAdd, imap.FlagDeleted)
	n := f.told.count()
	c, err := f.store.Expunge(f.ctx, inbox, span(2, 5))
	f.must(err)
	f.equal("expunged", c.Expunged, "3:4")
	f.equal("counts", c.Counts, mailbox.Counts{Messages: 4, Unseen: 4, Deleted: 2, Size: 400, DeletedSize: 200, UIDNext: 7})
	f.equal("events", f.told.kinds(n), []string{"changed +0 -2"})
	f.equal("usage", f.quota(a).Usage, mailbox.QuotaUsage{Storage: 400, Messages: 4})
	n = f.told.count()
	for _, uids := range []imap.UIDSet{span(2, 5), nil, span(100, 200)} {
		if c, err := f.store.Expunge(f.ctx, inbox, uids); c != nil || err != nil {
			f.Errorf("expunge of nothing: %+v, %v", c, err)
		}
	}
	f.equal("events", f.told.kinds(n), []string{})
	// No UID comes again, not even the highest.
	f.expunge(inbox, span(1, maxUID))
	f.equal("next", f.add(inbox), 7)
}

func testBody(f *fixture) {
	_, inbox := f.inbox()
	for _, size := range []int{1000, 300_000, 2 << 20} {
		mail := f.mail(size)
		uid := f.addMail(inbox, mail)
		b, err := f.store.Body(f.ctx, inbox, uid)
		f.must(err)
		f.equal("size", b.Size(), size)
		f.expunge(inbox, span(uid, uid))
		f.maintain()
		_, err = f.store.Body(f.ctx, inbox, uid)
		f.kind(err, mailbox.Expunged)
		// Readable until Close, in any piece.
		got := make([]byte, 500)
		n, err := b.ReadAt(got, int64(size)-400)
		if n != 400 || err != io.EOF || !bytes.Equal(got[:n], mail[size-400:]) {
			f.Errorf("after the expunge: %d bytes, %v", n, err)
		}
		f.must(b.Close())
	}
	_, err := f.store.Body(f.ctx, inbox, 99)
	f.kind(err, mailbox.Expunged)
}
