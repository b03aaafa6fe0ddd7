package msn

import (
	"math"
	"slices"

	"github.com/emersion/go-imap/v2"
)

// maxFew is the most UIDs that a pending set keeps as a slice.
const maxFew = 64

// pending is a set of UIDs: a sorted slice while they are few, an Index when they are many. At most one of the two is in use.
type pending struct {
	few  []imap.UID
	many *Index
}

// add puts uid into the set.
func (p *pending) add(uid imap.UID) {
	if p.many != nil {
		p.many.Add(uid)
		return
	}
	i, has := slices.BinarySearch(p.few, uid)
	if has {
		return
	}
	if len(p.few) < maxFew {
		p.few = slices.Insert(p.few, i, uid)
		return
	}
	p.many = new(Index)
	for _, u := range p.few {
		p.many.Add(u)
	}
	p.many.Add(uid)
	p.few = nil
}

// len returns how many UIDs are in the set.
func (p *pending) len() uint32 {
	if p.many != nil {
		return p.many.Len()
	}
	return uint32(len(p.few))
}

// contains says whether uid is in the set.
func (p *pending) contains(uid imap.UID) bool {
	if p.many != nil {
		return p.many.Contains(uid)
	}
	_, has := slices.BinarySearch(p.few, uid)
	return has
}

// rank returns how many UIDs of the set are less than or equal to uid.
func (p *pending) rank(uid imap.UID) uint32 {
	if p.many != nil {
		return p.many.Rank(uid)
	}
	i, has := slices.BinarySearch(p.few, uid)
	if has {
		i++
	}
	return uint32(i)
}

// at returns the k-th UID of the set, from 1; there must be that many.
func (p *pending) at(k uint32) imap.UID {
	if p.many != nil {
		uid, _ := p.many.UID(k)
		return uid
	}
	return p.few[k-1]
}

// appendRuns appends the UIDs of the set from lo to hi to set.
func (p *pending) appendRuns(set imap.UIDSet, lo, hi imap.UID) imap.UIDSet {
	if p.many != nil {
		return p.many.AppendRuns(set, lo, hi)
	}
	i, _ := slices.BinarySearch(p.few, lo)
	for ; i < len(p.few) && p.few[i] <= hi; i++ {
		set = appendRun(set, p.few[i], p.few[i])
	}
	return set
}

// runs returns the whole set.
func (p *pending) runs() imap.UIDSet { return p.appendRuns(nil, 1, math.MaxUint32) }
