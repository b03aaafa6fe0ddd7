package msn

import (
	"encoding/binary"
	"slices"
	"sort"

	"github.com/emersion/go-imap/v2"
)

// Limits of the two forms of a segment. Those for the way to a list and for the way back are far apart, so that a
// mailbox that stays about as full does not go to and fro.
const (
	maxGap   = 2                 // empty blocks that a bitmap takes in to reach the next UID
	maxThin  = maxSparse * 3 / 4 // UIDs with which a bitmap may become a list, or two lists one
	minAlone = maxSparse / 4     // UIDs below which a list looks for a neighbour to join
)

// Add makes uid live and says whether it was not so before. Any order is fine; ascending is fastest and smallest. 0 is
// not a UID and is refused.
func (x *Index) Add(uid imap.UID) bool {
	u := uint32(uid)
	i := x.find(u)
	if u == 0 || i >= 0 && x.segs[i].contains(u) {
		return false
	}
	var room listing
	x.Saw(uid)
	i = x.place(i, u)
	s := &x.segs[i]
	x.n++
	x.counts.add(i, 1)
	switch {
	case s.bitmap != nil:
		s.bitmap.add(u - s.base())
		s.n++
	case u > s.last && s.n > 0:
		s.list = binary.AppendUvarint(s.list, uint64(u-s.last))
		s.last = u
		s.n++
		x.fit(i, int(s.n)-1)
	default:
		s.set(insert(s.uids(&room), u))
		x.fit(i, int(s.n)/2)
	}
	return true
}

// AddRange makes the UIDs from lo to hi live. It takes time for each, so the caller must know that they exist.
func (x *Index) AddRange(lo, hi imap.UID) {
	for u := uint64(lo); u <= uint64(hi); u++ {
		x.Add(imap.UID(u))
	}
}

// Remove makes uid no longer live and says whether it was.
func (x *Index) Remove(uid imap.UID) bool {
	u := uint32(uid)
	i := x.find(u)
	if i < 0 || !x.segs[i].contains(u) {
		return false
	}
	var room listing
	s := &x.segs[i]
	x.n--
	x.counts.add(i, ^uint32(0))
	if s.n == 1 {
		x.cut(i)
		return true
	}
	if s.bitmap != nil {
		s.bitmap.remove(u - s.base())
		s.n--
		if s.n <= maxThin && s.bitmap.blocks()*blockBytes > 4*int(s.n) {
			s.set(s.uids(&room))
		}
	} else {
		uids := s.uids(&room)
		at, _ := slices.BinarySearch(uids, u)
		s.set(slices.Delete(uids, at, at+1))
	}
	x.join(i)
	return true
}

// A listing has room for the UIDs of a list and one more, so that changing a list needs no memory but its own.
type listing [maxSparse + 1]uint32

// uids returns the UIDs of a segment that is, or may become, a list.
func (s *segment) uids(room *listing) []uint32 {
	if s.bitmap == nil {
		return s.list.appendTo(room[:0], s.base())
	}
	return s.bitmap.appendTo(room[:0], s.base())
}

// set makes the segment a list of the given UIDs, ascending.
func (s *segment) set(uids []uint32) {
	s.bitmap, s.list = nil, newSparse(s.base(), uids)
	s.n, s.last = uint32(len(uids)), uids[len(uids)-1]
}

// place returns the segment that shall hold u, which i = find(u) does not hold yet. That segment may be new and empty.
func (x *Index) place(i int, u uint32) int {
	b := u >> blockShift
	if i >= 0 {
		s := &x.segs[i]
		if s.bitmap == nil || s.covers(u) {
			return i
		}
		if n := int(b-s.first) + 1; n <= min(maxBlocks, s.bitmap.blocks()+maxGap+1) {
			s.bitmap.extend(n)
			return i
		}
	}
	i++
	if i < len(x.segs) && x.segs[i].bitmap == nil {
		var room listing
		s := &x.segs[i]
		uids := s.uids(&room)
		s.first = b
		s.set(uids)
		return i
	}
	x.put(i, segment{first: b})
	return i
}

// fit changes the list i, to which one UID was just added, when it has become too long: to a bitmap if its UIDs lie close together,
// otherwise to two lists, cut near its UID number at.
func (x *Index) fit(i, at int) {
	s := &x.segs[i]
	if s.n <= maxSparse {
		return
	}
	var room listing
	uids := s.uids(&room)
	first := uids[0] >> blockShift
	// Twice the memory is fair: a bitmap answers faster, and grows by blocks instead of segments.
	if blocks := int(s.last>>blockShift-first) + 1; blocks <= maxBlocks && blocks*blockBytes <= 2*len(s.list) {
		s.first, s.list = first, nil
		s.bitmap = newDense(s.base(), blocks, uids)
		return
	}
	b := uids[at] >> blockShift
	if b == first {
		b++
	}
	at = sort.Search(len(uids), func(k int) bool { return uids[k]>>blockShift >= b })
	right := segment{first: uids[at] >> blockShift}
	right.set(uids[at:])
	s.set(uids[:at])
	x.counts.add(i, -right.n)
	x.put(i+1, right)
}

// join makes one list of the list i and a neighbour if both are short, so that what is left of a mailbox after many expunges
// is not scattered over many segments.
func (x *Index) join(i int) {
	if s := &x.segs[i]; s.bitmap != nil || s.n >= minAlone {
		return
	}
	for _, l := range []int{i - 1, i} {
		r := l + 1
		if l < 0 || r >= len(x.segs) {
			continue
		}
		left, right := &x.segs[l], &x.segs[r]
		if left.bitmap == nil && right.bitmap == nil && left.n+right.n <= maxThin {
			var a, b listing
			left.set(append(left.uids(&a), right.uids(&b)...))
			x.counts.add(l, right.n)
			x.counts.add(r, -right.n)
			x.cut(r)
			return
		}
	}
}

// put inserts the segment s at i.
func (x *Index) put(i int, s segment) {
	x.segs = slices.Insert(x.segs, i, s)
	if i == len(x.counts) {
		x.counts = x.counts.push(s.n)
		return
	}
	x.recount()
}

// cut deletes the segment i, which is counted as empty.
func (x *Index) cut(i int) {
	x.segs = slices.Delete(x.segs, i, i+1)
	if i == len(x.segs) {
		x.counts = x.counts[:i]
		return
	}
	x.recount()
}

// recount builds counts anew after a change in the middle of segs.
func (x *Index) recount() {
	x.counts = x.counts[:0]
	for i := range x.segs {
		x.counts = x.counts.push(x.segs[i].n)
	}
}
