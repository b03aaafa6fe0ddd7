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

// write compresses p and writes it to c.
func (d *Deflate) write(c *Conn, p []byte) (int, error) { return d.Compress(c.write, p) }

// Compress compresses p and hands it to write in pieces, each flushed, so that the other side can read
// all of p. It returns how much of p has been written. While it is in write it holds a piece of
// output, not a compressor.
func (d *Deflate) Compress(write func([]byte) (int, error), p []byte) (int, error) {
	out := d.outputs.Get().(*bytes.Buffer)
	defer d.outputs.Put(out)
	written := 0
	for written < len(p) {
		piece := p[written:min(written+pace, len(p))]
		out.Reset()
		if err := d.compress(out, piece); err != nil {
			return written, err
		}
		if _, err := write(out.Bytes()); err != nil {
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
