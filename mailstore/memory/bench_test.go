package memory

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// BenchmarkOpen makes what a simulation begins with: three nodes, two users and
// six mailboxes.
func BenchmarkOpen(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		w := New(Options{})
		var s *Store
		for range 3 {
			s = w.Open(Node{})
		}
		for _, name := range []string{"ada", "bob"} {
			if _, err := s.AddUser(context.Background(), mailbox.User{Name: name}, []mailstore.NewMailbox{{Name: "Sent"}, {Name: "Work"}}); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkFirstAppend is BenchmarkOpen's world and its first message.
func BenchmarkFirstAppend(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		s := New(Options{}).Open(Node{})
		add(b, s, addUser(b, s, "ada"), mailOf(1))
	}
}

func BenchmarkAppend(b *testing.B) {
	s := New(Options{}).Open(Node{})
	inbox := addUser(b, s, "ada")
	text := mailOf(1)
	b.ReportAllocs()
	for b.Loop() {
		add(b, s, inbox, text)
	}
}

func BenchmarkReceive(b *testing.B) {
	s := New(Options{}).Open(Node{})
	text := mailOf(1)
	b.ReportAllocs()
	for b.Loop() {
		d, err := s.Receive(context.Background(), bytes.NewReader(text), 1<<20)
		if err != nil {
			b.Fatal(err)
		}
		d.Discard()
	}
}

// filled returns a store with a mailbox of n messages.
func filled(b *testing.B, n int) (*Store, mailbox.ID) {
	s := New(Options{}).Open(Node{})
	inbox := addUser(b, s, "ada")
	for i := range n {
		add(b, s, inbox, mailOf(i))
	}
	return s, inbox
}

func BenchmarkUpdateFlags(b *testing.B) {
	s, inbox := filled(b, 100)
	ops := [2]imap.StoreFlagsOp{imap.StoreFlagsAdd, imap.StoreFlagsDel}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := s.UpdateFlags(context.Background(), inbox, span(10, 10), mailstore.FlagUpdate{Op: ops[i%2], Flags: mailbox.NewFlags(imap.FlagSeen)}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSnapshot(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, inbox := filled(b, n)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Snapshot(context.Background(), inbox); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPage(b *testing.B) {
	s, inbox := filled(b, 100)
	var p mailstore.Page
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Page(context.Background(), inbox, span(1, 100), mailstore.FieldFlags|mailstore.FieldEnvelope|mailstore.FieldSize, 100, &p); err != nil {
			b.Fatal(err)
		}
	}
}
