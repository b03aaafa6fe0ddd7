package tracker

import (
	"slices"
	"strings"
	"sync"
	"unsafe"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/msn"
)

// maxEarly is how many Changes are kept while one before them is missing. When there are more, the store is asked for all.
const maxEarly = 32

// A tracker is one mailbox on this node.
//
// Invariant: index, counts, keywords and the cached flags are those of the store at modseq, and every View has in pending what was
// removed from index since it was told.
type tracker struct {
	set          *Set
	box          mailbox.ID
	listener     eventbus.Listener
	registration *eventbus.Registration

	// Guarded by Set.mu.
	users int    // Views, and Opens in progress
	place *place // nil: not in the lru

	mu     sync.Mutex
	views  []*View       // never changed in place: those who notify go through it without the lock
	gone   error         // why there is nothing more to follow
	busy   chan struct{} // somebody reads the store; closed when done
	loaded bool

	// What is known to be missing: all false and heard <= modseq while nothing is wrong.
	stale     bool           // something of unknown ModSeq was lost
	diff      bool           // only a Snapshot will do
	repairing bool           // a goroutine is about to mend it
	inLine    bool           // it waits for the comparison of all
	heard     mailbox.ModSeq // highest known to exist, in this line
	early     []*mailbox.Change

	index       msn.Index
	line        uint64
	modseq      mailbox.ModSeq
	uidValidity uint32
	recentFrom  imap.UID
	counts      mailbox.Counts
	keywords    []string // in first-use order; grows by appending only
	unseen      unseen
	log         flagLog
	cache       *flagCache // nil until used
}

// newTracker returns a tracker that listens and has nothing loaded.
func newTracker(s *Set, box mailbox.ID) *tracker {
	t := &tracker{set: s, box: box}
	t.listener = eventbus.Listener{
		Name: "tracker", Scope: eventbus.Mailbox, Delivery: eventbus.Sync,
		Handle: t.handle, Lost: t.lost, Compare: t.compareLater,
	}
	t.registration = s.Bus.Listen(&t.listener, eventbus.MailboxKey(box))
	return t
}

// handle takes events from the bus.
func (t *tracker) handle(events []mailbox.Event) error {
	t.mu.Lock()
	changed := false
	for i := range events {
		switch e := &events[i]; e.Kind {
		case mailbox.EventChanged:
			changed = t.receive(e.Change) || changed
		case mailbox.EventDeleted:
			changed = t.end(mailbox.NonExistent, "mailbox was deleted") || changed
		case mailbox.EventUIDValidityChanged:
			changed = t.end(mailbox.NonExistent, "mailbox was renumbered") || changed
		}
	}
	t.unlock(changed)
	return nil
}

// lost is called by the bus when events for this tracker were dropped.
func (t *tracker) lost() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.set.counters.lost.Add(1)
	t.stale = true
	t.mend(0)
}

// unlock ends a critical section and, if something changed, tells the watchers.
func (t *tracker) unlock(changed bool) {
	views := t.views
	t.mu.Unlock()
	if !changed {
		return
	}
	for _, v := range views {
		v.watcher.Changed()
	}
}

// ended returns why there is nothing more to follow, or nil.
func (t *tracker) ended() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.gone
}

// end says that there is nothing more to follow: all Views are void. It returns false if that was known.
func (t *tracker) end(kind mailbox.Kind, why string) bool {
	if t.gone != nil {
		return false
	}
	t.gone = &mailbox.Error{Kind: kind, Op: "follow mailbox", Text: why}
	t.early, t.cache = nil, nil
	return true
}

// receive takes one Change from the bus, by the gap rule: it is applied iff Prev <= modseq < ModSeq. It says whether anything changed.
func (t *tracker) receive(c *mailbox.Change) bool {
	switch {
	case t.gone != nil:
		return false
	case !t.loaded && c.Truncated:
		t.stale = true
		return false
	case !t.loaded:
		t.keep(c)
		return false
	case c.Line != t.line:
		t.diff = true
		t.mend(0)
		return false
	case c.ModSeq <= t.modseq:
		return false
	}
	t.heard = max(t.heard, c.ModSeq)
	switch {
	case c.Truncated:
		t.stale = true
		t.mend(0)
		return false
	case c.Prev > t.modseq:
		t.set.counters.gaps.Add(1)
		t.keep(c)
		t.mend(t.set.GapWait)
		return false
	}
	t.apply(c, true)
	t.catchUp()
	return true
}

