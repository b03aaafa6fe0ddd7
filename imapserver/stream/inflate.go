package stream

import (
	"encoding/binary"
	"errors"
	"io"
)

var errDeflate = errors.New("stream: data is not DEFLATE")

const (
	// inflateSize is how much is read for uncompressing at once. It is small because
	// it stays with a connection that waits.
	inflateSize = 1 << 10
	windowSize  = 1 << 15 // how far back a match may reach (RFC 1951 §2)
)

// An inflater uncompresses what a client sends (RFC 1951).
//
// It hands over every byte as soon as the bits of it are there, which the known
// decoders do only when the writer ends a piece with an empty stored block (zlib's
// Z_SYNC_FLUSH). RFC 4978 does not ask for that: mbsync, for one, flushes with
// Z_PARTIAL_FLUSH, and would wait for ever.
//
// An error is for ever, so it must not read from something that times out.
type inflater struct {
	below  io.Reader
	unread []byte // of in
	bits   uint64 // not yet used, the next one lowest
	nbits  uint
	err    error

	step      func(*inflater) error // what comes next in the stream
	last      bool                  // in the last block
	stored    int                   // bytes left of a stored block
	lit, dist huffman               // of a compressed block

	at      int // where the next byte goes in window
	size    int // how far back there is something, at most windowSize
	waiting int // bytes before at that have not been handed over
	window  [windowSize]byte
	in      [inflateSize]byte
}

// NewInflater returns a reader that uncompresses what r gives (RFC 1951), and hands every byte over as
// soon as it can be known. Its errors stay. It keeps 34 KiB.
func NewInflater(r io.Reader) io.Reader { return newInflater(r) }

func newInflater(r io.Reader) *inflater {
	return &inflater{below: r, step: (*inflater).block}
}

// errDry stops a step that would have to wait while there is something to hand over.
// Nothing of the step has been done then.
var errDry = errors.New("stream: no more input for now")

func (i *inflater) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	// A step adds 258 bytes at most, so what waits is not overwritten.
	for i.err == nil && i.waiting < min(len(p), windowSize/2) {
		err := i.step(i)
		if err == errDry {
			break
		}
		i.err = err
	}
	if i.waiting == 0 {
		return 0, i.err
	}
	n := 0
	for n < len(p) && i.waiting > 0 {
		from := (i.at - i.waiting) & (windowSize - 1)
		k := copy(p[n:], i.window[from:min(from+i.waiting, windowSize)])
		n += k
		i.waiting -= k
	}
	return n, nil
}

// more gets eight more bits. It waits for them only if nothing waits to be handed over.
func (i *inflater) more() error {
	for len(i.unread) == 0 {
		if i.waiting > 0 {
			return errDry
		}
		n, err := i.below.Read(i.in[:])
		i.unread = i.in[:n]
		if n == 0 && err != nil {
			return err // io.EOF too: clients hang up without ending the stream
		}
	}
	i.bits |= uint64(i.unread[0]) << i.nbits
	i.nbits += 8
	i.unread = i.unread[1:]
	return nil
}

// need sees to it that there are n bits, 48 at most.
func (i *inflater) need(n uint) error {
	for i.nbits < n {
		if err := i.more(); err != nil {
			return err
		}
	}
	return nil
}

// take uses up n bits that are there.
func (i *inflater) take(n uint) uint {
	v := i.bits & (1<<n - 1)
	i.bits >>= n
	i.nbits -= n
	return uint(v)
}

// get is need and take.
func (i *inflater) get(n uint) (uint, error) {
	if err := i.need(n); err != nil {
		return 0, err
	}
	return i.take(n), nil
}

// put adds a byte to what is to be handed over.
func (i *inflater) put(c byte) {
	i.window[i.at] = c
	i.at = (i.at + 1) & (windowSize - 1)
	i.size = min(i.size+1, windowSize)
	i.waiting++
}

// block reads the header of a block (RFC 1951 §3.2.3).
func (i *inflater) block() error {
	if i.waiting > 0 {
		return errDry // a header cannot be given up half-way
	}
	if i.last {
		return io.EOF
	}
	head, err := i.get(3)
	if err != nil {
		return err
	}
	i.last = head&1 != 0
	switch head >> 1 {
	case 0:
		return i.beginStored()
	case 1:
		i.lit, i.dist = fixed()
	case 2:
		if err := i.readCodes(); err != nil {
			return err
		}
	default:
		return errDeflate
	}
	i.step = (*inflater).symbol
	return nil
}

// beginStored reads the length of a stored block (RFC 1951 §3.2.4).
func (i *inflater) beginStored() error {
	i.take(i.nbits & 7)
	if err := i.need(32); err != nil {
		return err
	}
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], uint32(i.take(32)))
	length, check := binary.LittleEndian.Uint16(b[:]), binary.LittleEndian.Uint16(b[2:])
	if length != ^check {
		return errDeflate
	}
	i.stored = int(length)
	i.step = (*inflater).copyStored
	return nil
}

func (i *inflater) copyStored() error {
	if i.stored == 0 {
		i.step = (*inflater).block
		return nil
	}
	c, err := i.get(8)
	if err != nil {
		return err
	}
	i.put(byte(c))
	i.stored--
	return nil
}

// What a length or a distance symbol begins at, and how many bits follow it (RFC 1951 §3.2.5).
var (
	lengthBase = [29]uint16{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthMore = [29]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distBase   = [30]uint16{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distMore   = [30]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
)

// symbol does one symbol of a compressed block: a byte, a match, or the block's end.
// Bits are used up only when all of it is there.
func (i *inflater) symbol() error {
	sym, used, err := i.peek(&i.lit, 0)
	if err != nil {
		return err
	}
	switch {
	case sym < 256:
		i.take(used)
		i.put(byte(sym))
		return nil
	case sym == 256:
		i.take(used)
		i.step = (*inflater).block
		return nil
	case sym-257 >= len(lengthBase):
		return errDeflate
	}
	length, used, err := i.extra(lengthBase[sym-257], lengthMore[sym-257], used)
	if err != nil {
		return err
	}
	sym, used, err = i.peek(&i.dist, used)
	if err != nil {
		return err
	}
	if sym >= len(distBase) {
		return errDeflate
	}
	back, used, err := i.extra(distBase[sym], distMore[sym], used)
	if err != nil {
		return err
	}
	if back > i.size {
		return errDeflate
	}
	i.take(used)
	for range length {
		i.put(i.window[(i.at-back)&(windowSize-1)])
	}
	return nil
}

// peek decodes the symbol behind the first used bits, and returns it and how many
// bits are used then.
func (i *inflater) peek(h *huffman, used uint) (sym int, now uint, err error) {
	for {
		sym, n := h.decode(i.bits>>used, i.nbits-used)
		if n > 0 {
			return sym, used + n, nil
		}
		if i.nbits-used >= maxCode {
			return 0, 0, errDeflate // no code begins like that
		}
		if err := i.need(i.nbits + 1); err != nil {
			return 0, 0, err
		}
	}
}

// extra is base plus the n bits behind the first used ones.
func (i *inflater) extra(base uint16, n uint8, used uint) (v int, now uint, err error) {
	now = used + uint(n)
	if err := i.need(now); err != nil {
		return 0, 0, err
	}
	return int(base) + int(i.bits>>used&(1<<n-1)), now, nil
}
