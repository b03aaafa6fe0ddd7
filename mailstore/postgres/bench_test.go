package postgres

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// BenchmarkAppend appends 4 KB messages durably; the writers share one mailbox
// or have one each, on one node or on two.
func BenchmarkAppend(b *testing.B) {
	for _, nodes := range []int{1, 2} {
		for _, mode := range []string{"one", "each"} {
			for _, writers := range []int{1, 8, 32} {
				b.Run(fmt.Sprintf("nodes=%d/mailbox=%s/writers=%d", nodes, mode, writers), func(b *testing.B) {
					url, blobs := database(b), blobs(b)
					var stores []*Store
					for range nodes {
						stores = append(stores, open(b, Options{URL: url, Blobs: blobs}))
					}
					boxes := make([]mailbox.ID, writers)
					for i := range boxes {
						if i > 0 && mode == "one" {
							boxes[i] = boxes[0]
						} else {
							_, boxes[i] = addAccount(b, stores[0], fmt.Sprint("user", i))
						}
						add(b, stores[i%nodes], boxes[i], mail(0, 4000)) // connect, prepare
					}
					var next atomic.Int64
					b.ResetTimer()
					var wg sync.WaitGroup
					for i := range writers {
						wg.Go(func() {
							for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
								add(b, stores[i%nodes], boxes[i], mail(int(n), 4000))
							}
						})
					}
					wg.Wait()
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
				})
			}
		}
	}
}

// filled returns a store with a mailbox of n messages of that size.
func filled(b *testing.B, n, size int) (*Store, mailbox.ID) {
	s := open(b, Options{})
	_, inbox := addAccount(b, s, "ada")
	for i := 0; i < n; i += 500 {
		var list []mailstore.Incoming
		for j := range min(500, n-i) {
			list = append(list, mailstore.Incoming{Draft: receiveMail(b, s, mail(i+j, size)), Flags: mailbox.NewFlags(imap.FlagSeen)})
		}
		if _, err := s.Append(context.Background(), inbox, list); err != nil {
			b.Fatal(err)
		}
		for _, m := range list {
			m.Draft.Discard()
		}
	}
	return s, inbox
}

// BenchmarkBulk appends 10,000 messages of 2 KB in calls of 500.
func BenchmarkBulk(b *testing.B) {
	for b.Loop() {
		filled(b, 10_000, 2000)
	}
	b.ReportMetric(float64(b.N)*10_000/b.Elapsed().Seconds(), "appends/s")
}

// BenchmarkPage reads 10,000 rows in pages of 500.
func BenchmarkPage(b *testing.B) {
	s, inbox := filled(b, 10_000, 2000)
	for name, fields := range map[string]mailstore.Fields{"flags": mailstore.FieldFlags, "envelope": mailstore.FieldEnvelope, "structure": mailstore.FieldStructure} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var p mailstore.Page
			for b.Loop() {
				for at := imap.UID(1); ; at = p.Rows[len(p.Rows)-1].UID + 1 {
					if err := s.Page(b.Context(), inbox, imap.UIDSet{{Start: at, Stop: maxUID}}, fields, 500, &p); err != nil {
						b.Fatal(err)
					}
					if !p.More {
						break
					}
				}
			}
		})
	}
}

func BenchmarkSnapshot(b *testing.B) {
	s := open(b, Options{})
	_, inbox := addAccount(b, s, "ada")
	d := receiveMail(b, s, mail(1, 1000))
	defer d.Discard()
	list := make([]mailstore.Incoming, 10_000)
	for i := range list {
		list[i].Draft = d
	}
	for _, n := range []int{1, 10} {
		for range n {
			if _, err := s.Append(b.Context(), inbox, list); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprint("messages=", n, "0k"), func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Snapshot(b.Context(), inbox); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkUpdateFlags sets and clears a flag of 1 and of 1,000 messages.
func BenchmarkUpdateFlags(b *testing.B) {
	s, inbox := filled(b, 1000, 1000)
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprint("messages=", n), func(b *testing.B) {
			op := imap.StoreFlagsAdd
			for b.Loop() {
				if _, err := s.UpdateFlags(b.Context(), inbox, imap.UIDSet{{Start: 1, Stop: imap.UID(n)}},
					mailstore.FlagUpdate{Op: op, Flags: mailbox.NewFlags(imap.FlagFlagged)}); err != nil {
					b.Fatal(err)
				}
				op = imap.StoreFlagsAdd + imap.StoreFlagsDel - op
			}
		})
	}
}

func BenchmarkBody(b *testing.B) {
	for _, size := range []int{4_000, 20_000, 200_000} {
		b.Run(fmt.Sprint("size=", size), func(b *testing.B) {
			s, inbox := filled(b, 100, size)
			buf := make([]byte, size+200)
			uid := imap.UID(0)
			for b.Loop() {
				uid = uid%100 + 1
				body, err := s.Body(b.Context(), inbox, uid)
				if err != nil {
					b.Fatal(err)
				}
				body.ReadAt(buf, 0)
				body.Close()
			}
		})
	}
}
