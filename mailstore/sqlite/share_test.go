package sqlite

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// TestShare: of several ways to one folder each publishes what was done through it, all
// of it and in order, also where one commit has changes of several; the folder stays open,
// and others out, until the last is closed.
func TestShare(t *testing.T) {
	const ways, writers, appends = 3, 4, 25
	var told [ways][]mailbox.Event // each is written by the writer's goroutine, and read after Close
	tell := func(i int) mailstore.Publish {
		return func(events []mailbox.Event) { told[i] = append(told[i], events...) }
	}
	dir := t.TempDir()
	first := open(t, Options{Dir: dir, Publish: tell(0)})
	user, err := first.AddUser(t.Context(), mailbox.User{Name: "ada"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	stores := []*Store{first, first.Share(tell(1)), first.Share(tell(2))}
	var boxes [ways]mailbox.ID
	for i, s := range stores {
		info, err := s.Create(t.Context(), user.Account, fmt.Sprint("box ", i), nil)
		if err != nil {
			t.Fatal(err)
		}
		boxes[i] = info.ID
	}
	var wg sync.WaitGroup
	for i, s := range stores {
		for range writers {
			wg.Go(func() {
				for range appends {
					d, err := s.Receive(t.Context(), strings.NewReader("Subject: x\r\n\r\n"), 100)
					if err != nil {
						t.Error(err)
						return
					}
					if _, err := s.Append(t.Context(), boxes[i], []mailstore.Incoming{{Draft: d}}); err != nil {
						t.Error(err)
					}
					d.Discard()
				}
			})
		}
	}
	wg.Wait()

	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Dir: dir}); mailbox.KindOf(err) != mailbox.InUse {
		t.Errorf("open while two ways are left: %v", err)
	}
	if _, err := stores[1].List(t.Context(), user.Account); err != nil {
		t.Errorf("after another way was closed: %v", err)
	}
	for _, s := range stores[1:] {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	again := open(t, Options{Dir: dir})
	if _, err := again.Lookup(t.Context(), user.Account, "box 2"); err != nil {
		t.Error(err)
	}

	for i, events := range told {
		var seqs []mailbox.ModSeq
		for _, e := range events {
			if e.Change == nil {
				continue
			}
			if e.Mailbox != boxes[i] {
				t.Fatalf("way %d was told of another's mailbox", i)
			}
			seqs = append(seqs, e.Change.ModSeq)
		}
		if len(seqs) != writers*appends || !slices.IsSorted(seqs) {
			t.Errorf("way %d was told %d changes, want %d in order", i, len(seqs), writers*appends)
		}
	}
}
