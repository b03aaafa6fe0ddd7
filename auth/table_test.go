package auth

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A table is compared with a slice in the order of use.
func TestTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size = 4
		fast := newTable[int, int](size)
		var slow [][2]int // key and value, the latest used last
		find := func(k int) int { return slices.IndexFunc(slow, func(e [2]int) bool { return e[0] == k }) }
		use := func(k int) {
			i := find(k)
			slow = append(slices.Delete(slices.Clone(slow), i, i+1), slow[i])
		}
		key := rapid.IntRange(0, 8)
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				k, v := key.Draw(t, "key"), rapid.Int().Draw(t, "value")
				*fast.at(k) = v
				if find(k) < 0 {
					if len(slow) == size {
						slow = slow[1:]
					}
					slow = append(slow, [2]int{k, 0})
				}
				use(k)
				slow[len(slow)-1][1] = v
			},
			"get": func(t *rapid.T) {
				k := key.Draw(t, "key")
				got, i := fast.get(k), find(k)
				if (got != nil) != (i >= 0) || got != nil && *got != slow[i][1] {
					t.Fatalf("%d: %v, want %v", k, got, slow)
				}
				if i >= 0 {
					use(k)
				}
			},
			"remove": func(t *rapid.T) {
				k := key.Draw(t, "key")
				fast.remove(k)
				slow = slices.DeleteFunc(slow, func(e [2]int) bool { return e[0] == k })
			},
			"removeIf": func(*rapid.T) {
				fast.removeIf(func(v *int) bool { return *v%2 == 0 })
				slow = slices.DeleteFunc(slow, func(e [2]int) bool { return e[1]%2 == 0 })
			},
			"": func(t *rapid.T) {
				if len(fast.entries) != len(slow) || fast.order.Len() != len(slow) {
					t.Fatalf("%d and %d entries, want %d", len(fast.entries), fast.order.Len(), len(slow))
				}
			},
		})
	})
}
