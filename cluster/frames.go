package cluster

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"

	"github.com/starling-mail/starling/eventbus/codec"
)

// What goes over a stream, from the one that opened it: frames, each after its length in four bytes; the first is a hello, the others are
// codec's. Back come answers of eight bytes: the number that is expected next, after the hello, after each frame without
// events, and every heartbeat interval while there is much to read.

const (
	frameHead  = 4
	answerSize = 8
	helloSize  = 36
	maxHello   = 1 << 10 // with what newer nodes add
)

// helloMagic begins a hello; its last byte is the version of what goes over the stream.
var helloMagic = [4]byte{'S', 'T', 'S', 1}

var (
	errHello    = errors.New("not a hello that this version understands")
	errTooLarge = errors.New("frame is too large")
)

// A hello says who sends what to whom.
type hello struct {
	to       uint64 // instance of the receiver
	instance uint64 // of the sender
	line     uint64 // of the numbers
	next     uint64 // number of the first event to come
}

func (h *hello) append(dst []byte) []byte {
	dst = append(dst, helloMagic[:]...)
	for _, v := range []uint64{h.to, h.instance, h.line, h.next} {
		dst = binary.BigEndian.AppendUint64(dst, v)
	}
	return dst
}

func parseHello(b []byte) (h hello, err error) {
	if len(b) < helloSize || [4]byte(b) != helloMagic {
		return hello{}, errHello
	}
	b = b[len(helloMagic):]
	for i, v := range []*uint64{&h.to, &h.instance, &h.line, &h.next} {
		*v = binary.BigEndian.Uint64(b[8*i:])
	}
	return h, nil
}

// appendFrame appends what write appends, with its length before it.
func appendFrame(dst []byte, write func([]byte) []byte) []byte {
	at := len(dst)
	dst = write(append(dst, 0, 0, 0, 0))
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-frameHead))
	return dst
}

// readFrame reads one frame into buf, which it makes larger if it must, but not before the bytes have come.
func readFrame(r *bufio.Reader, buf []byte, limit int) ([]byte, error) {
	head, err := r.Peek(frameHead)
	if err != nil {
		return buf[:0], err
	}
	size := binary.BigEndian.Uint32(head)
	if uint64(size) > uint64(limit) {
		return buf[:0], errTooLarge
	}
	if _, err := r.Discard(frameHead); err != nil {
		return buf[:0], err
	}
	if cap(buf) < int(size) {
		buf = make([]byte, size, min(2*int(size), codec.MaxFrame))
	}
	buf = buf[:size]
	_, err = io.ReadFull(r, buf)
	return buf, err
}
