package sqlite

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// TestDiskFull fills a real file system, with inline bodies and with blobs: what
// does not fit is refused as temporary, reading goes on, and when space returns so does writing.
func TestDiskFull(t *testing.T) {
	for name, size := range map[string]int{"inline": 20_000, "blobs": 200_000} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := syscall.Mount("starling", dir, "tmpfs", 0, "size=8m"); err != nil {
				t.Skipf("cannot mount a small file system here: %v", err)
			}
			defer syscall.Unmount(dir, syscall.MNT_DETACH)
			ballast := filepath.Join(dir, "ballast")
			if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			s := open(t, Options{Dir: filepath.Join(dir, "store"), Uncompress: true})
			_, inbox := account(t, s, "ada")
			m := mail(1, size)
			fill := func() (n int, err error) {
				for ; n < 1000; n++ {
					d, err := s.Receive(context.Background(), bytes.NewReader(m), 1<<20)
					if err == nil {
						_, err = s.Append(context.Background(), inbox, []mailstore.Incoming{{Draft: d}})
						d.Discard()
					}
					if err != nil {
						return n, err
					}
				}
				return n, nil
			}
			stored, err := fill()
			if mailbox.KindOf(err) != mailbox.Unavailable {
				t.Fatalf("after %d messages: %v, want kind Unavailable", stored, err)
			}
			if stored < 5 {
				t.Errorf("the disk was full after %d messages", stored)
			}
			for range 3 {
				n, err := fill()
				if mailbox.KindOf(err) != mailbox.Unavailable {
					t.Fatalf("on a full disk: %v", err)
				}
				stored += n
			}
			snap, err := s.Snapshot(t.Context(), inbox)
			if err != nil || int(snap.Counts.Messages) != stored {
				t.Errorf("on a full disk: %v, %v; %d were stored", snap, err, stored)
			}
			if got := body(t, s, inbox, 1); !bytes.Equal(got, m) {
				t.Errorf("body on a full disk: %d bytes", len(got))
			}
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			n := 0
			waitFor(t, func() bool { more, _ := fill(); n += more; return n > 5 })
			if list := check(t, s, false); len(list) > 0 {
				t.Errorf("check: %+v", list)
			}
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}
