package sqlite

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	lib "modernc.org/sqlite/lib"

	"github.com/starling-mail/starling/blob/fs"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// TestDatabaseFaults lets the disk of the database fail in every way while many
// append: each gets an error that says that nothing was changed, nothing half-done stays, and
// all goes on when the disk does.
func TestDatabaseFaults(t *testing.T) {
	for name, c := range map[string]struct {
		kind, file string
		code       int32
	}{
		"disk full":             {"write", "mail.db-wal", lib.SQLITE_FULL},
		"write of the log":      {"write", "mail.db-wal", lib.SQLITE_IOERR_WRITE},
		"fsync of the log":      {"sync", "mail.db-wal", lib.SQLITE_IOERR_FSYNC},
		"checkpoint full":       {"write", "mail.db", lib.SQLITE_FULL},
		"fsync of the database": {"sync", "mail.db", lib.SQLITE_IOERR_FSYNC},
	} {
		t.Run(name, func(t *testing.T) {
			var failing atomic.Bool
			var failed atomic.Int32
			v := newVFS(t, func(op fileOp) int32 {
				if failing.Load() && op.kind == c.kind && op.file == c.file {
					failed.Add(1)
					return c.code
				}
				return 0
			}, nil)
			var told published
			s := open(t, Options{VFS: v.name, Publish: told.publish})
			a, inbox := account(t, s, "ada")
			d := receive(t, s, mail(1, 3000))
			defer d.Discard()
			stored, _ := appendMany(t, s, inbox, d, 50)
			if stored != 50 {
				t.Fatalf("%d of 50 appends were acknowledged", stored)
			}

			failing.Store(true)
			unknown := 0
			if c.file == "mail.db-wal" {
				n := 0
				if n, unknown = appendMany(t, s, inbox, d, 40); n != 0 {
					t.Errorf("%d appends were acknowledged on a broken disk", n)
				}
				// Only a failed fsync leaves one group's outcome open.
				if unknown > 0 && c.kind != "sync" || unknown > 8 {
					t.Errorf("the outcome of %d appends is unknown", unknown)
				}
			} else {
				// The log takes it all; only moving it into the database fails.
				n, _ := appendMany(t, s, inbox, d, 40)
				stored += n
				if err := checkpoint(s); err == nil {
					t.Error("the checkpoint succeeded")
				}
			}
			if failed.Load() == 0 {
				t.Fatal("nothing failed")
			}
			failing.Store(false)

			// It recovers by itself.
			waitFor(t, func() bool { n, _ := appendMany(t, s, inbox, d, 1); return n == 1 })
			stored++
			if err := s.Ready(t.Context()); err != nil {
				t.Errorf("Ready: %v", err)
			}
			snap, err := s.Snapshot(t.Context(), inbox)
			if err != nil {
				t.Fatal(err)
			}
			there := int(snap.Counts.Messages)
			if there < stored || there > stored+unknown {
				t.Errorf("%d messages; %d were acknowledged, %d unknown", there, stored, unknown)
			}
			q, err := s.Quota(t.Context(), a)
			if err != nil || q.Usage.Messages != int64(there) {
				t.Errorf("quota %+v, %v", q, err)
			}
			told.chained(t, inbox, snap)
			if list := check(t, s, false); len(list) > 0 {
				t.Errorf("check: %+v", list)
			}
		})
	}
}

// checkpoint moves the log into the database, as the writer does now and then.
func checkpoint(s *Store) error {
	c, err := s.connect(100)
	if err != nil {
		return err
	}
	return errors.Join(c.Exec("PRAGMA wal_checkpoint(TRUNCATE)"), c.Close())
}

// appendMany appends the draft n times from 8 goroutines and returns how many
// were acknowledged, and of how many the outcome is unknown; the others must have failed as
// something temporary.
func appendMany(t *testing.T, s *Store, box mailbox.ID, d mailstore.Draft, n int) (stored, unknown int) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < n; i += 8 {
				_, err := s.Append(context.Background(), box, []mailstore.Incoming{{Draft: d}})
				mu.Lock()
				switch kind := mailbox.KindOf(err); {
				case err == nil:
					stored++
				case kind == mailbox.Unknown:
					unknown++
				case kind != mailbox.Unavailable:
					t.Errorf("append: %v", err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return stored, unknown
}

// published keeps what a store published.
type published struct {
	mu     sync.Mutex
	events []mailbox.Event
}

func (p *published) publish(events []mailbox.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, events...)
}

// chained wants the Changes of a mailbox to lead to the snapshot without a gap.
func (p *published) chained(t *testing.T, box mailbox.ID, snap *mailstore.Snapshot) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	last := mailbox.ModSeq(1)
	for _, e := range p.events {
		if c := e.Change; c != nil && c.Mailbox == box {
			if c.Prev != last {
				t.Fatalf("modseq %d is followed by a change from %d", last, c.Prev)
			}
			last = c.ModSeq
		}
	}
	if last != snap.ModSeq {
		t.Errorf("published up to %d, the mailbox has %d", last, snap.ModSeq)
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			t.Fatal("what should happen did not")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// TestCommitOutcome lets the fsync of a commit fail after everything was
// written, and the disk stay broken: whoever wrote learns that the outcome is unknown; later the
// database itself says what it was, and publishing agrees with it.
func TestCommitOutcome(t *testing.T) {
	var failing atomic.Bool
	v := newVFS(t, func(op fileOp) int32 {
		if failing.Load() && op.kind == "sync" {
			return lib.SQLITE_IOERR_FSYNC
		}
		return 0
	}, nil)
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, VFS: v.name})
	_, inbox := account(t, s, "ada")
	d := receive(t, s, mail(1, 3000))
	defer d.Discard()
	failing.Store(true)
	_, err := s.Append(t.Context(), inbox, []mailstore.Incoming{{Draft: d}})
	if mailbox.KindOf(err) != mailbox.Unknown {
		t.Fatalf("append: %v, want kind Unknown", err)
	}
	if err := s.Ready(t.Context()); mailbox.KindOf(err) != mailbox.Unavailable {
		t.Errorf("Ready: %v", err)
	}
	_, err = s.Append(t.Context(), inbox, []mailstore.Incoming{{Draft: d}})
	if mailbox.KindOf(err) != mailbox.Unavailable {
		t.Errorf("append to a broken store: %v, want kind Unavailable", err)
	}
	failing.Store(false)
	waitFor(t, func() bool {
		_, err := s.Append(t.Context(), inbox, []mailstore.Incoming{{Draft: d}})
		return err == nil
	})
	if list := check(t, s, false); len(list) > 0 {
		t.Errorf("check: %+v", list)
	}
}

