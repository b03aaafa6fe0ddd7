package stream

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

func newDeflate(t testing.TB) *Deflate {
	t.Helper()
	d, err := NewDeflate(1)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// text returns n bytes that compress about as mail does.
func text(r *rand.Rand, n int) string {
	words := strings.Fields("FETCH FLAGS UID ENVELOPE BODY Seen INTERNALDATE example.org Subject Received by for with ESMTPS")
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(words[r.IntN(len(words))])
		b.WriteByte(byte(r.IntN(256)))
	}
	return b.String()[:n]
}

// What shared compressors make, piece by piece, is one stream to the standard library's
// reader, and each piece is there as soon as it was written.
func TestDeflateWrite(t *testing.T) {
	d := newDeflate(t)
	var clients sync.WaitGroup
	for seed := range uint64(4) {
		client, server := loopback(t)
		c := accept(t, server, &Options{WriteTimeout: soon})
		if err := c.StartDeflate(d, 0); err != nil {
			t.Fatal(err)
		}
		clients.Go(func() {
			r := rand.New(rand.NewPCG(seed, 0))
			inflate := flate.NewReader(client)
			for range 100 {
				want := text(r, 1+r.IntN(2000))
				if r.IntN(50) == 0 {
					want = text(r, 1+r.IntN(4*pace))
				}
				var write sync.WaitGroup
				write.Go(func() { c.Write([]byte(want)) })
				got := make([]byte, len(want))
				_, err := io.ReadFull(inflate, got)
				write.Wait()
				if err != nil || string(got) != want {
					t.Errorf("client %d did not receive what was written: %v", seed, err)
					return
				}
			}
		})
	}
	clients.Wait()
}

func TestDeflateRead(t *testing.T) {
	client, server := loopback(t)
	c := accept(t, server, &Options{})
	if err := c.StartDeflate(newDeflate(t), 0); err != nil {
		t.Fatal(err)
	}
	w, err := flate.NewWriter(client, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		line := text(r, 1+r.IntN(3000))
		send(t, w, line)
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		receive(t, c, line)
	}
	client.Close() // without an end of the stream
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the client hung up: %v", err)
	}
}

func TestDeflateRules(t *testing.T) {
	client, server := loopback(t)
	c := accept(t, server, &Options{})
	if c.NetConn() != server || c.Compressed() {
		t.Error("an uncompressed stream can be waited for by its socket")
	}
	if err := c.StartDeflate(newDeflate(t), 3); !errors.Is(err, ErrPipelined) {
		t.Errorf("with bytes unread: %v", err)
	}
	if err := c.StartDeflate(newDeflate(t), 0); err != nil {
		t.Fatal(err)
	}
	if c.NetConn() != nil || !c.Compressed() {
		t.Error("a compressed stream cannot")
	}
	if err := c.SetReadDeadline(time.Now()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a time-out would end the reader: %v", err)
	}
	send(t, client, "\xff\xff\xff\xff")
	if _, err := c.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("garbage was read as %v", err)
	}
	for _, level := range []int{-2, 0, 10} {
		if _, err := NewDeflate(level); err == nil {
			t.Errorf("level %d is none", level)
		}
	}
}

// Whatever a client sends, uncompressing ends; and what the standard library accepts is read as it reads it.
func FuzzInflate(f *testing.F) {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 6)
	w.Write([]byte("a NOOP\r\n"))
	w.Flush()
	f.Add(b.Bytes())
	f.Add([]byte("\x00\x00\x00\xff\xff"))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := io.ReadAll(io.LimitReader(newInflater(bytes.NewReader(in)), 1<<20))
		want, wantErr := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(in)), 1<<20))
		if wantErr != nil {
			return // how soon garbage is seen as such may differ
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Fatal("not what the standard library reads")
		}
	})
}
