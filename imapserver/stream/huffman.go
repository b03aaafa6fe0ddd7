package stream

import "math/bits"

const (
	maxCode  = 15 // bits of the longest code (RFC 1951 §3.2.7)
	fastCode = 9  // bits of codes that a table finds at once
)

// A huffman decodes the symbols of one canonical code (RFC 1951 §3.2.2). The zero
// huffman has no symbols.
type huffman struct {
	count   [maxCode + 1]uint16   // codes of each length
	symbols [288]uint16           // by code
	fast    [1 << fastCode]uint16 // by the next bits: symbol<<4 | length; 0: a longer code, or none
}

// init makes a code from the lengths of the symbols' codes, 0 for those that do not
// occur. It reports whether there is such a code.
func (h *huffman) init(lengths []uint8) bool {
	*h = huffman{}
	for _, n := range lengths {
		h.count[n]++
	}
	used := len(lengths) - int(h.count[0])
	h.count[0] = 0
	left := 1 // codes of the length that are not yet given away
	var next, index [maxCode + 2]uint16
	for n := 1; n <= maxCode; n++ {
		left = left<<1 - int(h.count[n])
		if left < 0 {
			return false
		}
		next[n+1] = (next[n] + h.count[n]) << 1
		index[n+1] = index[n] + h.count[n]
	}
	if left > 0 && (used > 1 || used == 1 && h.count[1] == 0) {
		return false // only a lone symbol, of one bit, may leave codes unused
	}
	for sym, n := range lengths {
		if n == 0 {
			continue
		}
		h.symbols[index[n]] = uint16(sym)
		index[n]++
		code := bits.Reverse16(next[n]) >> (16 - n) // in the order of the stream
		next[n]++
		if n <= fastCode {
			for c := int(code); c < len(h.fast); c += 1 << n {
				h.fast[c] = uint16(sym)<<4 | uint16(n)
			}
		}
	}
	return true
}

// decode returns the symbol that the next bits are, and of how many bits it is: 0
// where the have bits there are do not say.
func (h *huffman) decode(next uint64, have uint) (sym int, n uint) {
	if e := h.fast[next&(1<<fastCode-1)]; e != 0 {
		if n := uint(e & 15); n <= have {
			return int(e >> 4), n
		}
		return 0, 0
	}
	code, first, index := 0, 0, 0
	for n := uint(1); n <= min(have, maxCode); n++ {
		code |= int(next & 1)
		next >>= 1
		count := int(h.count[n])
		if code-first < count {
			return int(h.symbols[index+code-first]), n
		}
		index += count
		first = (first + count) << 1
		code <<= 1
	}
	return 0, 0
}

// fixed returns the codes of a block that brings none (RFC 1951 §3.2.6).
func fixed() (lit, dist huffman) {
	var lengths [288]uint8
	for sym := range lengths {
		switch {
		case sym < 144:
			lengths[sym] = 8
		case sym < 256:
			lengths[sym] = 9
		case sym < 280:
			lengths[sym] = 7
		default:
			lengths[sym] = 8
		}
	}
	lit.init(lengths[:])
	for sym := range 32 {
		lengths[sym] = 5
	}
	dist.init(lengths[:32])
	return lit, dist
}

// codeOrder is the order of the code lengths' own code lengths.
var codeOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// readCodes reads the codes that a block brings (RFC 1951 §3.2.7).
func (i *inflater) readCodes() error {
	sizes, err := i.get(14)
	if err != nil {
		return err
	}
	nlit, ndist, ncode := int(sizes&31)+257, int(sizes>>5&31)+1, int(sizes>>10)+4
	if nlit > 286 || ndist > 30 {
		return errDeflate
	}
	var lengths [286 + 30]uint8
	for _, sym := range codeOrder[:ncode] {
		n, err := i.get(3)
		if err != nil {
			return err
		}
		lengths[sym] = uint8(n)
	}
	var code huffman
	if !code.init(lengths[:19]) {
		return errDeflate
	}
	clear(lengths[:19])
	for at := 0; at < nlit+ndist; {
		sym, used, err := i.peek(&code, 0)
		if err != nil {
			return err
		}
		i.take(used)
		if sym < 16 {
			lengths[at] = uint8(sym)
			at++
			continue
		}
		value := uint8(0)
		if sym == 16 { // the one before again
			if at == 0 {
				return errDeflate
			}
			value = lengths[at-1]
		}
		run := [3]struct{ base, bits uint }{{3, 2}, {3, 3}, {11, 7}}[sym-16]
		more, err := i.get(run.bits)
		if err != nil {
			return err
		}
		end := at + int(run.base+more)
		if end > nlit+ndist {
			return errDeflate
		}
		for ; at < end; at++ {
			lengths[at] = value
		}
	}
	if lengths[256] == 0 || !i.lit.init(lengths[:nlit]) || !i.dist.init(lengths[nlit:nlit+ndist]) {
		return errDeflate // without a code for its end, a block has none
	}
	return nil
}
