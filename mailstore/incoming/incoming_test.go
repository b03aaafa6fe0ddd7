package incoming

import (
	"bytes"
	"crypto/rand"

	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/starling-mail/starling/blob/fs"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/message"
)

func codec(t testing.TB, compress bool) *Codec {
	t.Helper()
	c, err := NewCodec(compress)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func receiver(t *testing.T, inline int) *Receiver {
	t.Helper()
	files, err := fs.OS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := fs.Open(files)
	if err != nil {
		t.Fatal(err)
	}
	return NewReceiver(inline, message.Limits{}, blobs, codec(t, true))
}

const mail = "Message-ID: <me@x>\r\nIn-Reply-To: <parent@x>\r\nReferences: <root@x> <parent@x>\r\nSubject: s\r\n\r\ntext\r\n"

// TestSame wants the same facts of a message whether it is kept inline or in a
// blob, and however its bytes come.
func TestSame(t *testing.T) {
	small, large := receiver(t, 1000), receiver(t, 20)
	a, err := small.Receive(t.Context(), strings.NewReader(mail), 1000)
	if err != nil {
		t.Fatal(err)
	}
	b, err := large.Receive(t.Context(), iotest.OneByteReader(strings.NewReader(mail)), 1000)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Discard()
	if !a.Blob.IsZero() || b.Blob.IsZero() || b.Data != nil {
		t.Fatalf("blobs %s and %s", a.Blob, b.Blob)
	}
	if a.EmailID != b.EmailID || a.Thread != b.Thread || !bytes.Equal(a.Structure, b.Structure) || a.Preview != b.Preview || a.Size() != b.Size() || a.Size() != int64(len(mail)) {
		t.Errorf("inline %+v\nblob   %+v", a, b)
	}
	if !a.HasID || len(a.Keys) != 4 || a.Keys[0] != threadKey("me@x") || a.Keys[1] != threadKey("parent@x") || a.Thread != threadKey("root@x") {
		t.Errorf("thread %x of keys %x", a.Thread, a.Keys)
	}
	got, err := small.codec.Unpack(a.Data, a.Encoding, a.Size())
	if err != nil || string(got) != mail {
		t.Errorf("unpacked %q, %v", got, err)
	}
	if !a.From(small) || a.From(large) {
		t.Error("whose draft it is")
	}
}

// TestReused receives through the same pooled parsers: nothing of one message
// shows in the next.
func TestReused(t *testing.T) {
	rc := receiver(t, 1000)
	first, err := rc.Receive(t.Context(), strings.NewReader(mail), 1000)
	if err != nil {
		t.Fatal(err)
	}
	structure := bytes.Clone(first.Structure)
	for range 10 {
		d, err := rc.Receive(t.Context(), strings.NewReader("no header at all"), 1000)
		if err != nil {
			t.Fatal(err)
		}
		if d.HasID || len(d.Keys) > 0 || d.Thread != d.EmailID {
			t.Fatalf("%+v", d)
		}
	}
	if !bytes.Equal(first.Structure, structure) {
		t.Error("the first one's structure changed")
	}
}

// TestLife follows a draft's blob: it goes when nobody can need it any more.
func TestLife(t *testing.T) {
	for name, c := range map[string]struct {
		steps string // u: use, s: done stored, f: done not stored, d: discard
		there bool
	}{
		"discarded":                 {"d", false},
		"discarded twice":           {"dd", false},
		"append failed":             {"ufd", false},
		"appended":                  {"usd", true},
		"appended, then failed":     {"usufd", true},
		"discarded while appending": {"uds", true},
		"discarded, then failed":    {"udf", false},
		"two appends":               {"uudfs", true},
		"in use":                    {"u", true},
	} {
		t.Run(name, func(t *testing.T) {
			rc := receiver(t, 10)
			d, err := rc.Receive(t.Context(), strings.NewReader(mail), 1000)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range c.steps {
				switch s {
				case 'u':
					if !d.Use() {
						t.Error("not usable")
					}
				case 's', 'f':
					d.Done(s == 's')
				case 'd':
					d.Discard()
				}
			}
			b, err := rc.blobs.Open(t.Context(), d.Blob)
			if (err == nil) != c.there {
				t.Errorf("open: %v", err)
			}
			if err == nil {
				b.Close()
			}
			if ended := strings.Contains(c.steps, "d"); rc.Pending(d.Blob) == ended || ended && d.Use() {
				t.Errorf("pending: %v", rc.Pending(d.Blob))
			}
		})
	}
}

func TestTooBig(t *testing.T) {
	for _, inline := range []int{10, 1000} {
		rc := receiver(t, inline)
		if _, err := rc.Receive(t.Context(), strings.NewReader(mail), int64(len(mail))-1); mailbox.KindOf(err) != mailbox.TooBig {
			t.Errorf("inline %d: %v", inline, err)
		}
		// It must not read on for ever to learn that.
		if _, err := rc.Receive(t.Context(), endless{}, 1<<16); mailbox.KindOf(err) != mailbox.TooBig {
			t.Errorf("inline %d, endless: %v", inline, err)
		}
		if len(rc.pending) > 0 {
			t.Errorf("pending: %v", rc.pending)
		}
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

func TestConcurrentReceive(t *testing.T) {
	rc := receiver(t, 60)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for n := range 20 {
				text := strings.Repeat("x", w*10+n)
				d, err := rc.Receive(t.Context(), strings.NewReader(text), 1000)
				if err != nil {
					t.Error(err)
					return
				}
				if d.Size() != int64(len(text)) {
					t.Errorf("%d bytes became %d", len(text), d.Size())
				}
				d.Discard()
			}
		})
	}
	wg.Wait()
}

