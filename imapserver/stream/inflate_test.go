package stream

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"
)

// A feed has what has been sent so far. Asking it for more is asking too much.
type feed struct{ bytes.Buffer }

var errStarved = errors.New("would wait")

func (f *feed) Read(p []byte) (int, error) {
	if f.Len() == 0 {
		return 0, errStarved
	}
	return f.Buffer.Read(p)
}

// TestPartialFlush reads what zlib wrote with Z_PARTIAL_FLUSH, as mbsync does: each
// piece must come out without any of the next one. The file has for each piece two
// lengths of 16 bits, the text and its compressed form.
func TestPartialFlush(t *testing.T) {
	data, err := os.ReadFile("testdata/partial_flush")
	if err != nil {
		t.Fatal(err)
	}
	sent := new(feed)
	i := newInflater(sent)
	for piece := 0; len(data) > 0; piece++ {
		n, m := int(binary.BigEndian.Uint16(data)), int(binary.BigEndian.Uint16(data[2:]))
		text, compressed := data[4:4+n], data[4+n:4+n+m]
		data = data[4+n+m:]
		sent.Write(compressed)
		got := make([]byte, n)
		if _, err := io.ReadFull(i, got); err != nil || !bytes.Equal(got, text) {
			t.Fatalf("piece %d of %d bytes: %.80q, %v", piece, n, got, err)
		}
	}
}

// TestInflate reads what the standard library writes at each level, so that every
// kind of block, long codes and far matches come.
func TestInflate(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	plain := append([]byte(text(r, 300_000)), bytes.Repeat([]byte{7}, 70_000)...)
	for range 100_000 {
		plain = append(plain, byte(r.Uint32()))
	}
	for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, level)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(plain); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(newInflater(&b))
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("level %d: %d bytes, %v", level, len(got), err)
		}
	}
}

func BenchmarkInflate(b *testing.B) {
	plain := []byte(text(rand.New(rand.NewPCG(1, 2)), 1<<20))
	var compressed bytes.Buffer
	w, _ := flate.NewWriter(&compressed, 6)
	w.Write(plain)
	w.Close()
	b.SetBytes(int64(len(plain)))
	for b.Loop() {
		if n, err := io.Copy(io.Discard, newInflater(bytes.NewReader(compressed.Bytes()))); err != nil || n != int64(len(plain)) {
			b.Fatal(n, err)
		}
	}
}