// keep holds c until what comes before it is there.
func (t *tracker) keep(c *mailbox.Change) {
	if len(t.early) < maxEarly {
		t.early = append(t.early, c)
	} else {
		t.stale = true
	}
}

// catchUp applies the kept Changes that follow now, and drops those that are no longer needed.
func (t *tracker) catchUp() (changed bool) {
	for again := true; again && t.gone == nil; {
		again = false
		t.early = slices.DeleteFunc(t.early, func(c *mailbox.Change) bool {
			if c.Line != t.line || c.ModSeq <= t.modseq {
				return true
			}
			if c.Prev > t.modseq {
				return false
			}
			t.apply(c, true)
			again, changed = true, true
			return true
		})
	}
	if len(t.early) == 0 {
		t.early = nil
	}
	return changed
}

// apply makes the tracker's state that of c.ModSeq. c follows: Prev <= modseq < ModSeq. exact says that it is one transaction, so that
// c.ModSeq is that of each of its messages.
func (t *tracker) apply(c *mailbox.Change, exact bool) {
	before, highest := t.modseq, t.index.Highest()
	for _, r := range c.Added {
		for u := uint64(r.Start); u <= uint64(r.Stop); u++ {
			switch uid := imap.UID(u); {
			case uid > t.index.Highest():
				t.index.Add(uid)
			case !t.index.Contains(uid):
				t.end(mailbox.Corrupt, "a UID was used twice")
				return
			}
		}
	}
	if c.Counts.UIDNext > 0 {
		t.index.Saw(c.Counts.UIDNext - 1)
	}
	t.learn(c.Flags)
	t.unseen.flagged(c.Flags, &t.index)
	if t.cache != nil {
		t.cache.apply(c, exact, &t.index)
	}
	t.remove(c.Expunged, before)
	t.counts = c.Counts
	t.unseen.counted(c.Counts.Unseen)
	t.modseq = c.ModSeq
	t.log.append(c, exact, highest, t.views)
}

// remove takes the UIDs of set from the Index and gives them to each View that was told of them. before is the ModSeq before that.
func (t *tracker) remove(set imap.UIDSet, before mailbox.ModSeq) {
	var removed []imap.UID
	for _, r := range set {
		removed = slices.AppendSeq(removed, t.index.Range(r.Start, r.Stop))
	}
	for _, uid := range removed {
		t.index.Remove(uid)
		t.unseen.expunged(uid)
	}
	for _, v := range t.views {
		if len(removed) > 0 && removed[0] <= v.numbers.Told() && !v.numbers.HasPending() {
			v.held = before
		}
		for _, uid := range removed {
			v.numbers.Expunged(uid)
		}
	}
}

// learn adds keywords that are new to the mailbox.
func (t *tracker) learn(changes []mailbox.FlagChange) {
	for i := range changes {
		t.learnKeywords(changes[i].Flags.KeywordList())
	}
}

func (t *tracker) learnKeywords(words []string) {
	for _, k := range words {
		if !slices.ContainsFunc(t.keywords, func(have string) bool { return strings.EqualFold(have, k) }) {
			t.keywords = append(t.keywords, k)
		}
	}
}

// attach adds a View for w. The caller has acquired t, and the View's Close releases it.
func (t *tracker) attach(w Watcher) *View {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := &View{t: t, watcher: w, flagsTold: t.modseq}
	if len(t.views) == 0 {
		t.log.reset(t.modseq)
	}
	t.views = append(slices.Clip(t.views), v)
	t.set.counters.views.Add(1)
	if t.behind() {
		t.mend(t.set.GapWait)
	}
	return v
}

// detach removes v and says whether it was there.
func (t *tracker) detach(v *View) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.views, v)
	if i < 0 {
		return false
	}
	t.views = slices.Delete(slices.Clone(t.views), i, i+1)
	t.set.counters.views.Add(-1)
	if len(t.views) == 0 {
		t.views = nil
		t.log.reset(t.modseq)
	}
	return true
}

// weight returns the bytes that t takes without users and that its cache takes, and false if it is of no more use.
func (t *tracker) weight() (idle, cache int64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	cache = t.cache.bytes()
	return int64(unsafe.Sizeof(*t)) + listenerBytes + int64(t.index.Bytes()) + cache, cache, t.gone == nil && t.loaded
}

// listenerBytes is what a tracker costs the bus and the Set's map, as measured by BenchmarkMemory.
const listenerBytes = 300

// dropCache frees the flag cache.
func (t *tracker) dropCache() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cache = nil
}
