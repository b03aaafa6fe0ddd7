package tracker

import (
	"context"
	"slices"
	"sync"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// A fakeStore is one mailbox in memory. It hands each Change to publish, in order and outside its lock, as a store does.
type fakeStore struct {
	box     mailbox.ID
	publish func([]mailbox.Event)

	mu          sync.Mutex
	line        uint64
	uidValidity uint32
	modseq      mailbox.ModSeq
	uidNext     imap.UID
	msgs        map[imap.UID]*fakeMessage
	gone        map[imap.UID]mailbox.ModSeq // the expunge log
	floor       mailbox.ModSeq              // to which it was trimmed
	recentFrom  imap.UID
	keywords    []string
	err         error           // what all reads return
	truncate    bool            // Changes are too large to be told
	before      func(op string) // called before each read, without the lock
	after       func(op string) // and after it
	reads       map[string]int
}

type fakeMessage struct {
	born, modseq mailbox.ModSeq
	flags        mailbox.Flags
}

func newFakeStore(publish func([]mailbox.Event)) *fakeStore {
	return &fakeStore{
		box: mailbox.NewID(), publish: publish, line: 1, uidValidity: 1, modseq: 1, uidNext: 1, recentFrom: 1,
		msgs: map[imap.UID]*fakeMessage{}, gone: map[imap.UID]mailbox.ModSeq{}, reads: map[string]int{},
	}
}

// change makes one transaction. do changes the mailbox and fills in the sets of c.
func (s *fakeStore) change(do func(c *mailbox.Change)) *mailbox.Change {
	s.mu.Lock()
	c := &mailbox.Change{Mailbox: s.box, Line: s.line, Prev: s.modseq, ModSeq: s.modseq + 1}
	do(c)
	if len(c.Added)+len(c.Flags)+len(c.Expunged) == 0 {
		s.mu.Unlock()
		return nil
	}
	s.modseq++
	c.Counts = s.counts()
	if s.truncate {
		c.Added, c.Flags, c.Expunged, c.Truncated = nil, nil, nil, true
	}
	s.mu.Unlock()
	s.publish([]mailbox.Event{mailbox.ChangeEvent(c)})
	return c
}

func (s *fakeStore) counts() (c mailbox.Counts) {
	c.UIDNext, c.Messages = s.uidNext, uint32(len(s.msgs))
	for _, m := range s.msgs {
		if m.flags.System&mailbox.Seen == 0 {
			c.Unseen++
		}
	}
	return c
}

func (s *fakeStore) learn(f mailbox.Flags) {
	for _, k := range f.KeywordList() {
		if !slices.Contains(s.keywords, k) {
			s.keywords = append(s.keywords, k)
		}
	}
}

// add appends n messages with the same flags, the first of them gap UIDs further than need be.
func (s *fakeStore) add(n int, gap imap.UID, flags ...imap.Flag) *mailbox.Change {
	f := mailbox.NewFlags(flags...)
	return s.change(func(c *mailbox.Change) {
		s.uidNext += gap
		s.learn(f)
		for range n {
			s.msgs[s.uidNext] = &fakeMessage{born: c.ModSeq, modseq: c.ModSeq, flags: f}
			c.Added.AddNum(s.uidNext)
			s.uidNext++
		}
		c.Flags = []mailbox.FlagChange{{UIDs: c.Added, Flags: f}}
	})
}

// flag sets the flags of those of uids that are there.
func (s *fakeStore) flag(uids []imap.UID, flags ...imap.Flag) *mailbox.Change {
	f := mailbox.NewFlags(flags...)
	return s.change(func(c *mailbox.Change) {
		s.learn(f)
		var set imap.UIDSet
		for _, uid := range uids {
			if m := s.msgs[uid]; m != nil {
				m.flags, m.modseq = f, c.ModSeq
				set.AddNum(uid)
			}
		}
		if len(set) > 0 {
			c.Flags = []mailbox.FlagChange{{UIDs: set, Flags: f}}
		}
	})
}

// expunge removes those of uids that are there.
func (s *fakeStore) expunge(uids ...imap.UID) *mailbox.Change {
	return s.change(func(c *mailbox.Change) {
		for _, uid := range uids {
			if s.msgs[uid] != nil {
				delete(s.msgs, uid)
				s.gone[uid] = c.ModSeq
				c.Expunged.AddNum(uid)
			}
		}
	})
}

// trim forgets all expunges so far.
func (s *fakeStore) trim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.floor, s.gone = s.modseq, map[imap.UID]mailbox.ModSeq{}
}

