package incoming

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/klauspost/compress/zstd"

	"github.com/starling-mail/starling/mailbox"
)

// An Encoding says how a stored body is packed. Values are never reused.
type Encoding byte

// The encodings.
const (
	Plain Encoding = 0
	Zstd  Encoding = 1 // one zstd frame (RFC 8878)
)

// MaxInline is the largest body that a store may keep beside its metadata.
const MaxInline = 1 << 20

// minPack is the size below which packing is not tried.
const minPack = 512

// A Codec packs and unpacks bodies. It may be used concurrently. The zero Codec
// packs nothing and unpacks only what is Plain.
type Codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

// NewCodec returns a Codec for bodies of up to MaxInline bytes. With compress
// unset it packs nothing, but unpacks whatever was packed.
func NewCodec(compress bool) (*Codec, error) {
	c := &Codec{}
	var err error
	if c.dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(runtime.GOMAXPROCS(0)), zstd.WithDecoderMaxMemory(MaxInline)); err != nil {
		return nil, err
	}
	if compress {
		c.enc, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)),
			zstd.WithWindowSize(64<<10), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	}
	return c, err
}

// Pack returns body as it should be stored, in memory of its own.
func (c *Codec) Pack(body []byte) ([]byte, Encoding) {
	if c.enc != nil && len(body) >= minPack {
		// An eighth saved is what makes up for unpacking it again and again.
		if b := c.enc.EncodeAll(body, make([]byte, 0, len(body))); len(b) <= len(body)-len(body)/8 {
			return append(make([]byte, 0, len(b)), b...), Zstd
		}
	}
	return append(make([]byte, 0, len(body)), body...), Plain
}

// Unpack returns the body of size bytes that Pack packed, in memory of its own.
// An Error of kind Corrupt says that data is no such body.
func (c *Codec) Unpack(data []byte, e Encoding, size int64) ([]byte, error) {
	corrupt := func(err error) error { return &mailbox.Error{Kind: mailbox.Corrupt, Op: "read body", Err: err} }
	if size < 0 || size > MaxInline {
		return nil, corrupt(fmt.Errorf("a stored body of %d bytes", size))
	}
	var body []byte
	switch {
	case e == Plain:
		body = append(make([]byte, 0, len(data)), data...)
	case e == Zstd && c.dec != nil:
		var err error
		if body, err = c.dec.DecodeAll(data, make([]byte, 0, size)); err != nil {
			return nil, corrupt(err)
		}
	default:
		return nil, corrupt(errors.New("unknown encoding"))
	}
	if int64(len(body)) != size {
		return nil, corrupt(fmt.Errorf("%d bytes, want %d", len(body), size))
	}
	return body, nil
}

// Close frees what the codec holds.
func (c *Codec) Close() {
	if c.enc != nil {
		c.enc.Close()
	}
	if c.dec != nil {
		c.dec.Close()
	}
}
