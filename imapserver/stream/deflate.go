package stream

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

// A Deflate compresses for many connections (RFC 4978).
//
// A compressor is about a megabyte, so connections share a few: one takes it for a
// piece of output and gives it back, flushed and never closed. Each piece begins with
// an empty window, which costs some compression, and all of them together are one
// valid stream.
type Deflate struct {
	writers sync.Pool // of *flate.Writer
	outputs sync.Pool // of *bytes.Buffer
}

// NewDeflate returns a Deflate of a level from 1 (fastest) to 9 (smallest).
func NewDeflate(level int) (*Deflate, error) {
	if level < flate.BestSpeed || level > flate.BestCompression {
		return nil, errors.New("stream: compression level is not between 1 and 9")
	}
	d := &Deflate{}
	d.writers.New = func() any {
		w, _ := flate.NewWriter(io.Discard, level) // fails only for a wrong level
		return w
	}
	d.outputs.New = func() any { return new(bytes.Buffer) }
	return d, nil
}

// write compresses p and writes it to c. While it waits for the client it holds a
// piece of output, not a compressor.
func (d *Deflate) write(c *Conn, p []byte) (int, error) {
	out := d.outputs.Get().(*bytes.Buffer)
	defer d.outputs.Put(out)
	written := 0
	for written < len(p) {
		piece := p[written:min(written+pace, len(p))]
		out.Reset()
		if err := d.compress(out, piece); err != nil {
			return written, err
		}
		if _, err := c.write(out.Bytes()); err != nil {
			return written, err
		}
		written += len(piece)
	}
	return written, nil
}

func (d *Deflate) compress(out *bytes.Buffer, piece []byte) error {
	w := d.writers.Get().(*flate.Writer)
	defer d.writers.Put(w)
	w.Reset(out)
	if _, err := w.Write(piece); err != nil {
		return err
	}
	return w.Flush()
}

// inflateSize is how much is read for uncompressing at once. It is small because it
// stays with a connection that waits.
const inflateSize = 1 << 10

// An inflater uncompresses what the client sends. An error is for ever, so it must
// not read from something that times out.
type inflater struct {
	flate io.ReadCloser
	below byteReader
}

func newInflater(r io.Reader) *inflater {
	i := &inflater{below: byteReader{r: r}}
	i.flate = flate.NewReader(&i.below)
	return i
}

func (i *inflater) Read(p []byte) (int, error) {
	n, err := i.flate.Read(p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF // clients hang up without ending the stream
	}
	return n, err
}

// A byteReader is what keeps flate from putting a larger buffer of its own in front.
type byteReader struct {
	r      io.Reader
	unread []byte
	buf    [inflateSize]byte
}

func (b *byteReader) fill() error {
	for len(b.unread) == 0 {
		n, err := b.r.Read(b.buf[:])
		b.unread = b.buf[:n]
		if n == 0 && err != nil {
			return err
		}
	}
	return nil
}

func (b *byteReader) ReadByte() (byte, error) {
	if err := b.fill(); err != nil {
		return 0, err
	}
	c := b.unread[0]
	b.unread = b.unread[1:]
	return c, nil
}

func (b *byteReader) Read(p []byte) (int, error) {
	if err := b.fill(); err != nil {
		return 0, err
	}
	n := copy(p, b.unread)
	b.unread = b.unread[n:]
	return n, nil
}
