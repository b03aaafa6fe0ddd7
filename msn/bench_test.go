package msn

import (
	"fmt"
	"slices"
	"testing"

	"github.com/emersion/go-imap/v2"
)

// mailboxes are the sizes to measure: without gaps, with half of the messages gone, and one message left of 10,000.
var mailboxes = []struct {
	name string
	n    int
	by   imap.UID
}{
	{"100k", 100_000, 1},
	{"1M", 1_000_000, 1},
	{"1M-half", 1_000_000, 2},
	{"100k-sparse", 100_000, 10_000},
}

// probes returns UIDs of the mailbox in an order that caches do not like.
func probes(n int, by imap.UID) []imap.UID {
	uids := make([]imap.UID, 1024)
	s := uint32(1)
	for i := range uids {
		s = s*1664525 + 1013904223
		uids[i] = 1 + imap.UID(int(s>>4)%n)*by
	}
	return uids
}

func BenchmarkIndex(b *testing.B) {
	for _, m := range mailboxes {
		var x Index
		for i := range m.n {
			x.Add(1 + imap.UID(i)*m.by)
		}
		uids := probes(m.n, m.by)
		perUID := float64(x.Bytes()) / float64(m.n)
		b.Run("Rank/"+m.name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				x.Rank(uids[i%len(uids)])
			}
			b.ReportMetric(perUID, "bytes/uid")
		})
		b.Run("UID/"+m.name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				x.UID(1 + uint32(int(uids[i%len(uids)])%m.n))
			}
		})
		b.Run("Expunge/"+m.name, func(b *testing.B) {
			c := x.Clone()
			for i := 0; b.Loop(); i++ {
				if k := i % len(uids); !c.Remove(uids[k]) && k == 0 {
					b.StopTimer()
					c = x.Clone()
					b.StartTimer()
				}
			}
		})
	}
	b.Run("Load/100k", func(b *testing.B) {
		for b.Loop() {
			var x Index
			x.AddRange(1, 100_000)
		}
	})
	b.Run("Minus/1M", func(b *testing.B) {
		var x Index
		x.AddRange(1, 1_000_000)
		y := x.Clone()
		y.Remove(4711)
		for b.Loop() {
			x.Minus(y)
		}
	})
}

// BenchmarkSlice is what the Index is compared with: a sorted slice.
func BenchmarkSlice(b *testing.B) {
	for _, m := range mailboxes {
		var x naiveIndex
		for i := range m.n {
			x = append(x, 1+imap.UID(i)*m.by)
		}
		uids := probes(m.n, m.by)
		b.Run("Rank/"+m.name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				x.rank(uids[i%len(uids)])
			}
			b.ReportMetric(4, "bytes/uid")
		})
		b.Run("Expunge/"+m.name, func(b *testing.B) {
			c := slices.Clone(x)
			for i := 0; b.Loop(); i++ {
				if k := i % len(uids); !c.remove(uids[k]) && k == 0 {
					b.StopTimer()
					c = slices.Clone(x)
					b.StartTimer()
				}
			}
		})
	}
}

func BenchmarkView(b *testing.B) {
	for _, pending := range []int{0, 10, 10_000} {
		var x Index
		var v View
		x.AddRange(1, 100_000)
		v.Raise(&x)
		for i := range pending {
			uid := imap.UID(1 + i*9)
			x.Remove(uid)
			v.Expunged(uid)
		}
		uids := probes(100_000, 1)
		name := fmt.Sprintf("pending=%d", pending)
		b.Run("Number/"+name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				v.Number(&x, uids[i%len(uids)])
			}
		})
		b.Run("UID/"+name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				v.UID(&x, uint32(uids[i%len(uids)]))
			}
		})
		b.Run("ResolveAll/"+name, func(b *testing.B) {
			set := imap.SeqSet{{Start: 1, Stop: 0}}
			for b.Loop() {
				v.Resolve(&x, set)
			}
		})
	}
}
