package msn

import (
	"testing"

	"pgregory.net/rapid"
)

// A source makes the choices of a random history: next(n) returns a number from 0 to n-1.
type source func(n int) int

// fromRapid draws the choices, so that a failing history is made small.
func fromRapid(t *rapid.T) source {
	return func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") }
}

// fromBytes reads the choices from a fuzzer's input, two bytes each. more says whether there are any left; then all are 0.
func fromBytes(b []byte) (next source, more func() bool) {
	return func(n int) int {
			if len(b) < 2 {
				b = nil
				return 0
			}
			v := int(b[0])<<8 | int(b[1])
			b = b[2:]
			return v % n
		}, func() bool {
			return len(b) >= 2
		}
}

// seeds adds inputs of all lengths that matter: histories long enough for each form that a set of UIDs can take.
func seeds(f *testing.F) {
	f.Add([]byte{})
	for seed := uint32(1); seed <= 8; seed++ {
		b := make([]byte, 256*seed)
		s := seed
		for i := range b {
			s = s*1664525 + 1013904223
			b[i] = byte(s >> 24)
		}
		f.Add(b)
	}
}