// TestPack packs what pays and nothing else.
func TestPack(t *testing.T) {
	text, noise := []byte(strings.Repeat("the same line again\r\n", 200)), make([]byte, 4000)
	rand.Read(noise)
	for _, c := range []struct {
		body     []byte
		compress bool
		want     Encoding
	}{
		{text, true, Zstd}, {text, false, Plain}, {noise, true, Plain}, {text[:100], true, Plain}, {nil, true, Plain},
	} {
		data, e := codec(t, c.compress).Pack(c.body)
		if e != c.want || len(data) > len(c.body) {
			t.Errorf("%d bytes, compress %v: encoding %d, %d bytes", len(c.body), c.compress, e, len(data))
		}
		// Whatever packs, all unpack.
		got, err := codec(t, false).Unpack(data, e, int64(len(c.body)))
		if err != nil || !bytes.Equal(got, c.body) {
			t.Errorf("unpacked: %d bytes, %v", len(got), err)
		}
	}
}

// FuzzUnpack gives stored bytes that are anything: Unpack tells what is no body,
// and never makes more than it was asked for.
func FuzzUnpack(f *testing.F) {
	c := codec(f, true)
	data, _ := c.Pack([]byte(strings.Repeat("the same line again\r\n", 50)))
	f.Add(data, byte(Zstd), int64(1050))
	f.Add(data, byte(Zstd), int64(10))
	f.Add([]byte("plain"), byte(Plain), int64(5))
	f.Add([]byte("plain"), byte(9), int64(5))
	f.Add([]byte{}, byte(Zstd), int64(-1))
	f.Fuzz(func(t *testing.T, data []byte, e byte, size int64) {
		body, err := c.Unpack(data, Encoding(e), size)
		if err == nil && int64(len(body)) != size || err != nil && mailbox.KindOf(err) != mailbox.Corrupt {
			t.Errorf("%d bytes, want %d: %v", len(body), size, err)
		}
	})
}

// BenchmarkPack packs real mail and says what is saved, if it is told where some is.
func BenchmarkPack(b *testing.B) {
	corpus := os.Getenv("STARLING_CORPUS")
	if corpus == "" {
		b.Skip("STARLING_CORPUS does not name a folder of mail")
	}
	var mails [][]byte
	total := 0
	if err := filepath.WalkDir(corpus, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		m, err := os.ReadFile(path)
		if len(m) <= 64<<10 {
			mails = append(mails, m)
			total += len(m)
		}
		return err
	}); err != nil {
		b.Fatal(err)
	}
	c := codec(b, true)
	b.SetBytes(int64(total))
	packed := 0
	for b.Loop() {
		packed = 0
		for _, m := range mails {
			data, _ := c.Pack(m)
			packed += len(data)
		}
	}
	b.ReportMetric(100*float64(packed)/float64(total), "%-of-size")
}