// A faultyFiles is a file system for blobs that fails at a chosen operation.
type faultyFiles struct {
	fs.Files
	fail func(op string) error
}

func (f *faultyFiles) Create(name string) (fs.File, error) {
	if err := f.fail("create"); err != nil {
		return nil, err
	}
	file, err := f.Files.Create(name)
	return &faultyFile{file, f}, err
}

func (f *faultyFiles) Rename(from, to string) error {
	if err := f.fail("rename"); err != nil {
		return err
	}
	return f.Files.Rename(from, to)
}

func (f *faultyFiles) SyncDir(name string) error {
	if err := f.fail("syncdir"); err != nil {
		return err
	}
	return f.Files.SyncDir(name)
}

type faultyFile struct {
	fs.File
	f *faultyFiles
}

func (f *faultyFile) Write(b []byte) (int, error) {
	if err := f.f.fail("write"); err != nil {
		n, _ := f.File.Write(b[:len(b)/2])
		return n, err
	}
	return f.File.Write(b)
}

func (f *faultyFile) Sync() error {
	if err := f.f.fail("sync"); err != nil {
		return err
	}
	return f.File.Sync()
}

// TestBlobFaults lets the disk of the blobs fail: the message is refused with
// kind Unavailable, nothing stays of it, and the next one is taken.
func TestBlobFaults(t *testing.T) {
	for _, op := range []string{"create", "write", "sync", "rename", "syncdir"} {
		for _, cause := range []error{syscall.ENOSPC, syscall.EIO} {
			t.Run(op+" "+cause.Error(), func(t *testing.T) {
				dir := t.TempDir()
				files, err := fs.OS(dir)
				if err != nil {
					t.Fatal(err)
				}
				failing := false
				s := open(t, Options{Inline: 1000, Files: &faultyFiles{files, func(o string) error {
					if failing && o == op {
						return cause
					}
					return nil
				}}})
				_, inbox := account(t, s, "ada")
				big := mail(1, 50_000)
				uid := add(t, s, inbox, big)
				failing = true
				_, err = s.Receive(t.Context(), bytes.NewReader(big), 1<<20)
				if mailbox.KindOf(err) != mailbox.Unavailable {
					t.Errorf("receive: %v, want kind Unavailable", err)
				}
				failing = false
				if next := add(t, s, inbox, big); next != uid+1 || !bytes.Equal(body(t, s, inbox, next), big) {
					t.Errorf("afterwards: uid %d", next)
				}
				if list := check(t, s, false); len(list) > 0 {
					t.Errorf("check: %+v", list)
				}
				left, err := files.ReadDir("incoming")
				if err != nil || len(left) > 0 {
					t.Errorf("left behind: %v, %v", left, err)
				}
			})
		}
	}
}

// TestUnappended discards drafts: their blobs go.
func TestUnappended(t *testing.T) {
	s := open(t, Options{Inline: 1000})
	_, inbox := account(t, s, "ada")
	d := receive(t, s, mail(1, 50_000))
	if list := check(t, s, false); len(list) > 0 {
		t.Errorf("a draft in progress: %+v", list)
	}
	full := mailbox.QuotaLimits{}
	u, err := s.User(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetQuota(t.Context(), u.Account, &full); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(t.Context(), inbox, []mailstore.Incoming{{Draft: d, Flags: mailbox.NewFlags(imap.FlagSeen)}}); mailbox.KindOf(err) != mailbox.OverQuota {
		t.Errorf("append: %v", err)
	}
	d.Discard()
	for b, err := range s.blobs.List(t.Context()) {
		t.Errorf("blob %s is left, %v", b.ID, err)
	}
}
