package wire

import (
	"cmp"
	"slices"

	"github.com/emersion/go-imap/v2"
)

// NumSet reads a sequence set: an imap.UIDSet if uid is set, otherwise an
// imap.SeqSet; "$" is imap.SearchRes() in both cases (RFC 5182), which is shared
// and must not be added to. Sets are sorted
// and merged: ascending, not overlapping, not touching; 0 stands for "*", and
// "*" alone or a range that ends with it comes last.
func (d *Decoder) NumSet(uid bool) (imap.NumSet, error) {
	if d.accept('$') {
		return imap.SearchRes(), nil
	}
	if uid {
		return d.UIDSet()
	}
	return d.SeqSet()
}

// SeqSet reads a set of sequence numbers, not "$".
func (d *Decoder) SeqSet() (imap.SeqSet, error) {
	return readSet(d, func(start, stop uint32) imap.SeqRange { return imap.SeqRange{Start: start, Stop: stop} },
		func(r imap.SeqRange) (uint32, uint32) { return r.Start, r.Stop })
}

// UIDSet reads a set of UIDs, not "$".
func (d *Decoder) UIDSet() (imap.UIDSet, error) {
	return readSet(d, func(start, stop uint32) imap.UIDRange {
		return imap.UIDRange{Start: imap.UID(start), Stop: imap.UID(stop)}
	},
		func(r imap.UIDRange) (uint32, uint32) { return uint32(r.Start), uint32(r.Stop) })
}

// readSet reads a sequence set. go-imap's AddRange is not used because it
// inserts: a line full of descending numbers would cost quadratic time.
func readSet[R any](d *Decoder, join func(start, stop uint32) R, split func(R) (start, stop uint32)) ([]R, error) {
	var set []R
	sorted := true
	for {
		start, err := d.setNumber()
		if err != nil {
			return nil, err
		}
		stop := start
		if d.accept(':') {
			if stop, err = d.setNumber(); err != nil {
				return nil, err
			}
			if start == 0 || stop != 0 && stop < start {
				start, stop = stop, start
			}
		}
		if n := len(set); n > 0 {
			if s, e := split(set[n-1]); e == 0 || s == 0 || start == 0 || start <= e || start-e == 1 {
				sorted = false
			}
		}
		set = append(set, join(start, stop))
		if !d.accept(',') {
			break
		}
	}
	if sorted {
		return set, nil
	}
	slices.SortFunc(set, func(a, b R) int {
		x, _ := split(a)
		y, _ := split(b)
		return cmp.Compare(x-1, y-1) // "*", which is 0, comes last
	})
	merged := set[:1]
	for _, r := range set[1:] {
		last := &merged[len(merged)-1]
		start, stop := split(*last)
		from, to := split(r)
		switch {
		case stop == 0: // n:* or *: it holds all that follow
		case from == 0 || from > stop && from-stop > 1:
			merged = append(merged, r)
		case to == 0 || to > stop:
			*last = join(start, to)
		}
	}
	return merged, nil
}

// setNumber reads a number or "*", which is 0.
func (d *Decoder) setNumber() (uint32, error) {
	if d.accept('*') {
		return 0, nil
	}
	return d.NZNumber()
}

// fixed refuses "*" and "$" where the grammar has a set of known numbers only.
func fixed(set imap.NumSet) error {
	if set.Dynamic() {
		return syntax("a set without * is needed here")
	}
	return nil
}
