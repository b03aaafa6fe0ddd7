package tracker

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/msn"
)

// Pauses between attempts to read a store that fails, but for a random part as long again. Some mailboxes wait so little that a store that is back is
// found soon (P4); when thousands do, each waits longer, so that together they are no burden to it.
const (
	minPause   = 100 * time.Millisecond
	soonPause  = 500 * time.Millisecond // the longest of a few
	pauseShare = time.Millisecond       // of each that waits
	maxPause   = 10 * time.Second
)

// longestPause returns how long a mailbox waits at most.
func (s *Set) longestPause() time.Duration {
	return min(max(soonPause, time.Duration(s.repairs.Load())*pauseShare), maxPause)
}

// behind says whether something is known to be missing.
func (t *tracker) behind() bool {
	return !t.loaded || t.stale || t.diff || t.heard > t.modseq
}

// mend sees to it that what is missing is fetched after wait, unless it comes by itself. A mailbox that nobody watches is
// left as it is: the next Open mends it.
func (t *tracker) mend(wait time.Duration) {
	if t.repairing || t.gone != nil || len(t.views) == 0 {
		return
	}
	t.repairing = t.set.background.run(func() { t.repair(wait) })
}

// unannounced returns what lookAgain needs: a channel that is closed when all nodes know that t listens, or have had enough time to learn it. nil
// if they know, or if t is loaded and whoever loaded it sees to that.
func (t *tracker) unannounced() <-chan struct{} {
	t.mu.Lock()
	loaded := t.loaded
	t.mu.Unlock()
	if loaded {
		return nil
	}
	return t.registration.Announced()
}

// lookAgain has the store asked once more what has happened when announced is closed. What was committed after t was loaded, on a node that did not
// know yet that t listens, was not sent here. Nobody waits for it.
func (t *tracker) lookAgain(announced <-chan struct{}) {
	if announced == nil {
		return
	}
	t.set.background.run(func() {
		select {
		case <-announced:
			t.mu.Lock()
			defer t.mu.Unlock()
			t.stale = true
			t.mend(0)
		case <-t.set.background.ctx.Done():
		}
	})
}

