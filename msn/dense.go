package msn

import "math/bits"

const (
	blockShift = 9                // a block is 512 UIDs
	blockWords = 1 << (9 - 6)     // 64-bit words in a block
	maxBlocks  = 64               // blocks in a dense segment: 32,768 UIDs, so that counts fit 16 bits
	blockBytes = blockWords*8 + 2 // memory of one block with its count
)

// dense is a bitmap of consecutive blocks. Its segment knows where the first of them starts.
type dense struct {
	bits   []uint64        // blockWords for each block
	counts fenwick[uint16] // live UIDs in each block
}

// newDense returns a bitmap of the given UIDs, all of which are in the given number of blocks from base.
func newDense(base uint32, blocks int, uids []uint32) *dense {
	d := &dense{bits: make([]uint64, blocks*blockWords), counts: make(fenwick[uint16], blocks)}
	for _, u := range uids {
		d.add(u - base)
	}
	return d
}

// blocks returns how many blocks the bitmap covers.
func (d *dense) blocks() int { return len(d.counts) }

// extend makes the bitmap cover n blocks.
func (d *dense) extend(n int) {
	// Growing by an eighth keeps the slack small: a node holds many mailboxes and each has one segment that grows.
	if want := n * blockWords; want > cap(d.bits) {
		room := min(n+n/8, maxBlocks)
		d.bits = append(make([]uint64, 0, room*blockWords), d.bits...)
		d.counts = append(make(fenwick[uint16], 0, room), d.counts...)
	}
	d.bits = d.bits[:n*blockWords]
	for len(d.counts) < n {
		d.counts = d.counts.push(0)
	}
}

// contains says whether the UID at offset o is live.
func (d *dense) contains(o uint32) bool {
	return d.bits[o>>6]&(1<<(o&63)) != 0
}

// add sets the UID at offset o, which must not be live.
func (d *dense) add(o uint32) {
	d.bits[o>>6] |= 1 << (o & 63)
	d.counts.add(int(o>>blockShift), 1)
}

// remove clears the UID at offset o, which must be live.
func (d *dense) remove(o uint32) {
	d.bits[o>>6] &^= 1 << (o & 63)
	d.counts.add(int(o>>blockShift), ^uint16(0))
}

// rank returns how many live UIDs are at offsets up to and including o.
func (d *dense) rank(o uint32) uint32 {
	b := o >> blockShift
	n := uint32(d.counts.sum(int(b)))
	for w := b * blockWords; w < o>>6; w++ {
		n += uint32(bits.OnesCount64(d.bits[w]))
	}
	return n + uint32(bits.OnesCount64(d.bits[o>>6]<<(63-o&63)))
}

// at returns the offset of the k-th live UID, from 0; there must be more than k.
func (d *dense) at(k uint32) uint32 {
	b, rest := d.counts.find(uint16(k))
	for w := b * blockWords; ; w++ {
		word := d.bits[w]
		if c := bits.OnesCount64(word); int(rest) >= c {
			rest -= uint16(c)
			continue
		}
		for ; rest > 0; rest-- {
			word &= word - 1
		}
		return uint32(w)<<6 + uint32(bits.TrailingZeros64(word))
	}
}

// clone returns a copy without slack.
func (d *dense) clone() *dense {
	return &dense{
		bits:   append(make([]uint64, 0, len(d.bits)), d.bits...),
		counts: append(make(fenwick[uint16], 0, len(d.counts)), d.counts...),
	}
}

// appendTo appends the live UIDs to uids.
func (d *dense) appendTo(uids []uint32, base uint32) []uint32 {
	for w, b := range d.bits {
		for ; b != 0; b &= b - 1 {
			uids = append(uids, base+uint32(w)<<6+uint32(bits.TrailingZeros64(b)))
		}
	}
	return uids
}
