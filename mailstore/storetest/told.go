package storetest

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// told is what a store published.
type told struct {
	mu     sync.Mutex
	events []mailbox.Event
	line   map[mailbox.ID]uint64
}

func (p *told) publish(events []mailbox.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, events...)
}

// all returns what was published so far.
func (p *told) all() []mailbox.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.events)
}

// kinds says what was published after the first n events, Changes in short.
func (p *told) kinds(n int) (list []string) {
	names := map[mailbox.EventKind]string{
		mailbox.EventChanged: "changed", mailbox.EventCreated: "created", mailbox.EventDeleted: "deleted", mailbox.EventRenamed: "renamed",
		mailbox.EventSubscribed: "subscribed", mailbox.EventUnsubscribed: "unsubscribed", mailbox.EventUIDValidityChanged: "uidvalidity",
		mailbox.EventQuotaChanged: "quota", mailbox.EventCredentialsChanged: "credentials",
	}
	for _, e := range p.all()[n:] {
		s := names[e.Kind]
		if e.OldName != "" {
			s += " " + e.OldName
		}
		if e.Name != "" {
			s += " " + e.Name
		}
		if c := e.Change; c != nil {
			s += fmt.Sprintf(" +%d -%d", size(c.Added), size(c.Expunged))
		}
		list = append(list, s)
	}
	return list
}

func (p *told) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.events)
}

func size(set imap.UIDSet) (n int) {
	for _, r := range set {
		n += int(r.Stop-r.Start) + 1
	}
	return n
}

// A model is a mailbox as its Changes tell it.
type model struct {
	name   string
	modseq mailbox.ModSeq
	flags  map[imap.UID]mailbox.Flags
	counts mailbox.Counts
	known  bool // counts are
}

// apply applies a Change as its receivers do.
func (m *model) apply(c *mailbox.Change) {
	added, _ := c.Added.Nums()
	for _, uid := range added {
		m.flags[uid] = mailbox.Flags{}
	}
	for _, fc := range c.Flags {
		uids, _ := fc.UIDs.Nums()
		for _, uid := range uids {
			if _, ok := m.flags[uid]; ok {
				m.flags[uid] = fc.Flags
			}
		}
	}
	gone, _ := c.Expunged.Nums()
	for _, uid := range gone {
		delete(m.flags, uid)
	}
	m.modseq, m.counts, m.known = c.ModSeq, c.Counts, true
}

// verify replays all that was published and compares it with what the store
// holds: the chain of Changes has no gap, and they tell the truth.
func (f *fixture) verify() {
	f.Helper()
	if f.done || f.Failed() {
		return
	}
	boxes := make(map[mailbox.ID]*model)
	var line uint64
	for i, e := range f.told.all() {
		if e.Account.IsZero() {
			f.Errorf("event %d has no account: %+v", i, e)
		}
		switch e.Kind {
		case mailbox.EventCreated:
			boxes[e.Mailbox] = &model{name: e.Name, modseq: 1, flags: make(map[imap.UID]mailbox.Flags)}
		case mailbox.EventRenamed:
			boxes[e.Mailbox].name = e.Name
		case mailbox.EventDeleted:
			delete(boxes, e.Mailbox)
		case mailbox.EventChanged:
			c, m := e.Change, boxes[e.Mailbox]
			if m == nil {
				f.Fatalf("event %d is of a mailbox that is not there", i)
			}
			if line == 0 {
				line = c.Line
			}
			if c.Prev != m.modseq || c.ModSeq <= c.Prev || c.Line != line || c.Line == 0 || c.Mailbox != e.Mailbox || c.Account != e.Account || c.Truncated {
				f.Fatalf("event %d does not follow modseq %d of line %d: %+v", i, m.modseq, line, c)
			}
			if !slices.Equal(c.Added, sorted(c.Added)) || !slices.Equal(c.Expunged, sorted(c.Expunged)) {
				f.Errorf("event %d has sets out of order: %v %v", i, c.Added, c.Expunged)
			}
			m.apply(c)
		}
	}
	for id, m := range boxes {
		snap, err := f.store.Snapshot(f.ctx, id)
		if err != nil {
			f.Errorf("mailbox %q: %v", m.name, err)
			continue
		}
		rows := f.rows(id, mailstore.FieldFlags|mailstore.FieldSize)
		f.compare(m, snap, rows)
	}
}

// compare wants a mailbox to be as its model is, and its counts to be true.
func (f *fixture) compare(m *model, snap *mailstore.Snapshot, rows []mailstore.Row) {
	f.Helper()
	what := fmt.Sprintf("mailbox %q", m.name)
	f.equal(what+": name", snap.Name, m.name)
	f.equal(what+": modseq", snap.ModSeq, m.modseq)
	if m.known {
		f.equal(what+": counts", snap.Counts, m.counts)
	}
	uids := slices.Sorted(maps.Keys(m.flags))
	f.equal(what+": uids", snap.UIDs, imap.UIDSetNum(uids...))
	is := mailbox.Counts{UIDNext: snap.Counts.UIDNext}
	var have []imap.UID
	for _, r := range rows {
		have = append(have, r.UID)
		if want := m.flags[r.UID]; r.Flags != want {
			f.Errorf("%s: flags of %d are %v, told were %v", what, r.UID, r.Flags, want)
		}
		if r.ModSeq > snap.ModSeq || r.ModSeq < 1 || r.UID >= is.UIDNext {
			f.Errorf("%s: %d has modseq %d, the mailbox %d and UIDNEXT %d", what, r.UID, r.ModSeq, snap.ModSeq, is.UIDNext)
		}
		is.Messages++
		is.Size += r.Size
		if r.Flags.System&mailbox.Seen == 0 {
			is.Unseen++
		}
		if r.Flags.System&mailbox.Deleted != 0 {
			is.Deleted++
			is.DeletedSize += r.Size
		}
	}
	if !slices.Equal(have, uids) {
		f.Errorf("%s: the page has %d messages, want %d", what, len(have), len(uids))
	}
	f.equal(what+": counts as counted", snap.Counts, is)
}

// sorted returns the set as it should be: ascending, disjoint, merged.
func sorted(set imap.UIDSet) imap.UIDSet {
	var s imap.UIDSet
	s.AddSet(set)
	return s
}