// repair waits, and reads the store until nothing is missing or nobody is there any more.
func (t *tracker) repair(wait time.Duration) {
	ctx := t.set.background.ctx
	t.set.repairs.Add(1)
	defer t.set.repairs.Add(-1)
	// Nodes that lost the store at one moment should not come back at one moment.
	jitter := rand.New(rand.NewPCG(t.set.seed, binary.BigEndian.Uint64(t.box[:])))
	for pause := minPause; sleep(ctx, wait); pause = min(2*pause, t.set.longestPause()) {
		err := t.ready(ctx, 0, 0)
		t.mu.Lock()
		if t.gone != nil || !t.behind() || len(t.views) == 0 {
			t.repairing = false
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()
		if err != nil {
			t.set.Log.Warn().Err(err).Stringer("mailbox", t.box).Msg("mailbox cannot be brought up to date")
		}
		wait = pause + time.Duration(jitter.Int64N(int64(pause)))
	}
}

// ready returns when everything up to m of a line, and everything that is known to be missing, is there. When the line
// has ended meanwhile, m means nothing any more. One caller at a time reads the store, the others wait for it.
func (t *tracker) ready(ctx context.Context, line uint64, m mailbox.ModSeq) error {
	for tried := false; ; {
		t.mu.Lock()
		if line != t.line {
			m = 0
		}
		if t.gone != nil || !t.behind() && t.modseq >= m {
			err := t.gone
			t.mu.Unlock()
			return err
		}
		if busy := t.busy; busy != nil {
			t.mu.Unlock()
			select {
			case <-busy:
				continue
			case <-ctx.Done():
				return &mailbox.Error{Kind: mailbox.Unavailable, Op: "follow mailbox", Err: context.Cause(ctx)}
			}
		}
		if tried && !t.behind() {
			t.mu.Unlock()
			return &mailbox.Error{Kind: mailbox.Unavailable, Op: "follow mailbox", Text: "the store does not know the change yet"}
		}
		t.busy = make(chan struct{})
		t.mu.Unlock()

		err := t.read(ctx)
		t.mu.Lock()
		close(t.busy)
		t.busy = nil
		t.mu.Unlock()
		if err != nil {
			return err
		}
		tried = true
	}
}

// read brings the tracker to the store's present state.
func (t *tracker) read(ctx context.Context) error {
	t.mu.Lock()
	have, heard, changes := t.modseq, t.heard, t.loaded && !t.diff
	t.stale, t.diff = false, false // what is lost from now on is lost again
	t.mu.Unlock()

	if changes {
		t.set.counters.repairs.Add(1)
		c, ok, err := t.set.Store.ChangesSince(ctx, t.box, have)
		if err != nil {
			return t.failed(err, false)
		}
		if ok && !c.Truncated && t.applyMerged(c, heard) {
			return nil
		}
	}
	s, err := t.set.Store.Snapshot(ctx, t.box)
	if err != nil {
		return t.failed(err, true)
	}
	t.install(s, have, heard)
	return nil
}

// failed notes that the store could not be read, and whether it was asked for a Snapshot.
func (t *tracker) failed(err error, snapshot bool) error {
	t.mu.Lock()
	ended := false
	t.set.counters.failures.Add(1)
	t.stale, t.diff = true, t.diff || snapshot
	if mailbox.KindOf(err) == mailbox.NonExistent && t.loaded {
		ended = t.end(mailbox.NonExistent, "mailbox was deleted")
	}
	t.mend(minPause)
	t.unlock(ended)
	return err
}

// applyMerged applies what ChangesSince returned, and returns false if a Snapshot is needed.
func (t *tracker) applyMerged(c *mailbox.Change, heard mailbox.ModSeq) bool {
	t.mu.Lock()
	if t.gone != nil {
		t.mu.Unlock()
		return true
	}
	if c.Line != t.line {
		t.mu.Unlock()
		return false
	}
	changed := c.ModSeq > t.modseq
	if changed {
		t.apply(c, false)
	}
	changed = t.catchUp() || changed
	t.believe(heard)
	t.unlock(changed)
	return true
}

// believe lets the store decide what exists: a ModSeq heard of before the store was read, and not found there, is not waited for.
func (t *tracker) believe(heard mailbox.ModSeq) {
	if t.heard == heard && heard > t.modseq {
		t.heard, t.early = t.modseq, nil
	}
}

// install makes the tracker's state that of s. When s was asked for, the tracker had come to have.
func (t *tracker) install(s *mailstore.Snapshot, have, heard mailbox.ModSeq) {
	var index msn.Index
	for _, r := range s.UIDs {
		index.AddRange(r.Start, r.Stop)
	}
	if s.Counts.UIDNext > 0 {
		index.Saw(s.Counts.UIDNext - 1)
	}

	t.mu.Lock()
	first := !t.loaded
	if first {
		t.set.counters.loads.Add(1)
	} else {
		t.set.counters.resyncs.Add(1)
	}
	switch {
	case t.gone != nil:
	case first:
		t.index, t.line, t.uidValidity, t.loaded = index, s.Line, s.UIDValidity, true
		t.adopt(s)
	case s.UIDValidity != t.uidValidity:
		t.end(mailbox.NonExistent, "mailbox was renumbered")
	case s.Line == t.line && s.ModSeq < have, s.Line != t.line && s.EndedLine == t.line && s.Ended < have:
		// A store that goes back has lost what clients were told.
		t.set.counters.setBack.Add(1)
		t.set.Log.Error().Stringer("mailbox", t.box).Uint64("modseq", uint64(s.ModSeq)).Uint64("known", uint64(have)).
			Msg("the store has lost changes that clients know of")
		t.end(mailbox.Corrupt, "mailbox has lost changes")
	case s.Line == t.line && s.ModSeq < t.modseq:
		// The bus was faster; what is still missing is asked for again.
		t.diff = true
	default:
		t.compare(s, &index)
	}
	if t.gone == nil {
		for _, c := range t.early {
			if c.Line == t.line {
				t.heard = max(t.heard, c.ModSeq)
			}
		}
		t.catchUp()
		t.believe(heard)
	}
	t.unlock(!first)
}

// compare makes the Index equal to the Snapshot's.
func (t *tracker) compare(s *mailstore.Snapshot, index *msn.Index) {
	added := index.Minus(&t.index)
	if len(added) > 0 && added[0].Start <= t.index.Highest() {
		t.end(mailbox.Corrupt, "a UID was used twice")
		return
	}
	t.remove(t.index.Minus(index), t.modseq)
	for _, r := range added {
		t.index.AddRange(r.Start, r.Stop)
	}
	t.index.Saw(index.Highest())
	if s.Line != t.line {
		t.line, t.heard = s.Line, 0
		for _, v := range t.views {
			v.renumbered()
		}
	}
	t.cache = nil
	t.adopt(s)
}

// adopt takes over what a Snapshot says besides the UIDs.
func (t *tracker) adopt(s *mailstore.Snapshot) {
	t.modseq = s.ModSeq
	t.counts = s.Counts
	t.recentFrom = max(t.recentFrom, s.RecentFrom)
	t.learnKeywords(s.Keywords)
	t.unseen = unseen{uid: s.FirstUnseen}
	t.log.reset(s.ModSeq) // the flags of any message may have changed
}
