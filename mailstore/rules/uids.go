package rules

import "github.com/emersion/go-imap/v2"

// AddUID adds a UID above all that are in the set.
func AddUID(set *imap.UIDSet, uid imap.UID) {
	if n := len(*set); n > 0 && (*set)[n-1].Stop+1 == uid {
		(*set)[n-1].Stop = uid
		return
	}
	*set = append(*set, imap.UIDRange{Start: uid, Stop: uid})
}

// CountUIDs returns how many UIDs a static set has.
func CountUIDs(set imap.UIDSet) (n uint64) {
	for _, r := range set {
		n += uint64(r.Stop-r.Start) + 1
	}
	return n
}

// Overlap reports whether two sets, of ascending ranges, have a UID in common.
func Overlap(a, b imap.UIDSet) bool {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].Stop < b[0].Start:
			a = a[1:]
		case b[0].Stop < a[0].Start:
			b = b[1:]
		default:
			return true
		}
	}
	return false
}
