package imapserver

import (
	"cmp"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// Sets here are static, ascending and disjoint, as the decoder, the store and the
// tracker give them.

// intersect returns the UIDs that are in a and in b.
func intersect(a, b imap.UIDSet) imap.UIDSet {
	var both imap.UIDSet
	for len(a) > 0 && len(b) > 0 {
		lo, hi := max(a[0].Start, b[0].Start), min(a[0].Stop, b[0].Stop)
		if lo <= hi {
			both = append(both, imap.UIDRange{Start: lo, Stop: hi})
		}
		if a[0].Stop < b[0].Stop {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return both
}

// subtract returns the UIDs that are in a but not in b.
func subtract(a, b imap.UIDSet) imap.UIDSet {
	var rest imap.UIDSet
	for _, r := range a {
		for len(b) > 0 && b[0].Stop < r.Start {
			b = b[1:]
		}
		start, open := r.Start, true
		for i := 0; i < len(b) && b[i].Start <= r.Stop; i++ {
			if b[i].Start > start {
				rest = append(rest, imap.UIDRange{Start: start, Stop: b[i].Start - 1})
			}
			if b[i].Stop >= r.Stop {
				open = false
				break
			}
			start = b[i].Stop + 1
		}
		if open {
			rest = append(rest, imap.UIDRange{Start: start, Stop: r.Stop})
		}
	}
	return rest
}

// changedBy returns the messages that a change added or flagged.
func changedBy(c *mailbox.Change) imap.UIDSet {
	set := slices.Clone(c.Added)
	for _, f := range c.Flags {
		set = append(set, f.UIDs...)
	}
	return merge(set)
}

// static returns set, as a client wrote it, with "*" for the highest UID there can
// be: for sets that speak of messages which need not exist.
func static(set imap.UIDSet) imap.UIDSet {
	out := slices.Clone(set)
	for i, r := range out {
		if r.Start == 0 {
			r.Start = maxUID
		}
		if r.Stop == 0 {
			r.Stop = maxUID
		}
		out[i] = imap.UIDRange{Start: min(r.Start, r.Stop), Stop: max(r.Start, r.Stop)}
	}
	return merge(out)
}

// merge makes ranges in any order a set, in place.
func merge(set imap.UIDSet) imap.UIDSet {
	slices.SortFunc(set, func(a, b imap.UIDRange) int { return cmp.Compare(a.Start, b.Start) })
	merged := set[:0]
	for _, r := range set {
		if k := len(merged) - 1; k >= 0 && r.Start <= merged[k].Stop {
			merged[k].Stop = max(merged[k].Stop, r.Stop)
		} else {
			merged = append(merged, r)
		}
	}
	return merged
}
