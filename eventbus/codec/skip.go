package codec

import (
	"encoding/binary"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// skip passes over n values of whatever type. The library's Skip calls itself for each level of nesting; this does not.
func (u *unpacker) skip(n int) {
	for ; n > 0 && !u.failed; n-- {
		inside, bytes := u.size()
		if u.check(inside <= u.r.Len() && bytes <= u.r.Len()); u.failed {
			return
		}
		u.next(bytes)
		n += inside
		// More values than bytes cannot come; this also keeps n from growing beyond what an int holds.
		u.check(n-1 <= u.r.Len())
	}
}

// size reads the head of a value and returns how many values are inside it and how many bytes follow that are none.
func (u *unpacker) size() (inside, bytes int) {
	code, err := u.r.ReadByte()
	if u.check(err == nil); u.failed {
		return 0, 0
	}
	switch {
	case msgpcode.IsFixedNum(code):
		return 0, 0
	case msgpcode.IsFixedMap(code):
		return 2 * int(code&msgpcode.FixedMapMask), 0
	case msgpcode.IsFixedArray(code):
		return int(code & msgpcode.FixedArrayMask), 0
	case msgpcode.IsFixedString(code):
		return 0, int(code & msgpcode.FixedStrMask)
	}
	switch code {
	case msgpcode.Nil, msgpcode.False, msgpcode.True:
		return 0, 0
	case msgpcode.Uint8, msgpcode.Int8:
		return 0, 1
	case msgpcode.Uint16, msgpcode.Int16:
		return 0, 2
	case msgpcode.Uint32, msgpcode.Int32, msgpcode.Float:
		return 0, 4
	case msgpcode.Uint64, msgpcode.Int64, msgpcode.Double:
		return 0, 8
	case msgpcode.FixExt1, msgpcode.FixExt2, msgpcode.FixExt4, msgpcode.FixExt8, msgpcode.FixExt16:
		return 0, 1 + 1<<(code-msgpcode.FixExt1)
	case msgpcode.Str8, msgpcode.Bin8:
		return 0, u.length(1)
	case msgpcode.Str16, msgpcode.Bin16:
		return 0, u.length(2)
	case msgpcode.Str32, msgpcode.Bin32:
		return 0, u.length(4)
	case msgpcode.Ext8:
		return 0, 1 + u.length(1)
	case msgpcode.Ext16:
		return 0, 1 + u.length(2)
	case msgpcode.Ext32:
		return 0, 1 + u.length(4)
	case msgpcode.Array16:
		return u.length(2), 0
	case msgpcode.Array32:
		return u.length(4), 0
	case msgpcode.Map16:
		return 2 * u.length(2), 0
	case msgpcode.Map32:
		return 2 * u.length(4), 0
	}
	u.failed = true
	return 0, 0
}

// length reads a length of n bytes.
func (u *unpacker) length(n int) int {
	if u.check(n <= u.r.Len()); u.failed {
		return 0
	}
	var wide [8]byte
	copy(wide[len(wide)-n:], u.next(n))
	return int(min(binary.BigEndian.Uint64(wide[:]), MaxFrame+1)) // more than can be left
}
