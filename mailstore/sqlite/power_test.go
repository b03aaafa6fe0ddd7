package sqlite

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/blob/fs"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// A disk keeps what would survive a power loss: of the files of the database
// what was written before the last sync, and of later writes any; of the blobs what was synced,
// under the names of synced folders.
type disk struct {
	fs.Files
	mu      sync.Mutex
	dir     string              // the folder of what survives
	pending map[string][]fileOp // by file, in order
	synced  map[string][]byte   // contents of blobs, by name
	renamed map[string]string   // names in folders that are not synced yet: name -> what it was
	off     bool                // the power is off: nothing more survives
}

// note is told what SQLite does.
func (d *disk) note(op fileOp) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return
	}
	op.data = append([]byte(nil), op.data...)
	if op.kind != "sync" {
		d.pending[op.file] = append(d.pending[op.file], op)
		return
	}
	d.apply(op.file, d.pending[op.file])
	d.pending[op.file] = nil
}

func (d *disk) apply(file string, ops []fileOp) {
	f, err := os.OpenFile(filepath.Join(d.dir, file), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	for _, op := range ops {
		if op.kind == "truncate" {
			err = f.Truncate(op.at)
		} else {
			_, err = f.WriteAt(op.data, op.at)
		}
		if err != nil {
			panic(err)
		}
	}
}

// cut turns the power off. Of what was not synced, each write survives or not.
func (d *disk) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = true
	for file, ops := range d.pending {
		var some []fileOp
		for _, op := range ops {
			if rand.IntN(2) == 0 {
				some = append(some, op)
			}
		}
		d.apply(file, some)
	}
}

func (d *disk) Create(name string) (fs.File, error) {
	f, err := d.Files.Create(name)
	return &diskFile{f, d, name}, err
}

type diskFile struct {
	fs.File
	d    *disk
	name string
}

func (f *diskFile) Sync() error {
	if err := f.File.Sync(); err != nil {
		return err
	}
	r, err := f.d.Files.Open(f.name)
	if err != nil {
		return err
	}
	defer r.Close()
	b, err := io.ReadAll(io.NewSectionReader(r, 0, 1<<30))
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.synced[f.name] = b
	return err
}

func (d *disk) Rename(from, to string) error {
	err := d.Files.Rename(from, to)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		d.renamed[to] = from
	}
	return err
}

func (d *disk) SyncDir(name string) error {
	err := d.Files.SyncDir(name)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil || d.off {
		return err
	}
	for to, from := range d.renamed {
		if path.Dir(to) != name {
			continue
		}
		file := filepath.Join(d.dir, blobsName, to)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(file, d.synced[from], 0o600); err != nil { // empty, if it was not synced
			return err
		}
		delete(d.renamed, to)
		delete(d.synced, from)
	}
	return nil
}

// TestPowerLoss is promise P2 without a kernel that lives on: at a random moment
// the power goes, and only what was synced is left for sure. What was acknowledged before must be there.
func TestPowerLoss(t *testing.T) {
	rounds := 10
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		t.Run(fmt.Sprint(round), func(t *testing.T) { powerLoss(t) })
	}
}

func powerLoss(t *testing.T) {
	files, err := fs.OS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	// The first life makes the database; the disk begins with all of it.
	dir, survivor := t.TempDir(), t.TempDir()
	s, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	_, inbox := account(t, s, "ada")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, databaseName))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(survivor, databaseName), b, 0o600); err != nil {
		t.Fatal(err)
	}

	d := &disk{Files: files, dir: survivor, pending: make(map[string][]fileOp), synced: make(map[string][]byte), renamed: make(map[string]string)}
	v := newVFS(t, nil, d.note)
	s = open(t, Options{Dir: dir, VFS: v.name, Files: d, Inline: 3000})

	var mu sync.Mutex
	acknowledged := make(map[imap.UID]string) // "": expunged
	highest, on := imap.UID(0), true
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				token := fmt.Sprintf("%d-%d", w, n)
				uid, gone, err := powerStep(s, inbox, token, n)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if on { // acknowledged while there was power
					acknowledged[uid] = token
					highest = max(highest, uid)
					if gone {
						acknowledged[uid] = ""
					}
				}
				mu.Unlock()
			}
		})
	}
	<-time.After(time.Duration(50+rand.IntN(400)) * time.Millisecond)
	mu.Lock() // no reply is under way to its count
	d.cut()
	on = false
	mu.Unlock()
	close(stop)
	wg.Wait()
	if t.Failed() {
		return
	}

	after := open(t, Options{Dir: survivor, Inline: 3000})
	snap, err := after.Snapshot(t.Context(), inbox)
	if err != nil {
		t.Fatal(err)
	}
	if snap.Counts.UIDNext <= highest {
		t.Errorf("UIDNEXT is %d, UID %d was told", snap.Counts.UIDNext, highest)
	}
	for uid, token := range acknowledged {
		if token == "" {
			if snap.UIDs.Contains(uid) {
				t.Errorf("UID %d was expunged and is there", uid)
			}
			continue
		}
		if !snap.UIDs.Contains(uid) {
			// Its expunge may have been committed and not acknowledged.
			if !strings.HasSuffix(token, "9") {
				t.Errorf("UID %d was acknowledged and is gone", uid)
			}
			continue
		}
		if text := string(body(t, after, inbox, uid)); !strings.HasSuffix(text, "\n"+token) {
			t.Errorf("UID %d has another body", uid)
		}
	}
	for _, f := range check(t, after, false) {
		if !strings.HasPrefix(f.What, "blob") {
			t.Errorf("check: %+v", f)
		}
	}
	t.Logf("%d acknowledged messages", len(acknowledged))
}

// powerStep appends a message, now and then a large one, and expunges some.
func powerStep(s *Store, box mailbox.ID, token string, n int) (uid imap.UID, gone bool, err error) {
	ctx := context.Background()
	size := []int{500, 500, 10_000}[n%3]
	d, err := s.Receive(ctx, strings.NewReader(string(mail(n, size))+token), 1<<20)
	if err != nil {
		return 0, false, err
	}
	defer d.Discard()
	out, err := s.Append(ctx, box, []mailstore.Incoming{{Draft: d, Flags: mailbox.NewFlags(imap.FlagDeleted)}})
	if err != nil {
		return 0, false, err
	}
	uid = out.Change.Added[0].Start
	if n%10 == 9 {
		if _, err := s.Expunge(ctx, box, out.Change.Added); err != nil {
			return 0, false, err
		}
		gone = true
	}
	return uid, gone, nil
}
