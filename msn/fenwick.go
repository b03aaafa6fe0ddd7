package msn

import "math/bits"

// A fenwick tree holds counts so that changing one, summing the first i and finding the place of the n-th item each take a
// logarithmic number of steps. Element i of the slice sums the counts in (i&(i+1), i].
type fenwick[T uint16 | uint32] []T

// add adds d, which may be a negative number in two's complement, to count i.
func (f fenwick[T]) add(i int, d T) {
	for ; i < len(f); i |= i + 1 {
		f[i] += d
	}
}

// sum returns the sum of the first i counts.
func (f fenwick[T]) sum(i int) T {
	var s T
	for i--; i >= 0; i = i&(i+1) - 1 {
		s += f[i]
	}
	return s
}

// find returns the place of the item n, from 0, and how many items of that place come before it. It returns len(f) when
// there are no more than n items.
func (f fenwick[T]) find(n T) (i int, rest T) {
	for step := 1 << bits.Len(uint(len(f))) >> 1; step > 0; step >>= 1 {
		if j := i + step; j <= len(f) && f[j-1] <= n {
			n -= f[j-1]
			i = j
		}
	}
	return i, n
}

// push appends the count c.
func (f fenwick[T]) push(c T) fenwick[T] {
	i := len(f)
	for j := i - 1; j >= i&(i+1) && j >= 0; j = j&(j+1) - 1 {
		c += f[j]
	}
	return append(f, c)
}
