package msn

import (
	"slices"
	"sort"
	"unsafe"

	"github.com/emersion/go-imap/v2"
)

// An Index is the set of the live UIDs of one mailbox, which also knows the number of each. The zero value is an empty
// mailbox, ready for use, and owns no further memory.
//
// UIDs are kept in segments: bitmaps where they lie close together (about 13 KB for 100,000 UIDs without gaps), lists of differences
// where they do not (one to three bytes a UID). A segment holds the UIDs of a span of blocks of 512 UIDs, and no two
// segments share a block.
type Index struct {
	segs    []segment
	counts  fenwick[uint32] // live UIDs in each segment
	n       uint32          // live UIDs
	highest imap.UID        // highest UID ever seen, live or not
}

// A segment holds the UIDs from its first block up to the first block of the segment after it. None is empty.
type segment struct {
	first  uint32 // number of the first block: UID >> blockShift
	n      uint32 // live UIDs
	last   uint32 // highest UID in list
	list   sparse // unless bitmap is set
	bitmap *dense
}

// base returns the UID at which the segment starts.
func (s *segment) base() uint32 { return s.first << blockShift }

// covers says whether a dense segment has a bit for uid.
func (s *segment) covers(uid uint32) bool {
	return int(uid>>blockShift-s.first) < s.bitmap.blocks()
}

// rank returns how many of the segment's UIDs are up to and including uid, which is not below base.
func (s *segment) rank(uid uint32) uint32 {
	switch {
	case s.bitmap == nil && uid < s.last:
		n, _ := s.list.rank(s.base(), uid)
		return n
	case s.bitmap != nil && s.covers(uid):
		return s.bitmap.rank(uid - s.base())
	}
	return s.n
}

// contains says whether uid, which is not below base, is live.
func (s *segment) contains(uid uint32) bool {
	if s.bitmap != nil {
		return s.covers(uid) && s.bitmap.contains(uid-s.base())
	}
	if uid >= s.last {
		return uid == s.last && s.n > 0
	}
	_, has := s.list.rank(s.base(), uid)
	return has
}

// at returns the segment's k-th UID, from 0.
func (s *segment) at(k uint32) uint32 {
	if s.bitmap != nil {
		return s.base() + s.bitmap.at(k)
	}
	return s.list.at(s.base(), k)
}

// find returns the last segment that starts at or before uid, or -1.
func (x *Index) find(uid uint32) int {
	b := uid >> blockShift
	return sort.Search(len(x.segs), func(i int) bool { return x.segs[i].first > b }) - 1
}

// Len returns how many UIDs are live.
func (x *Index) Len() uint32 { return x.n }

// Highest returns the highest UID that was ever live, or 0. It never falls: UIDs are not used twice (RFC 9051 §2.3.1.1).
func (x *Index) Highest() imap.UID { return x.highest }

// Saw says that all UIDs up to uid have been given out, as a mailbox's UIDNEXT tells.
func (x *Index) Saw(uid imap.UID) { x.highest = max(x.highest, uid) }

// Max returns the highest live UID, or 0.
func (x *Index) Max() imap.UID {
	uid, _ := x.UID(x.n)
	return uid
}

// Contains says whether uid is live.
func (x *Index) Contains(uid imap.UID) bool {
	i := x.find(uint32(uid))
	return i >= 0 && x.segs[i].contains(uint32(uid))
}

// Rank returns how many live UIDs are less than or equal to uid: the number of uid, if it is live.
func (x *Index) Rank(uid imap.UID) uint32 {
	i := x.find(uint32(uid))
	if i < 0 {
		return 0
	}
	return x.counts.sum(i) + x.segs[i].rank(uint32(uid))
}

// UID returns the n-th live UID, from 1, and whether there is one.
func (x *Index) UID(n uint32) (imap.UID, bool) {
	if n == 0 || n > x.n {
		return 0, false
	}
	i, rest := x.counts.find(n - 1)
	return imap.UID(x.segs[i].at(rest)), true
}

// Clone returns a copy that shares nothing with x.
func (x *Index) Clone() *Index {
	c := &Index{segs: slices.Clone(x.segs), counts: slices.Clone(x.counts), n: x.n, highest: x.highest}
	for i := range c.segs {
		if s := &c.segs[i]; s.bitmap != nil {
			s.bitmap = s.bitmap.clone()
		} else {
			s.list = slices.Clone(s.list)
		}
	}
	return c
}

// Bytes returns the memory that x uses, in bytes, nearly exactly.
func (x *Index) Bytes() int {
	n := int(unsafe.Sizeof(*x)) + cap(x.segs)*int(unsafe.Sizeof(segment{})) + cap(x.counts)*4
	for i := range x.segs {
		s := &x.segs[i]
		n += cap(s.list)
		if d := s.bitmap; d != nil {
			n += int(unsafe.Sizeof(*d)) + cap(d.bits)*8 + cap(d.counts)*2
		}
	}
	return n
}
