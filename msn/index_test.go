package msn

import (
	"math"
	"slices"
	"testing"

	"github.com/emersion/go-imap/v2"
	"pgregory.net/rapid"
)

// naiveIndex is the obvious Index: a sorted slice.
type naiveIndex []imap.UID

func (s *naiveIndex) add(uid imap.UID) bool {
	i, has := slices.BinarySearch(*s, uid)
	if has || uid == 0 {
		return false
	}
	*s = slices.Insert(*s, i, uid)
	return true
}

func (s *naiveIndex) remove(uid imap.UID) bool {
	i, has := slices.BinarySearch(*s, uid)
	if has {
		*s = slices.Delete(*s, i, i+1)
	}
	return has
}

func (s naiveIndex) rank(uid imap.UID) uint32 {
	i, has := slices.BinarySearch(s, uid)
	if has {
		i++
	}
	return uint32(i)
}

// failer is what *testing.T and *rapid.T share.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// indexes is an Index beside its model.
type indexes struct {
	fast    Index
	slow    naiveIndex
	highest imap.UID
	at      imap.UID // where the history is at work
}

// step does one thing that a mailbox's history may do.
func (w *indexes) step(t failer, next source) {
	t.Helper()
	switch next(10) {
	case 0: // go on elsewhere, also at the ends of the UID space
		w.at = []imap.UID{0, 1, 500, 70000, math.MaxUint32 - 3000, math.MaxUint32}[next(6)]
	case 1, 2: // messages come, without gaps
		w.run(t, w.at, 1+next(700), 1)
	case 3: // with small gaps
		w.run(t, w.at, 1+next(300), 1+next(20))
	case 4: // with large gaps
		w.run(t, w.at, 1+next(200), 1+next(20000))
	case 5: // in any order
		for range next(200) {
			w.add(t, w.at+imap.UID(next(5000)))
		}
	case 6: // one goes
		if len(w.slow) > 0 {
			w.remove(t, w.slow[next(len(w.slow))])
		}
	case 7: // one that was never there goes
		w.remove(t, w.at+imap.UID(next(1000)))
	case 8: // many in a row go
		w.thin(t, 1, next)
	case 9: // most go
		w.thin(t, 2+next(40), next)
	}
}

// run adds n UIDs, each by after the one before it.
func (w *indexes) run(t failer, from imap.UID, n, by int) {
	t.Helper()
	for range n {
		w.add(t, from)
		if from > math.MaxUint32-imap.UID(by) {
			return
		}
		from += imap.UID(by)
	}
	w.at = from
}

// thin removes up to 1,000 UIDs in a row, but leaves each keep-th (none if keep is 1).
func (w *indexes) thin(t failer, keep int, next source) {
	t.Helper()
	if len(w.slow) == 0 {
		return
	}
	from := next(len(w.slow))
	for i, uid := range slices.Clone(w.slow[from:min(len(w.slow), from+1+next(1000))]) {
		if keep == 1 || i%keep != 0 {
			w.remove(t, uid)
		}
	}
}

func (w *indexes) add(t failer, uid imap.UID) {
	t.Helper()
	w.highest = max(w.highest, uid)
	if got, want := w.fast.Add(uid), w.slow.add(uid); got != want {
		t.Fatalf("Add(%d) = %v, want %v", uid, got, want)
	}
}

func (w *indexes) remove(t failer, uid imap.UID) {
	t.Helper()
	if got, want := w.fast.Remove(uid), w.slow.remove(uid); got != want {
		t.Fatalf("Remove(%d) = %v, want %v", uid, got, want)
	}
}

