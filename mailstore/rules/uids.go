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