// newLine numbers the mailbox's ModSeqs anew, as another owner of an upstream mailbox does.
func (s *fakeStore) newLine() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line++
	s.modseq = 3
	s.floor, s.gone = s.modseq, map[imap.UID]mailbox.ModSeq{}
	for _, m := range s.msgs {
		m.born, m.modseq = s.modseq, s.modseq
	}
}

// uids returns the live UIDs, ascending.
func (s *fakeStore) uids() []imap.UID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sorted()
}

func (s *fakeStore) sorted() []imap.UID {
	var uids []imap.UID
	for uid := range s.msgs {
		uids = append(uids, uid)
	}
	slices.Sort(uids)
	return uids
}

// flagsOf returns a message's flags.
func (s *fakeStore) flagsOf(uid imap.UID) mailbox.Flags {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.msgs[uid]; m != nil {
		return m.flags
	}
	return mailbox.Flags{}
}

// fail makes all reads return err.
func (s *fakeStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// count returns how often op was read.
func (s *fakeStore) count(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads[op]
}

// hook has before and after called around each read.
func (s *fakeStore) hook(before, after func(op string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.after = before, after
}

func (s *fakeStore) setTruncate(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.truncate = on
}

// rewind loses the last change, as a store does that fails over to a copy.
func (s *fakeStore) rewind() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.modseq--
}

// done ends a read.
func (s *fakeStore) done(op string) {
	after := s.after
	s.mu.Unlock()
	if after != nil {
		after(op)
	}
}

// read begins a read.
func (s *fakeStore) read(op string) error {
	s.mu.Lock()
	before := s.before
	s.mu.Unlock()
	if before != nil {
		before(op)
	}
	s.mu.Lock()
	s.reads[op]++
	return s.err
}

func (s *fakeStore) Snapshot(_ context.Context, box mailbox.ID) (*mailstore.Snapshot, error) {
	err := s.read("Snapshot")
	defer s.done("Snapshot")
	if err != nil {
		return nil, err
	}
	snap := &mailstore.Snapshot{
		Info: mailstore.Info{ID: box, UIDValidity: s.uidValidity, ModSeq: s.modseq, Counts: s.counts(), RecentFrom: s.recentFrom},
		Line: s.line, Keywords: slices.Clone(s.keywords), Floor: s.floor,
	}
	for _, uid := range s.sorted() {
		snap.UIDs.AddNum(uid)
		if snap.FirstUnseen == 0 && s.msgs[uid].flags.System&mailbox.Seen == 0 {
			snap.FirstUnseen = uid
		}
	}
	return snap, nil
}

func (s *fakeStore) ChangesSince(_ context.Context, box mailbox.ID, since mailbox.ModSeq) (*mailbox.Change, bool, error) {
	err := s.read("ChangesSince")
	defer s.done("ChangesSince")
	if err != nil || since < s.floor || since > s.modseq {
		return nil, false, err
	}
	c := &mailbox.Change{Mailbox: box, Line: s.line, Prev: since, ModSeq: s.modseq, Counts: s.counts()}
	for _, uid := range s.sorted() {
		m := s.msgs[uid]
		if m.born > since {
			c.Added.AddNum(uid)
		}
		if m.modseq > since {
			c.Flags = append(c.Flags, mailbox.FlagChange{UIDs: imap.UIDSetNum(uid), Flags: m.flags})
		}
	}
	for uid, m := range s.gone {
		if m > since {
			c.Expunged.AddNum(uid)
		}
	}
	return c, true, nil
}

func (s *fakeStore) ClaimRecent(_ context.Context, _ mailbox.ID, upTo imap.UID) (imap.UID, error) {
	err := s.read("ClaimRecent")
	defer s.done("ClaimRecent")
	first := s.recentFrom
	if err == nil {
		s.recentFrom = max(s.recentFrom, upTo)
	}
	return first, err
}

func (s *fakeStore) Page(_ context.Context, _ mailbox.ID, uids imap.UIDSet, _ mailstore.Fields, limit int, p *mailstore.Page) error {
	err := s.read("Page")
	defer s.done("Page")
	*p = mailstore.Page{Rows: p.Rows[:0], ModSeq: s.modseq}
	if err != nil {
		return err
	}
	for _, uid := range s.sorted() {
		if !uids.Contains(uid) {
			continue
		}
		if len(p.Rows) == limit {
			p.More = true
			break
		}
		p.Rows = append(p.Rows, mailstore.Row{UID: uid, ModSeq: s.msgs[uid].modseq, Flags: s.msgs[uid].flags})
	}
	return nil
}
