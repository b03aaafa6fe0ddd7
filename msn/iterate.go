package msn

import (
	"iter"
	"math"
	"math/bits"

	"github.com/emersion/go-imap/v2"
)

// Iteration goes by words: the 64 UIDs from 64*w to 64*w+63 as bits of one number.

// words yields the non-empty words from number lo to number hi, ascending.
func (x *Index) words(lo, hi uint32, yield func(w uint32, bits uint64) bool) {
	for i := max(0, x.find(lo<<6)); i < len(x.segs); i++ {
		s := &x.segs[i]
		w := s.base() >> 6
		if w > hi {
			return
		}
		if s.bitmap == nil {
			if !s.list.words(s.base(), lo, hi, yield) {
				return
			}
			continue
		}
		for k := max(lo, w) - w; int(k) < len(s.bitmap.bits) && w+k <= hi; k++ {
			if b := s.bitmap.bits[k]; b != 0 && !yield(w+k, b) {
				return
			}
		}
	}
}

// words yields the non-empty words from lo to hi and says whether to go on.
func (s sparse) words(base, lo, hi uint32, yield func(w uint32, bits uint64) bool) bool {
	var w uint32
	var word uint64
	for len(s) > 0 {
		var d uint32
		d, s = s.next()
		base += d
		if base>>6 < lo {
			continue
		}
		if base>>6 > hi {
			break
		}
		if word != 0 && base>>6 != w {
			if !yield(w, word) {
				return false
			}
			word = 0
		}
		w = base >> 6
		word |= 1 << (base & 63)
	}
	return word == 0 || yield(w, word)
}

// word returns the word w.
func (x *Index) word(w uint32) (b uint64) {
	x.words(w, w, func(_ uint32, word uint64) bool {
		b = word
		return false
	})
	return b
}

// clip clears the bits of word w that stand for UIDs below lo or above hi.
func clip(w uint32, b uint64, lo, hi imap.UID) uint64 {
	if w == uint32(lo)>>6 {
		b &= math.MaxUint64 << (lo & 63)
	}
	if w == uint32(hi)>>6 {
		b &= math.MaxUint64 >> (63 - hi&63)
	}
	return b
}

// Range yields the live UIDs from lo to hi, ascending. The Index must not change meanwhile.
func (x *Index) Range(lo, hi imap.UID) iter.Seq[imap.UID] {
	return func(yield func(imap.UID) bool) {
		if lo > hi {
			return
		}
		x.words(uint32(lo)>>6, uint32(hi)>>6, func(w uint32, b uint64) bool {
			for b = clip(w, b, lo, hi); b != 0; b &= b - 1 {
				if !yield(imap.UID(w<<6) + imap.UID(bits.TrailingZeros64(b))) {
					return false
				}
			}
			return true
		})
	}
}

// All yields the live UIDs, ascending. The Index must not change meanwhile.
func (x *Index) All() iter.Seq[imap.UID] { return x.Range(0, math.MaxUint32) }

// AppendUIDs appends the live UIDs to uids, ascending.
func (x *Index) AppendUIDs(uids []imap.UID) []imap.UID {
	for uid := range x.All() {
		uids = append(uids, uid)
	}
	return uids
}

// AppendRuns appends the live UIDs from lo to hi to set, ascending, as few ranges; set must hold no UID above lo.
func (x *Index) AppendRuns(set imap.UIDSet, lo, hi imap.UID) imap.UIDSet {
	if lo > hi {
		return set
	}
	x.words(uint32(lo)>>6, uint32(hi)>>6, func(w uint32, b uint64) bool {
		set = appendRuns(set, w, clip(w, b, lo, hi))
		return true
	})
	return set
}

// appendRuns appends the UIDs of one word to set.
func appendRuns(set imap.UIDSet, w uint32, b uint64) imap.UIDSet {
	for b != 0 {
		from := bits.TrailingZeros64(b)
		n := bits.TrailingZeros64(^(b >> from))
		b = b >> from >> n << n << from
		start := imap.UID(w<<6) + imap.UID(from)
		set = appendRun(set, start, start+imap.UID(n-1))
	}
	return set
}

// appendRun appends the UIDs from lo to hi to set, whose last range they may touch or overlap but not precede.
func appendRun(set imap.UIDSet, lo, hi imap.UID) imap.UIDSet {
	if n := len(set); n > 0 && set[n-1].Stop >= lo-1 {
		set[n-1].Stop = max(set[n-1].Stop, hi)
		return set
	}
	return append(set, imap.UIDRange{Start: lo, Stop: hi})
}

// Minus returns the UIDs that are live in x and not in other. With x the Index of a Tracker and other a snapshot
// of the store, x.Minus(other) was expunged meanwhile and other.Minus(x) was added.
func (x *Index) Minus(other *Index) imap.UIDSet {
	var set imap.UIDSet
	x.words(0, math.MaxUint32>>6, func(w uint32, b uint64) bool {
		set = appendRuns(set, w, b&^other.word(w))
		return true
	})
	return set
}
