package conn

import (
	"iter"
	"slices"
	"strconv"

	"github.com/emersion/go-imap/v2"
)

// rangeSize is what a range takes in memory.
const rangeSize = 8

// ranges reads a set of UIDs, in the order in which it was sent. It reports false if
// the set is too large to be held; it is skipped then.
func (r *reader) ranges() (set imap.UIDSet, whole bool) {
	whole = true
	for r.err == nil {
		u := imap.UIDRange{Start: r.uid()}
		u.Stop = u.Start
		if r.accept(':') {
			if u.Stop = r.uid(); u.Stop < u.Start {
				u.Start, u.Stop = u.Stop, u.Start
			}
		}
		if whole = whole && r.hold(rangeSize); whole {
			set = append(set, u)
		}
		if !r.accept(',') {
			break
		}
	}
	return set, whole
}

// uids is ranges, ascending and merged.
func (r *reader) uids() (imap.UIDSet, bool) {
	set, whole := r.ranges()
	return tidy(set), whole
}

// grow adds a UID to a set that tidy will be called on.
func grow(set imap.UIDSet, uid imap.UID) imap.UIDSet {
	if n := len(set); n > 0 && set[n-1].Stop+1 == uid && uid != 0 {
		set[n-1].Stop = uid
		return set
	}
	return append(set, imap.UIDRange{Start: uid, Stop: uid})
}

// tidy sorts and merges a static set, in place.
func tidy(set imap.UIDSet) imap.UIDSet {
	sorted := true
	for i := 1; i < len(set) && sorted; i++ {
		sorted = set[i].Start > set[i-1].Stop && set[i].Start-set[i-1].Stop > 1
	}
	if sorted {
		return set
	}
	slices.SortFunc(set, func(a, b imap.UIDRange) int {
		switch {
		case a.Start < b.Start:
			return -1
		case a.Start > b.Start:
			return 1
		}
		return 0
	})
	merged := set[:1]
	for _, u := range set[1:] {
		last := &merged[len(merged)-1]
		if u.Start > last.Stop && u.Start-last.Stop > 1 {
			merged = append(merged, u)
		} else {
			last.Stop = max(last.Stop, u.Stop)
		}
	}
	return merged
}

// Pieces splits a static set into sets whose text has at most size octets, for servers
// take lines of 8,192 octets only (RFC 7162 §4). A range is never split.
func Pieces(set imap.UIDSet, size int) iter.Seq[imap.UIDSet] {
	return func(yield func(imap.UIDSet) bool) {
		var digits [10]byte
		from, length := 0, 0
		for i, u := range set {
			n := len(strconv.AppendUint(digits[:0], uint64(u.Start), 10)) + 1
			if u.Stop != u.Start {
				n += len(strconv.AppendUint(digits[:0], uint64(u.Stop), 10)) + 1
			}
			if length > 0 && length+n > size {
				if !yield(set[from:i]) {
					return
				}
				from, length = i, 0
			}
			length += n
		}
		if from < len(set) {
			yield(set[from:])
		}
	}
}
