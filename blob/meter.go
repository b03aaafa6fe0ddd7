package blob

import (
	"context"
	"io"
	"sync/atomic"
)

// Stats are figures of a Meter since it was made.
type Stats struct {
	Puts, Opens, Deletes    uint64 // that succeeded
	WrittenBytes, ReadBytes uint64
	Errors                  uint64 // of Put, Open, Delete and reading, "there is none" and the sender's included
}

// A Meter is a Store that counts what is done with another one.
type Meter struct {
	Store
	puts, opens, deletes, written, read, errors atomic.Uint64
}

// NewMeter returns a Meter of s.
func NewMeter(s Store) *Meter { return &Meter{Store: s} }

// Stats returns the figures as they are now.
func (m *Meter) Stats() Stats {
	return Stats{Puts: m.puts.Load(), Opens: m.opens.Load(), Deletes: m.deletes.Load(),
		WrittenBytes: m.written.Load(), ReadBytes: m.read.Load(), Errors: m.errors.Load()}
}

func (m *Meter) count(done *atomic.Uint64, err error) {
	if err != nil {
		m.errors.Add(1)
		return
	}
	done.Add(1)
}

// Put implements Store.
func (m *Meter) Put(ctx context.Context, id ID, r io.Reader) (int64, error) {
	n, err := m.Store.Put(ctx, id, r)
	m.count(&m.puts, err)
	if err == nil {
		m.written.Add(uint64(n))
	}
	return n, err
}

// Open implements Store.
func (m *Meter) Open(ctx context.Context, id ID) (Blob, error) {
	b, err := m.Store.Open(ctx, id)
	m.count(&m.opens, err)
	if err != nil {
		return nil, err
	}
	return &meteredBlob{b, m}, nil
}

// Delete implements Store.
func (m *Meter) Delete(ctx context.Context, id ID) error {
	err := m.Store.Delete(ctx, id)
	m.count(&m.deletes, err)
	return err
}

type meteredBlob struct {
	Blob
	meter *Meter
}

// ReadAt implements io.ReaderAt.
func (b *meteredBlob) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.Blob.ReadAt(p, off)
	b.meter.read.Add(uint64(n))
	if err != nil && err != io.EOF {
		b.meter.errors.Add(1)
	}
	return n, err
}