// compare fails unless both say the same, and the Index keeps its own rules.
func (w *indexes) compare(t failer, next source) {
	t.Helper()
	checkRules(t, &w.fast)
	if got := w.fast.AppendUIDs(nil); !slices.Equal(got, w.slow) {
		t.Fatalf("UIDs = %v, want %v", got, w.slow)
	}
	if w.fast.Highest() != w.highest {
		t.Fatalf("Highest = %d, want %d", w.fast.Highest(), w.highest)
	}
	if n := len(w.slow); n > 0 && w.fast.Max() != w.slow[n-1] || n == 0 && w.fast.Max() != 0 {
		t.Fatalf("Max = %d", w.fast.Max())
	}
	for k := range 30 {
		uid := w.at + imap.UID(next(3000)) - 1500
		if len(w.slow) > 0 && k%2 == 0 {
			i := next(len(w.slow))
			uid = w.slow[i]
			if got, ok := w.fast.UID(uint32(i) + 1); got != uid || !ok {
				t.Fatalf("UID(%d) = %d, %v, want %d", i+1, got, ok, uid)
			}
		}
		if got, want := w.fast.Rank(uid), w.slow.rank(uid); got != want {
			t.Fatalf("Rank(%d) = %d, want %d", uid, got, want)
		}
		if _, want := slices.BinarySearch(w.slow, uid); w.fast.Contains(uid) != want {
			t.Fatalf("Contains(%d) = %v", uid, !want)
		}
		hi := uid + imap.UID(next(3000))
		var want []imap.UID
		if hi >= uid {
			from, _ := slices.BinarySearch(w.slow, uid)
			want = w.slow[from:w.slow.rank(hi)]
		}
		if got := slices.Collect(w.fast.Range(uid, hi)); !slices.Equal(got, want) {
			t.Fatalf("Range(%d, %d) = %v, want %v", uid, hi, got, want)
		}
		if got := expand(t, w.fast.AppendRuns(nil, uid, hi)); !slices.Equal(got, want) {
			t.Fatalf("AppendRuns(%d, %d) = %v, want %v", uid, hi, got, want)
		}
	}
	if n := uint32(len(w.slow)); w.fast.Len() != n {
		t.Fatalf("Len = %d, want %d", w.fast.Len(), n)
	} else if _, ok := w.fast.UID(n + 1); ok {
		t.Fatalf("there is a UID after the last")
	}
	if _, ok := w.fast.UID(0); ok {
		t.Fatalf("there is a UID number 0")
	}
}

// checkRules fails if x breaks a rule that its own code relies on.
func checkRules(t failer, x *Index) {
	t.Helper()
	var total uint32
	var room listing
	for i := range x.segs {
		s := &x.segs[i]
		span := uint32(math.MaxUint32>>blockShift) - s.first + 1
		if i+1 < len(x.segs) {
			span = x.segs[i+1].first - s.first
		}
		switch {
		case s.n == 0:
			t.Fatalf("segment %d is empty", i)
		case span == 0 || span > math.MaxUint32>>blockShift+1:
			t.Fatalf("segment %d does not come before the next", i)
		case s.bitmap == nil && s.n > maxSparse:
			t.Fatalf("list %d has %d UIDs", i, s.n)
		case s.bitmap == nil && s.uids(&room)[s.n-1] != s.last:
			t.Fatalf("list %d: last is %d", i, s.last)
		case s.bitmap == nil && s.last>>blockShift-s.first >= span:
			t.Fatalf("list %d shares a block with the next segment", i)
		case s.bitmap != nil && (s.bitmap.blocks() > maxBlocks || uint32(s.bitmap.blocks()) > span):
			t.Fatalf("bitmap %d has %d blocks in a span of %d", i, s.bitmap.blocks(), span)
		}
		if got := x.counts.sum(i+1) - x.counts.sum(i); got != s.n {
			t.Fatalf("segment %d has %d UIDs, counts say %d", i, s.n, got)
		}
		total += s.n
	}
	if total != x.n || len(x.counts) != len(x.segs) {
		t.Fatalf("%d segments with %d UIDs, counted as %d with %d", len(x.segs), total, len(x.counts), x.n)
	}
}

// expand returns the UIDs of set and fails if it is not ascending or not as short as it can be.
func expand(t failer, set imap.UIDSet) []imap.UID {
	t.Helper()
	var uids []imap.UID
	for i, r := range set {
		if r.Start == 0 || r.Start > r.Stop || i > 0 && r.Start <= set[i-1].Stop+1 {
			t.Fatalf("bad set %v", set)
		}
		for u := uint64(r.Start); u <= uint64(r.Stop); u++ {
			uids = append(uids, imap.UID(u))
		}
	}
	return uids
}

func TestIndexAgainstSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w indexes
		next := fromRapid(t)
		for range 1 + next(25) {
			w.step(t, next)
			w.compare(t, next)
		}
		c := w.fast.Clone()
		if got := c.AppendUIDs(nil); !slices.Equal(got, w.slow) {
			t.Fatalf("Clone = %v, want %v", got, w.slow)
		}
		for _, uid := range c.AppendUIDs(nil) {
			c.Remove(uid)
		}
		c.Add(7)
		w.compare(t, next) // shares nothing with its clone
	})
}

func FuzzIndex(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		var w indexes
		next, more := fromBytes(b)
		for range 40 {
			if !more() {
				break
			}
			w.step(t, next)
			if next(4) == 0 {
				w.compare(t, next)
			}
		}
		w.compare(t, next)
	})
}

func TestMinus(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a indexes
		next := fromRapid(t)
		for range 1 + next(8) {
			a.step(t, next)
		}
		b := indexes{fast: *a.fast.Clone(), slow: slices.Clone(a.slow)}
		for range next(6) {
			a.step(t, next)
			b.step(t, next)
		}
		for _, p := range [][2]*indexes{{&a, &b}, {&b, &a}} {
			var want []imap.UID
			for _, uid := range p[0].slow {
				if _, has := slices.BinarySearch(p[1].slow, uid); !has {
					want = append(want, uid)
				}
			}
			if got := expand(t, p[0].fast.Minus(&p[1].fast)); !slices.Equal(got, want) {
				t.Fatalf("Minus = %v, want %v", got, want)
			}
		}
	})
}

// TestIndexForms shows that both forms of a segment are taken and left, and that iteration can stop anywhere.
func TestIndexForms(t *testing.T) {
	var x Index
	x.AddRange(1, 100000)
	if len(x.segs) > 5 || x.segs[1].bitmap == nil {
		t.Fatalf("100,000 UIDs without gaps make %d segments", len(x.segs))
	}
	for uid := imap.UID(1); uid <= 100000; uid++ {
		if uid%10000 != 0 {
			x.Remove(uid)
		}
	}
	if len(x.segs) != 1 || x.segs[0].bitmap != nil {
		t.Fatalf("10 UIDs that are left make %d segments", len(x.segs))
	}
	n := 0
	for uid := range x.All() {
		if n++; uid == 30000 {
			break
		}
	}
	if n != 3 {
		t.Errorf("stopped after %d UIDs, want 3", n)
	}
	for _, uid := range x.AppendUIDs(nil) {
		x.Remove(uid)
	}
	if x.Len() != 0 || len(x.segs) != 0 || x.Max() != 0 || x.Highest() != 100000 {
		t.Errorf("emptied: %d UIDs in %d segments, max %d, highest %d", x.Len(), len(x.segs), x.Max(), x.Highest())
	}
	x.Saw(200000)
	x.Saw(1)
	if x.Highest() != 200000 {
		t.Errorf("Highest = %d, want 200000", x.Highest())
	}
}

// TestIndexMemory holds the sizes that the node's memory is planned with.
func TestIndexMemory(t *testing.T) {
	for _, tc := range []struct {
		name     string
		n        int
		from, by imap.UID
		most     int // bytes
	}{
		{"empty", 0, 1, 1, 64},
		{"one", 1, 4711, 1, 128},
		{"100 without gaps", 100, 1, 1, 512},
		{"300, each tenth", 300, 1, 10, 600},
		{"300, each hundredth", 300, 1, 100, 600},
		{"100,000 without gaps", 100000, 1, 1, 14 << 10},
		{"100,000, each third", 100000, 1, 3, 45 << 10},
		{"1,000,000 without gaps", 1000000, 1, 1, 140 << 10},
		{"giant, each 10,000th of all UIDs", 429496, 1, 10000, 4 * 429496},
		{"giant, each 1,000,000th of all UIDs", 4294, math.MaxUint32 - 4294*1000000, 1000000, 5 * 4294},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var x Index
			for i := range tc.n {
				x.Add(tc.from + imap.UID(i)*tc.by)
			}
			checkRules(t, &x)
			if got := x.Bytes(); got > tc.most {
				t.Errorf("%d bytes, want at most %d", got, tc.most)
			}
			t.Logf("%d bytes in %d segments, %.2f per UID", x.Bytes(), len(x.segs), float64(x.Bytes())/float64(max(tc.n, 1)))
		})
	}
}
