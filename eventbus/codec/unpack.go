package codec

import (
	"bytes"
	"io"
	"math"

	"github.com/emersion/go-imap/v2"
	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"github.com/starling-mail/starling/mailbox"
)

// An unpacker reads MessagePack from b. Every length is checked against what is left before anything is made of it: the library trusts
// them in some places. After a failure it gives zero values.
type unpacker struct {
	b        []byte
	r        *bytes.Reader // over b
	d        *msgpack.Decoder
	failed   bool
	trailing bool // elements that this version does not know were skipped
}

func decodePacked(b []byte) (f Frame, ok bool) {
	u := &unpacker{b: b, r: bytes.NewReader(b), d: msgpack.GetDecoder()}
	defer msgpack.PutDecoder(u.d)
	u.d.Reset(u.r) // which reads no more than it needs from a ByteScanner

	extra := u.list(frameFields)
	f.Origin = u.uint(math.MaxUint64)
	f.First = u.uint(math.MaxUint64)
	n := u.list(0)
	if n > MaxList {
		return Frame{}, false
	}
	for range n {
		u.trailing = false
		e, known := u.event()
		switch {
		case u.failed:
			return Frame{}, false
		case !known:
			f.Unknown++
			continue
		case !valid(&e):
			return Frame{}, false
		}
		f.Events = append(f.Events, e)
		if u.trailing {
			f.Trailing++
		}
	}
	u.skip(extra)
	return f, !u.failed && u.r.Len() == 0
}

// event reads one event; of an unknown kind nothing but that.
func (u *unpacker) event() (e mailbox.Event, ok bool) {
	fields := u.list(0)
	if fields < 1 {
		u.failed = true
		return e, false
	}
	kind := u.uint(math.MaxUint64)
	if !known(kind) {
		u.skip(fields - 1)
		return e, false
	}
	if fields < eventFields {
		u.failed = true
		return e, false
	}
	e.Kind = mailbox.EventKind(kind)
	e.Account = u.id()
	e.Mailbox = u.id()
	e.Name = u.text()
	e.OldName = u.text()
	e.User = u.id()
	if !u.absent() {
		e.Change = u.change()
	}
	u.rest(fields - eventFields)
	return e, !u.failed
}

func (u *unpacker) change() *mailbox.Change {
	extra := u.list(changeFields)
	c := &mailbox.Change{
		Line:     u.uint(math.MaxUint64),
		Prev:     mailbox.ModSeq(u.uint(math.MaxInt64)),
		ModSeq:   mailbox.ModSeq(u.uint(math.MaxInt64)),
		Added:    u.uids(),
		Expunged: u.uids(),
	}
	n := u.list(0)
	u.check(n <= MaxList)
	for range n {
		extra := u.list(flagsFields)
		f := mailbox.FlagChange{Flags: mailbox.Flags{System: mailbox.SystemFlags(u.uint(math.MaxUint8)), Keywords: u.text()}, User: u.id(), UIDs: u.uids()}
		u.rest(extra)
		if u.failed {
			return c
		}
		c.Flags = append(c.Flags, f)
	}
	more := u.list(countsFields)
	c.Counts = mailbox.Counts{
		Messages: uint32(u.uint(math.MaxUint32)), Unseen: uint32(u.uint(math.MaxUint32)), Deleted: uint32(u.uint(math.MaxUint32)),
		Size: int64(u.uint(math.MaxInt64)), DeletedSize: int64(u.uint(math.MaxInt64)), UIDNext: imap.UID(u.uint(math.MaxUint32)),
	}
	u.rest(more)
	v, err := u.d.DecodeBool()
	c.Truncated = v
	u.check(err == nil)
	u.rest(extra)
	return c
}

func (u *unpacker) uids() imap.UIDSet {
	n := u.list(0)
	if u.failed || n%2 != 0 {
		u.failed = true
		return nil
	}
	if n == 0 {
		return nil
	}
	set := make(imap.UIDSet, 0, n/2)
	last := uint64(0)
	for range n / 2 {
		start := last + u.uint(math.MaxUint32)
		stop := start + u.uint(math.MaxUint32)
		if u.check(follows(last, start, stop)); u.failed {
			return nil
		}
		set = append(set, uidRange(start, stop))
		last = stop
	}
	return set
}

// check notes a failure unless ok.
func (u *unpacker) check(ok bool) {
	if !ok {
		u.failed = true
	}
}

// list reads the head of an array of at least least elements and returns how many there are besides.
func (u *unpacker) list(least int) int {
	if u.failed {
		return 0
	}
	n, err := u.d.DecodeArrayLen()
	if u.check(err == nil && n >= least && n <= u.r.Len()); u.failed { // an element takes one byte at least
		return 0
	}
	return n - least
}

// uint reads a number of at most limit.
func (u *unpacker) uint(limit uint64) uint64 {
	if u.failed {
		return 0
	}
	code, err := u.d.PeekCode()
	// The library reads negative numbers and nil as unsigned ones too.
	unsigned := code <= msgpcode.PosFixedNumHigh || code >= msgpcode.Uint8 && code <= msgpcode.Uint64
	if u.check(err == nil && unsigned); u.failed {
		return 0
	}
	v, err := u.d.DecodeUint64()
	if u.check(err == nil && v <= limit); u.failed {
		return 0
	}
	return v
}

// take reads the head of a text or byte string and returns its bytes, which are u's.
func (u *unpacker) take() []byte {
	if u.failed {
		return nil
	}
	n, err := u.d.DecodeBytesLen()
	if u.check(err == nil && n >= 0 && n <= u.r.Len()); u.failed {
		return nil
	}
	return u.next(n)
}

// next takes n bytes, which are left.
func (u *unpacker) next(n int) []byte {
	at := len(u.b) - u.r.Len()
	_, err := u.r.Seek(int64(n), io.SeekCurrent)
	u.check(err == nil)
	return u.b[at : at+n]
}

func (u *unpacker) text() string { return string(u.take()) }

// id reads an id that may be absent.
func (u *unpacker) id() (id [16]byte) {
	if u.absent() {
		return id
	}
	b := u.take()
	if u.check(len(b) == len(id)); !u.failed {
		copy(id[:], b)
	}
	return id
}

// absent takes a nil, if that is next.
func (u *unpacker) absent() bool {
	if u.failed {
		return true
	}
	code, err := u.d.PeekCode()
	if u.check(err == nil); u.failed || code != msgpcode.Nil {
		return u.failed
	}
	u.check(u.d.DecodeNil() == nil)
	return true
}

// rest skips n elements that this version does not know.
func (u *unpacker) rest(n int) {
	if n > 0 {
		u.trailing = true
	}
	u.skip(n)
}
