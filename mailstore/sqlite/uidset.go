package sqlite

import (
	"encoding/binary"
	"errors"

	"github.com/emersion/go-imap/v2"
)

var errEncoding = errors.New("bytes that this version does not understand")

// appendUIDs writes a static set of UIDs: the number of ranges, then for each
// the distance of its start from the last one's end, and its length less one.
func appendUIDs(dst []byte, set imap.UIDSet) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(set)))
	last := imap.UID(0)
	for _, r := range set {
		dst = binary.AppendUvarint(dst, uint64(r.Start-last))
		dst = binary.AppendUvarint(dst, uint64(r.Stop-r.Start))
		last = r.Stop
	}
	return dst
}

// uids reads what appendUIDs wrote; an empty set is nil.
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

// addUID adds a UID above all that are in the set.
func addUID(set *imap.UIDSet, uid imap.UID) {
	if n := len(*set); n > 0 && (*set)[n-1].Stop+1 == uid {
		(*set)[n-1].Stop = uid
		return
	}
	*set = append(*set, imap.UIDRange{Start: uid, Stop: uid})
}

// countUIDs returns how many UIDs a static set has.
func countUIDs(set imap.UIDSet) (n uint64) {
	for _, r := range set {
		n += uint64(r.Stop-r.Start) + 1
	}
	return n
}
