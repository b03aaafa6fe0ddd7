package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/blob/s3"
	"github.com/starling-mail/starling/blob/s3/s3test"
	"github.com/starling-mail/starling/mailbox"
)

// server is the S3 server that the tests share.
var server struct {
	sync.Mutex
	*s3test.Server
	count int
}

func TestMain(m *testing.M) {
	code := m.Run()
	if server.Server != nil {
		if err := server.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// start starts a server, or skips the test where there is none; where everything
// must be tested it is built.
func start(t testing.TB) *s3test.Server {
	t.Helper()
	s, err := s3test.Start()
	if errors.Is(err, s3test.ErrMissing) {
		if os.Getenv("STARLING_E2E") == "" && os.Getenv("CI") == "" {
			t.Skip(err)
		}
		if err = s3test.Install(); err == nil {
			s, err = s3test.Start()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// options are those of a place of its own on the shared server.
func options(t testing.TB) s3.Options {
	t.Helper()
	server.Lock()
	defer server.Unlock()
	if server.Server == nil {
		server.Server = start(t)
	}
	server.count++
	return s3.Options{Endpoint: server.Endpoint, Bucket: server.Bucket, Prefix: fmt.Sprint("test", server.count, "/"),
		AccessKey: server.AccessKey, SecretKey: server.SecretKey, Insecure: true, Region: "us-east-1"}
}

func open(t testing.TB, o s3.Options) *s3.Store {
	t.Helper()
	s, err := s3.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t testing.TB, s blob.Store, b []byte) blob.ID {
	t.Helper()
	id := blob.NewID()
	n, err := s.Put(t.Context(), id, bytes.NewReader(b))
	if err != nil || n != int64(len(b)) {
		t.Fatalf("put %d bytes: %d, %v", len(b), n, err)
	}
	return id
}

func read(t testing.TB, b blob.Blob) []byte {
	t.Helper()
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
		if time.Since(info.Modified).Abs() > time.Hour {
			t.Errorf("%s was stored at %v", info.ID, info.Modified)
		}
		all[info.ID] = info.Size
	}
	return all
}

// noise makes bytes that differ everywhere.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

func TestStore(t *testing.T) {
	o := options(t)
	s := open(t, o)
	if all := list(t, s); len(all) != 0 {
		t.Errorf("an empty store lists %v", all)
	}
	want := make(map[blob.ID][]byte)
	for _, size := range []int{0, 1, 5000, 1 << 20, 1<<20 + 1, 8<<20 - 1, 8 << 20, 8<<20 + 1, 20_000_000} {
		b := noise(size)
		want[put(t, s, b)] = b
	}
	s = open(t, o) // they stay, and another sees them
	all := list(t, s)
	for id, b := range want {
		o, err := s.Open(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if o.Size() != int64(len(b)) || all[id] != int64(len(b)) || !bytes.Equal(read(t, o), b) {
			t.Errorf("%d bytes came back as %d, listed as %d", len(b), o.Size(), all[id])
		}
		for range 2 {
			if err := s.Delete(t.Context(), id); err != nil {
				t.Error(err)
			}
		}
		if _, err := s.Open(t.Context(), id); mailbox.KindOf(err) != mailbox.NonExistent {
			t.Errorf("open of what was deleted: %v", err)
		}
		if !bytes.Equal(read(t, o), b) {
			t.Errorf("%d bytes: open, then deleted: changed", len(b))
		}
		for range 2 {
			if err := o.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := s.Open(t.Context(), id); mailbox.KindOf(err) != mailbox.NonExistent {
			t.Errorf("open of what was deleted and closed: %v", err)
		}
	}
	if len(all) != len(want) {
		t.Errorf("list of %d blobs, want %d", len(all), len(want))
	}
	if all := list(t, s); len(all) != 0 {
		t.Errorf("list after all are deleted: %v", all)
	}
	if err := s.Delete(t.Context(), blob.NewID()); err != nil {
		t.Errorf("delete of what never was: %v", err)
	}
}

// TestReadAt reads pieces anywhere, by several at a time.
func TestReadAt(t *testing.T) {
	o := options(t)
	o.Chunk = 1000
	s := open(t, o)
	want := noise(12_345)
	b, err := s.Open(t.Context(), put(t, s, want))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 30 {
				off, n := rand.IntN(len(want)+100), rand.IntN(4000)
				p := make([]byte, n)
				got, err := b.ReadAt(p, int64(off))
				rest := want[min(off, len(want)):]
				short := n > len(rest)
				if !bytes.Equal(p[:got], rest[:min(n, len(rest))]) || (err == io.EOF) != short || err != nil && err != io.EOF {
					t.Errorf("%d bytes at %d: %d, %v", n, off, got, err)
				}
			}
		})
	}
	wg.Wait()
	if _, err := b.ReadAt(make([]byte, 1), -1); err == nil || err == io.EOF {
		t.Errorf("read before the beginning: %v", err)
	}
}

// TestPutFails lets the reader or the context fail: nothing stays, and the
// reader's error comes back as it is.
func TestPutFails(t *testing.T) {
	s := open(t, options(t))
	cause := errors.New("the client went away")
	for _, size := range []int{0, 100, 8 << 20, 18 << 20} {
		_, err := s.Put(t.Context(), blob.NewID(), io.MultiReader(bytes.NewReader(make([]byte, size)), iotest.ErrReader(cause)))
		if err != cause {
			t.Errorf("reader's error after %d bytes: %v", size, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Put(ctx, blob.NewID(), strings.NewReader("some")); mailbox.KindOf(err) != mailbox.Unavailable {
		t.Errorf("ended context: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	if _, err := s.Put(ctx, blob.NewID(), io.MultiReader(bytes.NewReader(make([]byte, 18<<20)), funcReader(func([]byte) (int, error) {
		cancel()
		return 0, io.EOF
	}))); mailbox.KindOf(err) != mailbox.Unavailable {
		t.Errorf("context that ends during the upload: %v", err)
	}
	if all := list(t, s); len(all) != 0 {
		t.Errorf("list: %v", all)
	}
}

type funcReader func([]byte) (int, error)

func (f funcReader) Read(b []byte) (int, error) { return f(b) }

// A faulty transport fails as it is told.
type faulty struct {
	http.RoundTripper
	fault    atomic.Pointer[func(*http.Request) (*http.Response, error)]
	requests atomic.Int32
}

func (f *faulty) RoundTrip(r *http.Request) (*http.Response, error) {
	f.requests.Add(1)
	if fault := f.fault.Load(); fault != nil {
		if resp, err := (*fault)(r); resp != nil || err != nil {
			return resp, err
		}
	}
	return f.RoundTripper.RoundTrip(r)
}

func (f *faulty) set(fault func(*http.Request) (*http.Response, error)) { f.fault.Store(&fault) }

func status(code int) func(r *http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: code, Status: http.StatusText(code), Request: r, Header: make(http.Header), Body: http.NoBody, ProtoMajor: 1, ProtoMinor: 1}, nil
	}
}

// TestFaults has the network and the server fail in all ways: the kind is
// Unavailable, and all works again when they do.
func TestFaults(t *testing.T) {
	o := options(t)
	tr := &faulty{RoundTripper: &http.Transport{}}
	o.Transport, o.Retries, o.Timeout, o.Chunk = tr, 1, 2*time.Second, 1000
	s := open(t, o)
	want := noise(5000)
	id := put(t, s, want)
	opened, err := s.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	read(t, opened) // the last piece is what it keeps
	for name, fault := range map[string]func(*http.Request) (*http.Response, error){
		"no network":       func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") },
		"server error":     status(http.StatusInternalServerError),
		"busy":             status(http.StatusServiceUnavailable),
		"disk full":        status(http.StatusInsufficientStorage),
		"credentials gone": status(http.StatusForbidden),
		"no answer": func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		},
		"cut answers": func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodHead || r.Method == http.MethodDelete || r.Method == http.MethodPut {
				return nil, io.ErrUnexpectedEOF
			}
			resp, err := tr.RoundTripper.RoundTrip(r)
			if err == nil {
				resp.Body = io.NopCloser(io.MultiReader(io.LimitReader(resp.Body, 300), iotest.ErrReader(io.ErrUnexpectedEOF)))
			}
			return resp, err
		},
	} {
		tr.set(fault)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		_, err := s.Put(ctx, blob.NewID(), bytes.NewReader(want))
		cancel()
		if mailbox.KindOf(err) != mailbox.Unavailable {
			t.Errorf("%s: put: %v", name, err)
		}
		if _, err := s.Open(t.Context(), id); mailbox.KindOf(err) != mailbox.Unavailable {
			t.Errorf("%s: open: %v", name, err)
		}
		if _, err := opened.ReadAt(make([]byte, 10), 1500); mailbox.KindOf(err) != mailbox.Unavailable {
			t.Errorf("%s: read: %v", name, err)
		}
		if err := s.Delete(t.Context(), put2(t, s, tr, fault)); mailbox.KindOf(err) != mailbox.Unavailable {
			t.Errorf("%s: delete: %v", name, err)
		}
		if name != "cut answers" {
			listed := error(nil)
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			for _, err := range s.List(ctx) {
				listed = err
			}
			cancel()
			if mailbox.KindOf(listed) != mailbox.Unavailable {
				t.Errorf("%s: list: %v", name, listed)
			}
		}
		tr.fault.Store(nil)
		if got := read(t, opened); !bytes.Equal(got, want) {
			t.Errorf("%s: afterwards %d bytes", name, len(got))
		}
	}
	o.Bucket = "other"
	tr.fault.Store(nil)
	if _, err := s3.Open(t.Context(), o); mailbox.KindOf(err) != mailbox.NonExistent {
		t.Errorf("open without a bucket: %v", err)
	}
}

// put2 stores a blob while there is no fault.
func put2(t *testing.T, s *s3.Store, tr *faulty, fault func(*http.Request) (*http.Response, error)) blob.ID {
	tr.fault.Store(nil)
	defer tr.set(fault)
	return put(t, s, []byte("x"))
}

// TestRequests counts requests: a message of some megabytes is stored in one, and
// opened with its first part in one.
func TestRequests(t *testing.T) {
	o := options(t)
	tr := &faulty{RoundTripper: &http.Transport{}}
	o.Transport = tr
	s := open(t, o)
	id := put(t, s, noise(3<<20)) // the first asks more
	count := func(what string, want int32, f func()) {
		t.Helper()
		before := tr.requests.Load()
		f()
		if n := tr.requests.Load() - before; n != want {
			t.Errorf("%s: %d requests, want %d", what, n, want)
		}
	}
	count("put", 1, func() { put(t, s, noise(3<<20)) })
	var b blob.Blob
	count("open", 1, func() {
		var err error
		if b, err = s.Open(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		b.ReadAt(make([]byte, 1<<20), 0)
	})
	count("read", 2, func() { read(t, b) })
	b.Close()
}
