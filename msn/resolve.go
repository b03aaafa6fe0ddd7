package msn

import (
	"cmp"
	"slices"

	"github.com/emersion/go-imap/v2"
)

// A Selection is what a set in a command means to the client that sent it. It is made once, when the command starts.
type Selection struct {
	Live   imap.UIDSet // messages that are there, ascending
	Gone   imap.UIDSet // messages that the client still counts, but that were expunged, ascending
	Beyond bool        // the set names a number that the client cannot know (RFC 9051 §9, seq-number): an error
}

// Resolve returns what set means. `*` is the last message that the client was told of. Ranges may come in any order and overlap,
// and their ends too may be in any order. What is beyond the last message is left out of the Selection, which says so.
func (v *View) Resolve(x *Index, set imap.SeqSet) Selection {
	var sel Selection
	count := v.Count(x)
	spans := make([]span, 0, len(set))
	for _, r := range set {
		s := spanOf(r.Start, r.Stop, count)
		if s.hi > count || s.lo == 0 {
			sel.Beyond = true
		}
		s.lo, s.hi = max(s.lo, 1), min(s.hi, count)
		spans = append(spans, s)
	}
	for _, s := range union(spans) {
		lo, _, _ := v.UID(x, s.lo)
		hi, _, _ := v.UID(x, s.hi)
		v.appendTo(&sel, x, lo, hi)
	}
	return sel
}

// ResolveUIDs returns what set means. `*` is the last message that the client was told of, so that n:* always has it, even if
// its UID is less than n (RFC 9051 §6.4.9). UIDs that do not exist, or of which the client was not told, are left out. A
// set that stands for a saved search result must be replaced before.
func (v *View) ResolveUIDs(x *Index, set imap.UIDSet) Selection {
	var sel Selection
	last, _, ok := v.UID(x, v.Count(x))
	if !ok {
		return sel
	}
	spans := make([]span, 0, len(set))
	for _, r := range set {
		s := spanOf(uint32(r.Start), uint32(r.Stop), uint32(last))
		s.hi = min(s.hi, uint32(v.told))
		spans = append(spans, s)
	}
	for _, s := range union(spans) {
		v.appendTo(&sel, x, imap.UID(s.lo), imap.UID(s.hi))
	}
	return sel
}

// appendTo appends the told UIDs from lo to hi.
func (v *View) appendTo(sel *Selection, x *Index, lo, hi imap.UID) {
	sel.Live = x.AppendRuns(sel.Live, lo, hi)
	sel.Gone = v.pending.appendRuns(sel.Gone, lo, hi)
}

// A span is a range of numbers or UIDs without `*`; it is empty if lo > hi.
type span struct{ lo, hi uint32 }

// spanOf returns the span of a range with ends in any order, where 0 means `*`.
func spanOf(a, b, star uint32) span {
	if a == 0 {
		a = star
	}
	if b == 0 {
		b = star
	}
	return span{min(a, b), max(a, b)}
}

// union sorts the spans and joins those that touch or overlap. Empty ones are dropped.
func union(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.lo, b.lo) })
	joined := spans[:0]
	for _, s := range spans {
		n := len(joined)
		switch {
		case s.lo > s.hi:
		case n > 0 && joined[n-1].hi >= s.lo-1:
			joined[n-1].hi = max(joined[n-1].hi, s.hi)
		default:
			joined = append(joined, s)
		}
	}
	return joined
}
