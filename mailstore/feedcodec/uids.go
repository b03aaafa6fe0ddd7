package feedcodec

import (
	"encoding/binary"
	"errors"

	"github.com/emersion/go-imap/v2"
)

// ErrEncoding says that bytes are not what this version writes.
var ErrEncoding = errors.New("bytes that this version does not understand")

// AppendUIDs writes a static set of UIDs: the number of ranges, then for each
// the distance of its start from the last one's end, and its length less one.
func AppendUIDs(dst []byte, set imap.UIDSet) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(set)))
	last := imap.UID(0)
	for _, r := range set {
		dst = binary.AppendUvarint(dst, uint64(r.Start-last))
		dst = binary.AppendUvarint(dst, uint64(r.Stop-r.Start))
		last = r.Stop
	}
	return dst
}

// DecodeUIDs reads what AppendUIDs wrote, and no more. An empty set is nil. Its
// error is ErrEncoding.
func DecodeUIDs(b []byte) (imap.UIDSet, error) {
	d := &decoder{b: b}
	set := d.uids()
	if d.failed || len(d.b) > 0 {
		return nil, ErrEncoding
	}
	return set, nil
}

// uids reads what AppendUIDs wrote; an empty set is nil.
func (d *decoder) uids() imap.UIDSet {
	n := d.uvarint()
	if n > uint64(len(d.b)/2) { // two bytes a range at least
		d.failed = true
		return nil
	}
	if n == 0 {
		return nil
	}
	set := make(imap.UIDSet, 0, n)
	last := uint64(0)
	for range n {
		start := last + d.uvarint()
		stop := start + d.uvarint()
		if start <= last || stop < start || stop > 1<<32-1 {
			d.failed = true
		}
		if d.failed {
			return nil
		}
		set = append(set, imap.UIDRange{Start: imap.UID(start), Stop: imap.UID(stop)})
		last = stop
	}
	return set
}
