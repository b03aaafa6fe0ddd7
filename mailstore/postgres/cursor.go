package postgres

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/starling-mail/starling/mailstore"
)

// A view says of which transactions the feed's rows are seen: of those below
// xmax that are not among running. It is a pg_snapshot, but counts only transactions below the last that
// wrote to the feed; so it stays the same while nothing is written there.
type view struct {
	xmax    uint64
	running []uint64 // ascending, below xmax
}

// everything is what a statement sees by itself.
var everything = view{xmax: math.MaxInt64}

// viewOf makes a view of the text of a pg_snapshot and the last transaction
// whose rows it sees.
func viewOf(snapshot string, last uint64) (view, error) {
	v := view{xmax: last + 1}
	parts := strings.Split(snapshot, ":") // xmin:xmax:xip,xip...
	if len(parts) != 3 {
		return v, fmt.Errorf("snapshot %q", snapshot)
	}
	for text := range strings.SplitSeq(parts[2], ",") {
		if text == "" {
			continue
		}
		x, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return v, fmt.Errorf("snapshot %q: %w", snapshot, err)
		}
		if x < v.xmax {
			v.running = append(v.running, x)
		}
	}
	slices.Sort(v.running)
	return v, nil
}

// first is the first transaction whose rows are not seen.
func (v view) first() uint64 {
	if len(v.running) > 0 {
		return v.running[0]
	}
	return v.xmax
}

// args are a view as statements take it.
func (v view) args() (xmax string, running []string) {
	running = make([]string, len(v.running))
	for i, x := range v.running {
		running[i] = strconv.FormatUint(x, 10)
	}
	return strconv.FormatUint(v.xmax, 10), running
}

func (v view) String() string {
	b := strconv.AppendUint(nil, v.xmax, 16)
	for _, x := range v.running {
		b = strconv.AppendUint(append(b, ','), x, 16)
	}
	return string(b)
}

func parseView(s string) (v view, ok bool) {
	for i, text := range strings.Split(s, ",") {
		x, err := strconv.ParseUint(text, 16, 63)
		if err != nil {
			return v, false
		}
		if i == 0 {
			v.xmax = x
		} else {
			v.running = append(v.running, x)
		}
	}
	return v, slices.IsSorted(v.running) && (len(v.running) == 0 || v.running[len(v.running)-1] < v.xmax)
}

// A place is what a Cursor says: the rows that seen sees are behind it. While
// those are read that came until another view, it also says which, and up to where.
type place struct {
	system [16]byte // of the store
	life   string   // of the server: another after a restore or a fail-over, when numbers may come again
	seen   view
	until  *view // nil: no rows after seen are read yet
	seq    int64
}

func (p place) cursor() mailstore.Cursor {
	s := fmt.Sprintf("%x.%s.%s", p.system, p.life, p.seen)
	if p.until != nil {
		s += fmt.Sprintf(".%s.%x", *p.until, p.seq)
	}
	return mailstore.Cursor(s + ".")
}

func parsePlace(c mailstore.Cursor) (p place, ok bool) {
	parts := strings.Split(strings.TrimSuffix(string(c), "."), ".")
	if len(parts) != 3 && len(parts) != 5 || len(parts[0]) != hex.EncodedLen(len(p.system)) {
		return p, false
	}
	if _, err := hex.Decode(p.system[:], []byte(parts[0])); err != nil {
		return p, false
	}
	p.life = parts[1]
	if p.seen, ok = parseView(parts[2]); !ok {
		return p, false
	}
	if len(parts) == 5 {
		until, ok := parseView(parts[3])
		seq, err := strconv.ParseInt(parts[4], 16, 64)
		if !ok || err != nil {
			return p, false
		}
		p.until, p.seq = &until, seq
	}
	return p, p.cursor() == c
}
