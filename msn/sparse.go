package msn

import (
	"encoding/binary"
	"slices"
)

// maxSparse is the most UIDs in a sparse segment: few enough that going through them costs about as much as a cache miss or two.
const maxSparse = 128

// sparse is a sorted list of UIDs as uvarint differences, the first to the start of its segment's first block. Mail
// with one message kept of a thousand costs two bytes a UID so, and a small mailbox less than its name.
type sparse []byte

// newSparse returns the list of the given ascending UIDs.
func newSparse(base uint32, uids []uint32) sparse {
	var room [maxSparse * binary.MaxVarintLen32]byte
	buf := room[:0]
	for _, u := range uids {
		buf = binary.AppendUvarint(buf, uint64(u-base))
		base = u
	}
	return append(make(sparse, 0, len(buf)), buf...)
}

// next returns the first difference and the list after it, which must not be empty.
func (s sparse) next() (uint32, sparse) {
	// Nearly all differences take one or two bytes.
	if s[0] < 0x80 {
		return uint32(s[0]), s[1:]
	}
	if len(s) > 1 && s[1] < 0x80 {
		return uint32(s[0]&0x7f) | uint32(s[1])<<7, s[2:]
	}
	d, n := binary.Uvarint(s)
	return uint32(d), s[n:]
}

// appendTo appends the UIDs to uids.
func (s sparse) appendTo(uids []uint32, base uint32) []uint32 {
	for len(s) > 0 {
		var d uint32
		d, s = s.next()
		base += d
		uids = append(uids, base)
	}
	return uids
}

// rank returns how many UIDs are up to and including uid, and whether uid itself is one of them.
func (s sparse) rank(base, uid uint32) (n uint32, has bool) {
	for len(s) > 0 {
		var d uint32
		d, s = s.next()
		if base += d; base >= uid {
			if base == uid {
				return n + 1, true
			}
			return n, false
		}
		n++
	}
	return n, false
}

// at returns the k-th UID, from 0; there must be more than k.
func (s sparse) at(base, k uint32) uint32 {
	for {
		var d uint32
		d, s = s.next()
		base += d
		if k == 0 {
			return base
		}
		k--
	}
}

// insert returns uids with uid in its place. It must not be there yet.
func insert(uids []uint32, uid uint32) []uint32 {
	i, _ := slices.BinarySearch(uids, uid)
	return slices.Insert(uids, i, uid)
}
