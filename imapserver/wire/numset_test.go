package wire

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"pgregory.net/rapid"
)

// numSet reads a set that is all of in.
func numSet(in string, uid bool) (imap.NumSet, error) {
	d := &Decoder{seg: []byte(in), open: true}
	set, err := d.NumSet(uid)
	if err == nil {
		err = d.End()
	}
	return set, err
}

func TestNumSet_RFC9051_9(t *testing.T) {
	const last = math.MaxUint32
	for in, want := range map[string]imap.SeqSet{
		"1":                     seqs(1, 1),
		"*":                     seqs(0, 0),
		"2:4":                   seqs(2, 4),
		"4:2":                   seqs(2, 4),
		"4:4":                   seqs(4, 4),
		"5:*":                   seqs(5, 0),
		"*:5":                   seqs(5, 0),
		"*:*":                   seqs(0, 0),
		"1,2,3":                 seqs(1, 3),
		"3,2,1":                 seqs(1, 3),
		"1,3":                   {{Start: 1, Stop: 1}, {Start: 3, Stop: 3}},
		"3,1,3":                 {{Start: 1, Stop: 1}, {Start: 3, Stop: 3}},
		"1:9,2:3,20":            {{Start: 1, Stop: 9}, {Start: 20, Stop: 20}},
		"*,7":                   {{Start: 7, Stop: 7}, {Start: 0, Stop: 0}},
		"*,*":                   seqs(0, 0),
		"5:*,*,7:9,6":           seqs(5, 0),
		"5:*,4":                 seqs(4, 0),
		"5:*,1":                 {{Start: 1, Stop: 1}, {Start: 5, Stop: 0}},
		"4294967295,4294967294": seqs(last-1, last),
		"4294967295:*,1":        {{Start: 1, Stop: 1}, {Start: last, Stop: 0}},
		"4294967295,*":          {{Start: last, Stop: last}, {Start: 0, Stop: 0}},
	} {
		if got, err := numSet(in, false); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "0", "01", "1:", ":1", "1,", ",1", "1,,2", "1:2:3", "4294967296", "-1", "a", "1 ", "$,1", "1,$", "**", "1*"} {
		for _, uid := range []bool{false, true} {
			if got, err := numSet(in, uid); err == nil {
				t.Errorf("%q: %v, want an error", in, got)
			}
		}
	}
	if got, err := numSet("$", false); err != nil || !imap.IsSearchRes(got) {
		t.Errorf("$: %v, %v", got, err)
	}
	if s := encode(false, func(e *Encoder) { e.NumSet(imap.SearchRes()) }); s != "$" {
		t.Errorf("$ is written as %q", s)
	}
	if got, err := numSet("2:4", true); err != nil || !reflect.DeepEqual(got, uids(2, 4)) {
		t.Errorf("2:4: %v, %v", got, err)
	}
}

// A set holds what go-imap's slower insertion gives, is in normal form, and
// comes back the same from the Encoder.
func TestNumSetAgainstModel(t *testing.T) {
	number := rapid.OneOf(rapid.Uint32Range(0, 12), rapid.Uint32Range(math.MaxUint32-4, math.MaxUint32))
	rapid.Check(t, func(t *rapid.T) {
		var items []string
		var want imap.SeqSet
		for range rapid.IntRange(1, 12).Draw(t, "n") {
			start, stop := number.Draw(t, "start"), number.Draw(t, "stop")
			items = append(items, star(start)+":"+star(stop))
			want.AddRange(start, stop)
		}
		got, err := numSet(strings.Join(items, ","), false)
		if err != nil {
			t.Fatal(err)
		}
		set := got.(imap.SeqSet)
		for n := uint32(1); n <= 14; n++ {
			for _, n := range []uint32{n, math.MaxUint32 - 14 + n} {
				if set.Contains(n) != want.Contains(n) {
					t.Fatalf("%v and %v differ in %d", set, want, n)
				}
			}
		}
		if set.Dynamic() != want.Dynamic() {
			t.Fatalf("%v and %v differ in *", set, want)
		}
		checkSet(t, set)
	})
}

func star(n uint32) string {
	if n == 0 {
		return "*"
	}
	return strconv.FormatUint(uint64(n), 10)
}

// checkSet checks the normal form of set and its way through the Encoder.
func checkSet(t interface{ Fatalf(string, ...any) }, set imap.SeqSet) {
	for i, r := range set {
		switch {
		case r.Stop != 0 && (r.Start > r.Stop || r.Start == 0):
			t.Fatalf("%v: bad range", set)
		case r.Stop == 0 && i != len(set)-1:
			t.Fatalf("%v: * is not last", set)
		case i > 0 && r.Start != 0 && (set[i-1].Stop >= r.Start || r.Start-set[i-1].Stop == 1):
			t.Fatalf("%v: not sorted or not merged", set)
		}
	}
	var e Encoder
	e.SeqSet(set)
	if again, err := numSet(string(e.Buf), false); err != nil || !reflect.DeepEqual(again, set) {
		t.Fatalf("%v is written as %s and read as %v, %v", set, e.Buf, again, err)
	}
}

func FuzzNumSet(f *testing.F) {
	for _, s := range []string{"1", "*", "$", "1:*", "*:3,1", "4294967295,1:5,3", "0", "1,,2", "5:4:3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		set, err := numSet(in, false)
		asUIDs, errUIDs := numSet(in, true)
		if (err == nil) != (errUIDs == nil) {
			t.Fatalf("%q: %v as numbers, %v as UIDs", in, err, errUIDs)
		}
		if err != nil || imap.IsSearchRes(set) {
			return
		}
		checkSet(t, set.(imap.SeqSet))
		if set.String() != asUIDs.String() {
			t.Fatalf("%q: %v as numbers, %v as UIDs", in, set, asUIDs)
		}
	})
}

// A line full of descending numbers takes no longer than one of ascending ones, more or less.
func BenchmarkNumSet(b *testing.B) {
	var desc strings.Builder
	for i := 30000; i > 0; i -= 2 {
		fmt.Fprintf(&desc, "%d,", i)
	}
	in := desc.String() + "1"
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if _, err := numSet(in, true); err != nil {
			b.Fatal(err)
		}
	}
}
