// Package codec is the form in which nodes send each other events: frames in MessagePack or JSON.
//
// A frame is one byte of version, one byte that names the codec, and an envelope in that codec: which instance sent
// it, the number of its first event, the events. Whatever a newer node adds at the end of an array (MessagePack)
// or under a new name (JSON), and whole events of kinds that are not known, are skipped and counted. Decoding takes no more
// memory than a small multiple of the frame, whatever the frame claims.
package codec

import (
	"errors"
	"fmt"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// A Codec is a form of frames; its value is the byte that names it in a frame.
type Codec byte

// The codecs. Every node reads both.
const (
	MessagePack Codec = 'm'
	JSON        Codec = 'j'
)

// Bounds of what is sent.
const (
	MaxEvent = 64 << 10  // bytes of one event; of a larger Change only that it was is told
	MaxFrame = 256 << 10 // bytes of a frame
	MaxList  = 4096      // events in a frame, and FlagChanges in a Change
)

// version is the first byte of a frame. Another one means that nothing after it can be understood.
const version = 1

// overhead is more than a frame takes besides its events, without what separates them.
const overhead = 128

// The errors of this package.
var (
	ErrVersion   = errors.New("frame of another version or codec")
	ErrMalformed = errors.New("malformed frame")
	ErrTooLarge  = errors.New("event or frame is too large")
)

// Parse returns the codec of a name as String has it.
func Parse(name string) (Codec, error) {
	for _, c := range []Codec{MessagePack, JSON} {
		if c.String() == name {
			return c, nil
		}
	}
	return 0, fmt.Errorf("codec %q is none of msgpack, json", name)
}

// String names the codec as it is configured.
func (c Codec) String() string {
	switch c {
	case MessagePack:
		return "msgpack"
	case JSON:
		return "json"
	}
	return fmt.Sprintf("codec %d", byte(c))
}

// A Frame is what came from another node.
type Frame struct {
	Origin uint64 // the instance that sent it
	First  uint64 // number of the first event, in the sequence of this sender and this receiver
	Events []mailbox.Event

	Unknown  int // events of kinds that this version does not know; they have numbers too
	Trailing int // events with fields that this version does not know
}

// Next is the number after those that the frame takes.
func (f *Frame) Next() uint64 { return f.First + uint64(len(f.Events)+f.Unknown) }

// AppendEvent writes one event for AppendFrame. A Change that is over the bounds is written as Truncated; anything else that is, is
// ErrTooLarge.
func (c Codec) AppendEvent(dst []byte, e *mailbox.Event) ([]byte, error) {
	var out []byte
	many := e.Change != nil && len(e.Change.Flags) > MaxList
	if !many {
		out = c.appendEvent(dst, e)
	}
	if many || len(out)-len(dst) > MaxEvent && e.Change != nil {
		short, change := *e, *e.Change
		change.Added, change.Flags, change.Expunged, change.Truncated = nil, nil, nil, true
		short.Change = &change
		out = c.appendEvent(dst, &short)
	}
	if len(out)-len(dst) > MaxEvent {
		return dst, ErrTooLarge
	}
	return out, nil
}

func (c Codec) appendEvent(dst []byte, e *mailbox.Event) []byte {
	if c == JSON {
		return c.nextVersion(appendJSONEvent(dst, e), len(dst))
	}
	return c.nextVersion(appendPackedEvent(dst, e), len(dst))
}

// Fits says how many of events, written by AppendEvent, go into one frame of about size bytes, which is MaxFrame at most: one at least, if there is
// one.
func Fits(events [][]byte, size int) int {
	size = min(size, MaxFrame) - overhead
	for i, e := range events[:min(len(events), MaxList)] {
		size -= len(e) + 1
		if size < 0 {
			return max(i, 1)
		}
	}
	return min(len(events), MaxList)
}

// AppendFrame writes a frame of events that AppendEvent wrote in the same codec.
func (c Codec) AppendFrame(dst []byte, origin, first uint64, events [][]byte) []byte {
	dst = append(dst, version, byte(c))
	if c == JSON {
		return appendJSONFrame(dst, origin, first, events)
	}
	return appendPackedFrame(dst, origin, first, events)
}

// Decode reads a frame in any codec. Its error is ErrVersion, ErrMalformed or ErrTooLarge. What it returns keeps nothing of b.
func Decode(b []byte) (Frame, error) {
	switch {
	case len(b) > MaxFrame:
		return Frame{}, ErrTooLarge
	case len(b) < 2:
		return Frame{}, ErrMalformed
	case b[0] != version:
		return Frame{}, ErrVersion
	}
	var f Frame
	var ok bool
	switch Codec(b[1]) {
	case MessagePack:
		f, ok = decodePacked(b[2:])
	case JSON:
		f, ok = decodeJSON(b[2:])
	default:
		return Frame{}, ErrVersion
	}
	if !ok {
		return Frame{}, ErrMalformed
	}
	return f, nil
}

// known says whether this version has events of a kind.
func known(kind uint64) bool {
	return kind >= uint64(mailbox.EventChanged) && kind <= uint64(mailbox.EventCredentialsChanged)
}

// valid says whether e can have been published. The mailbox and account of a Change are the event's.
func valid(e *mailbox.Event) bool {
	if e.Change == nil {
		return e.Kind != mailbox.EventChanged
	}
	c := e.Change
	c.Mailbox, c.Account = e.Mailbox, e.Account
	return e.Kind == mailbox.EventChanged && c.Prev <= c.ModSeq && c.ModSeq <= 1<<63-1 &&
		c.Counts.Size >= 0 && c.Counts.DeletedSize >= 0
}

// follows says whether a range may stand after one that ends in last, in a static set that is ascending and disjoint.
func follows(last, start, stop uint64) bool {
	return last < start && start <= stop && stop <= 1<<32-1
}

// uidRange makes a range of numbers that follows has accepted.
func uidRange(start, stop uint64) imap.UIDRange {
	return imap.UIDRange{Start: imap.UID(start), Stop: imap.UID(stop)}
}
