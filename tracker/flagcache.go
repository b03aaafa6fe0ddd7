package tracker

import (
	"cmp"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/msn"
)

const (
	blockShift  = 9    // UIDs are cached by blocks of 512
	maxDistinct = 4096 // sets of flags that a cache knows by number
)

// A flagCache holds the flags of some blocks of a mailbox's UIDs, all live ones of each block, as they are at the tracker's modseq. A nil
// flagCache is empty.
type flagCache struct {
	blocks map[uint32][]cachedFlags // by UID >> blockShift; ascending by UID
	n      int                      // rows in blocks
	sets   []mailbox.Flags
	number map[mailbox.Flags]uint32
}

// cachedFlags are one message's.
type cachedFlags struct {
	uid    imap.UID
	set    uint32 // into flagCache.sets
	modseq mailbox.ModSeq
}

func newFlagCache() *flagCache {
	return &flagCache{blocks: make(map[uint32][]cachedFlags), number: make(map[mailbox.Flags]uint32)}
}

// bytes returns about how much memory the cache takes.
func (c *flagCache) bytes() int64 {
	if c == nil {
		return 0
	}
	return int64(200 + 64*len(c.blocks) + 16*c.n + 120*len(c.sets))
}

// block returns the rows of a block, and whether it is cached.
func (c *flagCache) block(b uint32) ([]cachedFlags, bool) {
	if c == nil {
		return nil, false
	}
	rows, ok := c.blocks[b]
	return rows, ok
}

// find returns where uid is among rows, or would be.
func find(rows []cachedFlags, uid imap.UID) (int, bool) {
	return slices.BinarySearchFunc(rows, uid, func(r cachedFlags, uid imap.UID) int { return cmp.Compare(r.uid, uid) })
}

// intern returns the number of a set of flags.
func (c *flagCache) intern(f mailbox.Flags) uint32 {
	n, ok := c.number[f]
	if !ok {
		n = uint32(len(c.sets))
		c.sets = append(c.sets, f)
		c.number[f] = n
	}
	return n
}

// room makes sure that a few more sets can be numbered: a mailbox with thousands of them, old ones included, starts over.
func (c *flagCache) room() {
	if len(c.sets) >= maxDistinct {
		*c = *newFlagCache()
	}
}

// put caches one block.
func (c *flagCache) put(b uint32, rows []cachedFlags) {
	c.n += len(rows) - len(c.blocks[b])
	c.blocks[b] = rows
}

// apply makes the cache that of a Change. Of one that is not exact, the blocks concerned are dropped.
func (c *flagCache) apply(ch *mailbox.Change, exact bool, x *msn.Index) {
	c.room()
	if exact {
		c.setAll(ch.Added, mailbox.Flags{}, ch.ModSeq, x)
	} else {
		c.drop(ch.Added)
	}
	for _, f := range ch.Flags {
		switch {
		case !f.User.IsZero(): // no View here is that user's
		case exact:
			c.setAll(f.UIDs, f.Flags, ch.ModSeq, x)
		default:
			c.drop(f.UIDs)
		}
	}
	for _, r := range ch.Expunged {
		for uid := range x.Range(r.Start, r.Stop) {
			c.remove(uid)
		}
	}
}

// setAll gives the live ones of uids the same flags.
func (c *flagCache) setAll(uids imap.UIDSet, f mailbox.Flags, m mailbox.ModSeq, x *msn.Index) {
	set := c.intern(f)
	for _, r := range uids {
		for uid := range x.Range(r.Start, r.Stop) {
			c.set(cachedFlags{uid, set, m})
		}
	}
}

// set replaces or adds a row, if its block is cached.
func (c *flagCache) set(row cachedFlags) {
	b := uint32(row.uid) >> blockShift
	rows, ok := c.blocks[b]
	if !ok {
		return
	}
	i, has := find(rows, row.uid)
	if has {
		rows[i] = row
	} else {
		c.put(b, slices.Insert(rows, i, row))
	}
}

// remove removes a row.
func (c *flagCache) remove(uid imap.UID) {
	b := uint32(uid) >> blockShift
	rows := c.blocks[b]
	if i, has := find(rows, uid); has {
		c.put(b, slices.Delete(rows, i, i+1))
	}
}

// drop drops the blocks of uids.
func (c *flagCache) drop(uids imap.UIDSet) {
	for b, rows := range c.blocks {
		lo := imap.UID(b << blockShift)
		hi := lo + 1<<blockShift - 1
		if slices.ContainsFunc(uids, func(r imap.UIDRange) bool { return r.Start <= hi && lo <= r.Stop }) {
			c.n -= len(rows)
			delete(c.blocks, b)
		}
	}
}
