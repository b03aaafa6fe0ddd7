package postgres

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

func drawView(t *rapid.T) view {
	v := view{xmax: rapid.Uint64Range(1, 1<<40).Draw(t, "xmax")}
	v.running = rapid.SliceOfN(rapid.Uint64Range(0, v.xmax-1), 0, 5).Draw(t, "running")
	slices.Sort(v.running)
	if v.running = slices.Compact(v.running); len(v.running) == 0 {
		v.running = nil
	}
	return v
}

func TestCursorRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := place{system: mailbox.NewID(), life: "6f3a-1", seen: drawView(t)}
		if rapid.Bool().Draw(t, "between") {
			v := drawView(t)
			p.until, p.seq = &v, rapid.Int64Min(0).Draw(t, "seq")
		}
		c := p.cursor()
		got, ok := parsePlace(c)
		if !ok || !reflect.DeepEqual(got, p) {
			t.Fatalf("%s: %+v, want %+v", c, got, p)
		}
		for _, bad := range []mailstore.Cursor{c + "0", c[1:], c[:len(c)-1], c + "."} {
			if _, ok := parsePlace(bad); ok {
				t.Fatalf("%q is taken for a cursor", bad)
			}
		}
	})
}

// TestView compares what a view sees of the rows of the feed with what the
// snapshot sees that it was made of.
func TestView(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		xmax := rapid.Uint64Range(2, 60).Draw(t, "xmax")
		running := rapid.SliceOfNDistinct(rapid.Uint64Range(1, xmax-1), 0, 6, rapid.ID).Draw(t, "running")
		sees := func(x uint64) bool { return x < xmax && !slices.Contains(running, x) }
		var rows []uint64 // transactions that wrote to the feed
		last := uint64(0)
		for x := range uint64(70) {
			if x > 0 && rapid.Bool().Draw(t, "writes") {
				rows = append(rows, x)
				if sees(x) {
					last = x
				}
			}
		}
		texts := make([]string, len(running))
		for i, x := range running {
			texts[i] = fmt.Sprint(x)
		}
		v, err := viewOf(fmt.Sprintf("1:%d:%s", xmax, strings.Join(texts, ",")), last)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range rows {
			if got := x < v.xmax && !slices.Contains(v.running, x); got != sees(x) {
				t.Fatalf("view %s sees transaction %d: %v, the snapshot does: %v", v, x, got, sees(x))
			}
			if x < v.first() && !sees(x) {
				t.Fatalf("view %s: %d is below the first that is not seen", v, x)
			}
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add("")
	f.Add("00000000000000000000000000000000.6f-1.1f,2,3.")
	f.Add("00000000000000000000000000000000.6f-1.1f,2,3.2f.7.")
	f.Fuzz(func(t *testing.T, s string) {
		if p, ok := parsePlace(mailstore.Cursor(s)); ok && string(p.cursor()) != s {
			t.Errorf("%q came back as %q", s, p.cursor())
		}
		viewOf(s, 1)
	})
}
