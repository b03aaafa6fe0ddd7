package imapserver

import (
	"slices"
	"testing"

	"github.com/emersion/go-imap/v2"
	"pgregory.net/rapid"
)

// uidSets are static sets of small UIDs: ascending and disjoint, touching or not.
func uidSets() *rapid.Generator[imap.UIDSet] {
	return rapid.Custom(func(t *rapid.T) imap.UIDSet {
		var set imap.UIDSet
		next := imap.UID(0)
		for range rapid.IntRange(0, 6).Draw(t, "ranges") {
			start := next + imap.UID(rapid.IntRange(1, 5).Draw(t, "gap"))
			stop := start + imap.UID(rapid.IntRange(0, 5).Draw(t, "length"))
			set = append(set, imap.UIDRange{Start: start, Stop: stop})
			next = stop
		}
		return set
	})
}

// list spells a static set out.
func list(set imap.UIDSet) (uids []imap.UID) {
	for _, r := range set {
		for u := r.Start; u <= r.Stop; u++ {
			uids = append(uids, u)
		}
	}
	return uids
}

// TestSetArithmetic compares intersect, subtract, count and chunks with what they
// mean for sets that are spelled out.
func TestSetArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := uidSets().Draw(t, "a"), uidSets().Draw(t, "b")
		in := list(b)
		var both, rest []imap.UID
		for _, u := range list(a) {
			if slices.Contains(in, u) {
				both = append(both, u)
			} else {
				rest = append(rest, u)
			}
		}
		if got := list(intersect(a, b)); !slices.Equal(got, both) {
			t.Fatalf("intersect(%v, %v) = %v, want %v", a, b, got, both)
		}
		if got := list(subtract(a, b)); !slices.Equal(got, rest) {
			t.Fatalf("subtract(%v, %v) = %v, want %v", a, b, got, rest)
		}
		if got := count(a); got != uint32(len(list(a))) {
			t.Fatalf("count(%v) = %d", a, got)
		}
		n := rapid.Uint32Range(1, 7).Draw(t, "n")
		var all []imap.UID
		for chunk := range chunks(a, n) {
			if c := count(chunk); c > n || c == 0 {
				t.Fatalf("chunk of %d, want 1 to %d", c, n)
			}
			all = append(all, list(chunk)...)
		}
		if !slices.Equal(all, list(a)) {
			t.Fatalf("chunks(%v, %d) are %v", a, n, all)
		}
	})
}

func TestSetEnds(t *testing.T) {
	top := imap.UIDSet{{Start: maxUID - 1, Stop: maxUID}}
	if got := intersect(allUIDs, top); !slices.Equal(got, top) {
		t.Errorf("intersect at the top: %v", got)
	}
	if got := subtract(allUIDs, top); !slices.Equal(got, imap.UIDSet{{Start: 1, Stop: maxUID - 2}}) {
		t.Errorf("subtract at the top: %v", got)
	}
	if got := subtract(allUIDs, allUIDs); len(got) != 0 {
		t.Errorf("subtract all: %v", got)
	}
	n := 0
	for range chunks(top, 1) {
		n++
	}
	if n != 2 {
		t.Errorf("chunks at the top: %d", n)
	}
}

func TestStatic(t *testing.T) {
	for _, test := range []struct{ in, want imap.UIDSet }{
		{imap.UIDSet{{Start: 3, Stop: 0}}, imap.UIDSet{{Start: 3, Stop: maxUID}}},
		{imap.UIDSet{{Start: 0, Stop: 0}}, imap.UIDSet{{Start: maxUID, Stop: maxUID}}},
		{imap.UIDSet{{Start: 5, Stop: 7}, {Start: 9, Stop: 0}}, imap.UIDSet{{Start: 5, Stop: 7}, {Start: 9, Stop: maxUID}}},
	} {
		if got := static(test.in); !slices.Equal(got, test.want) {
			t.Errorf("static(%v) = %v, want %v", test.in, got, test.want)
		}
	}
}
