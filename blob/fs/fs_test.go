package fs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/blob/fs"
	"github.com/starling-mail/starling/mailbox"
)

func open(t *testing.T, dir string) *fs.Store {
	t.Helper()
	files, err := fs.OS(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := fs.Open(files)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s blob.Store, b []byte) blob.ID {
	t.Helper()
	id := blob.NewID()
	n, err := s.Put(t.Context(), id, bytes.NewReader(b))
	if err != nil || n != int64(len(b)) {
		t.Fatalf("put %d bytes: %d, %v", len(b), n, err)
	}
	return id
}

func get(t *testing.T, s blob.Store, id blob.ID) []byte {
	t.Helper()
	b, err := s.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// list reads the whole list.
func list(t *testing.T, s blob.Store) map[blob.ID]int64 {
	t.Helper()
	all := make(map[blob.ID]int64)
	for info, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all[info.ID] = info.Size
	}
	return all
}

func TestStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	s := open(t, dir)
	want := make(map[blob.ID][]byte)
	for _, size := range []int{0, 1, 5000, 1 << 20} {
		b := bytes.Repeat([]byte{byte(size)}, size)
		want[put(t, s, b)] = b
	}
	s = open(t, dir) // they stay
	for id, b := range want {
		if got := get(t, s, id); !bytes.Equal(got, b) {
			t.Errorf("%d bytes came back as %d", len(b), len(got))
		}
	}
	if all := list(t, s); len(all) != len(want) {
		t.Errorf("list: %v", all)
	}
	for id, b := range want {
		o, err := s.Open(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := s.Delete(t.Context(), id); err != nil {
				t.Error(err)
			}
		}
		if got, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size())); err != nil || !bytes.Equal(got, b) {
			t.Errorf("open, then deleted: %d bytes, %v", len(got), err)
		}
		o.Close()
		if _, err := s.Open(t.Context(), id); mailbox.KindOf(err) != mailbox.NonExistent {
			t.Errorf("deleted: %v", err)
		}
	}
	if all := list(t, s); len(all) != 0 {
		t.Errorf("list: %v", all)
	}
}

// TestPutFails lets the reader or the context fail: nothing stays, and the
// reader's error comes back as it is.
func TestPutFails(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	cause := errors.New("the client went away")
	_, err := s.Put(t.Context(), blob.NewID(), io.MultiReader(strings.NewReader("some"), iotest.ErrReader(cause)))
	if err != cause {
		t.Errorf("reader's error: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Put(ctx, blob.NewID(), strings.NewReader("some")); mailbox.KindOf(err) != mailbox.Unavailable {
		t.Errorf("ended context: %v", err)
	}
	if all := list(t, s); len(all) != 0 {
		t.Errorf("list: %v", all)
	}
	left, err := os.ReadDir(filepath.Join(dir, "incoming"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestUnfinished clears away what a process left that died, and passes over what
// is not a blob.
func TestUnfinished(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	id := put(t, s, []byte("whole"))
	for _, name := range []string{"incoming/half", id.String()[:2] + "/README"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir)
	if _, err := os.Stat(filepath.Join(dir, "incoming/half")); !os.IsNotExist(err) {
		t.Errorf("half a blob is left: %v", err)
	}
	if all := list(t, s); len(all) != 1 || all[id] != 5 {
		t.Errorf("list: %v", all)
	}
}

// TestShared: what one node has not finished, another one's start leaves alone.
func TestShared(t *testing.T) {
	dir := t.TempDir()
	files, err := fs.OS(dir)
	if err != nil {
		t.Fatal(err)
	}
	stores := make(map[string]*fs.Store)
	for _, name := range []string{"n1", "n2"} {
		if stores[name], err = fs.OpenShared(files, name); err != nil {
			t.Fatal(err)
		}
	}
	r, w := io.Pipe()
	id, stored := blob.NewID(), make(chan error)
	go func() {
		_, err := stores["n1"].Put(t.Context(), id, r)
		stored <- err
	}()
	if _, err := io.WriteString(w, "begun"); err != nil {
		t.Fatal(err)
	}
	if stores["n2"], err = fs.OpenShared(files, "n2"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := <-stored; err != nil {
		t.Fatal(err)
	}
	if got := string(get(t, stores["n2"], id)); got != "begun" {
		t.Errorf("the other node reads %q", got)
	}
}

func TestConcurrent(t *testing.T) {
	s := open(t, t.TempDir())
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for n := range 10 {
				id, b := blob.NewID(), bytes.Repeat([]byte{byte(w)}, 1000+n)
				if _, err := s.Put(t.Context(), id, bytes.NewReader(b)); err != nil {
					t.Error(err)
					return
				}
				o, err := s.Open(t.Context(), id)
				if err != nil {
					t.Error(err)
					return
				}
				got := make([]byte, len(b))
				if _, err := o.ReadAt(got, 0); err != nil || !bytes.Equal(got, b) {
					t.Errorf("read: %v", err)
				}
				o.Close()
			}
		})
	}
	wg.Wait()
	if n := len(list(t, s)); n != 80 {
		t.Errorf("%d blobs", n)
	}
}

func TestParseID(t *testing.T) {
	id := blob.NewID()
	if got, err := blob.ParseID(id.String()); err != nil || got != id || id.IsZero() {
		t.Errorf("%s: %s, %v", id, got, err)
	}
	for _, s := range []string{"", "xyz", strings.Repeat("g", 32), id.String() + "0"} {
		if _, err := blob.ParseID(s); err == nil {
			t.Errorf("%q is an id", s)
		}
	}
}
