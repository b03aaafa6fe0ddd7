package wire

import "math"

// Number64 reads a number of 0 to 2^63-1 (RFC 9051 §9, number64).
func (d *Decoder) Number64() (int64, error) {
	digits := d.take(isDigit)
	if len(digits) == 0 {
		return 0, syntax("expected a number")
	}
	var n int64
	for _, c := range digits {
		digit := int64(c - '0')
		if n > (math.MaxInt64-digit)/10 {
			return 0, syntax("number is too large")
		}
		n = n*10 + digit
	}
	return n, nil
}

// Number reads a number of 0 to 2^32-1.
func (d *Decoder) Number() (uint32, error) {
	n, err := d.Number64()
	if err == nil && n > math.MaxUint32 {
		return 0, syntax("number is too large")
	}
	return uint32(n), err
}

// NZNumber reads a number of 1 to 2^32-1 without leading zeros.
func (d *Decoder) NZNumber() (uint32, error) {
	if d.peek() == '0' {
		return 0, syntax("number must not begin with 0")
	}
	return d.Number()
}

// ModSeq reads a mod-sequence of 1 to 2^63-1, or also 0 if zero is set
// (RFC 7162 §7, mod-sequence-value and mod-sequence-valzer).
func (d *Decoder) ModSeq(zero bool) (uint64, error) {
	n, err := d.Number64()
	if err == nil && n == 0 && !zero {
		return 0, syntax("mod-sequence must not be 0")
	}
	return uint64(n), err
}
