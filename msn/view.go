package msn

import (
	"iter"
	"sort"

	"github.com/emersion/go-imap/v2"
)

// A View maps UIDs to the sequence numbers that one client has been told. Its methods take the Index of the mailbox,
// always the same one, as it is now.
//
// Invariant: what the client was told = the live UIDs up to told, plus the pending ones. Whoever changes the Index
// keeps it: every UID that is removed goes to Expunged of every View, in the same critical section, and no UID is added that is
// not above Index.Highest. Then numbers change by TakeExpunges and Raise alone, that is: when the client is told.
//
// The zero value is a client that has been told nothing.
type View struct {
	told    imap.UID // highest UID told
	pending pending  // expunged, told to exist, not told to be gone
}

// Told returns the highest UID that the client may know to exist. It may have been expunged since.
func (v *View) Told() imap.UID { return v.told }

// Count returns how many messages the client counts.
func (v *View) Count(x *Index) uint32 { return x.Rank(v.told) + v.pending.len() }

// HasPending says whether there are expunges to tell.
func (v *View) HasPending() bool { return v.pending.len() > 0 }

// Expunged takes note that uid was removed from the Index. If the client was never told of it, it never will be.
func (v *View) Expunged(uid imap.UID) {
	if uid <= v.told {
		v.pending.add(uid)
	}
}

// Number returns the sequence number of uid, and whether the client knows it: expunged but untold UIDs still have
// theirs, untold ones have none yet.
func (v *View) Number(x *Index, uid imap.UID) (n uint32, ok bool) {
	if uid > v.told || !x.Contains(uid) && !v.pending.contains(uid) {
		return 0, false
	}
	return x.Rank(uid) + v.pending.rank(uid), true
}

// UID returns the UID of message n, whether it is still live, and whether the client counts that many.
func (v *View) UID(x *Index, n uint32) (uid imap.UID, live, ok bool) {
	if n == 0 || n > v.Count(x) {
		return 0, false, false
	}
	// k is the number of pending UIDs with a number below n.
	k := sort.Search(int(v.pending.len()), func(i int) bool {
		k := uint32(i) + 1
		return x.Rank(v.pending.at(k))+k >= n
	})
	if k < int(v.pending.len()) {
		if uid := v.pending.at(uint32(k) + 1); x.Rank(uid)+uint32(k)+1 == n {
			return uid, false, true
		}
	}
	uid, ok = x.UID(n - uint32(k))
	return uid, true, ok
}

// Raise makes all of the Index told, to the highest UID ever seen: what came and went in between is never mentioned. It returns how
// many messages the client counts from now on, and whether that is more than before, so that it must be told EXISTS.
func (v *View) Raise(x *Index) (exists uint32, changed bool) {
	before := v.Count(x)
	v.told = max(v.told, x.Highest())
	exists = v.Count(x)
	return exists, exists > before
}

// Expunges are messages to be told gone.
type Expunges struct {
	UIDs imap.UIDSet // for VANISHED (RFC 7162 §3.2.10), ascending
	seqs imap.SeqSet // their numbers before any of them is told, ascending
}

// Numbers yields the number of each for EXPUNGE (RFC 9051 §7.5.1), highest first: none is changed by those told before it.
func (e Expunges) Numbers() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for i := len(e.seqs) - 1; i >= 0; i-- {
			for n := e.seqs[i].Stop; n >= e.seqs[i].Start; n-- {
				if !yield(n) {
					return
				}
			}
		}
	}
}

// TakeExpunges returns what is to be told gone. The View counts it as told from now on.
func (v *View) TakeExpunges(x *Index) Expunges {
	e := Expunges{UIDs: v.pending.runs()}
	var before uint32 // pending UIDs before the run
	for _, run := range e.UIDs {
		// No live UID lies inside a run, so its numbers have no gap either.
		n := uint32(run.Stop - run.Start)
		first := x.Rank(run.Start) + before + 1
		e.seqs = append(e.seqs, imap.SeqRange{Start: first, Stop: first + n})
		before += n + 1
	}
	v.pending = pending{}
	return e
}
