package message

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// ErrCorrupt is returned for bytes that are not a stored Message.
var ErrCorrupt = errors.New("message: corrupt stored structure")

// storedVersion is the first octet of the stored form.
const storedVersion = 1

// Flags of a Message in the stored form.
const (
	hasNUL = 1 << iota
	hasDate
)

// What of a Part is present in the stored form.
const (
	hasParams = 1 << iota
	hasID
	hasDescription
	hasDisposition
	hasLanguage
	hasLocation
	hasMD5
	hasChildren
)

// AppendBinary appends the stored form of m to dst: compact, versioned, read by [Decode].
func (m *Message) AppendBinary(dst []byte) []byte {
	var flags byte
	if m.HasNUL {
		flags |= hasNUL
	}
	if !m.Date.IsZero() {
		flags |= hasDate
	}
	dst = append(dst, storedVersion, flags)
	dst = appendText(dst, m.Envelope)
	dst = binary.AppendUvarint(dst, uint64(m.Size))
	if !m.Date.IsZero() {
		_, offset := m.Date.Zone()
		dst = binary.AppendVarint(dst, m.Date.Unix())
		dst = binary.AppendVarint(dst, int64(offset))
	}
	dst = appendText(dst, m.MessageID)
	dst = appendTexts(dst, m.InReplyTo)
	dst = appendTexts(dst, m.References)
	dst = appendText(dst, m.Subject)
	dst = appendText(dst, m.Preview)
	return m.Root.appendBinary(dst, 0)
}

// appendBinary appends the part; its offsets are relative to from.
func (p *Part) appendBinary(dst []byte, from int64) []byte {
	var flags byte
	set := func(bit byte, present bool) {
		if present {
			flags |= bit
		}
	}
	set(hasParams, len(p.Params) > 0)
	set(hasID, p.ID != "")
	set(hasDescription, p.Description != "")
	set(hasDisposition, p.Disposition != "")
	set(hasLanguage, len(p.Language) > 0)
	set(hasLocation, p.Location != "")
	set(hasMD5, p.MD5 != "")
	set(hasChildren, len(p.Children) > 0)

	dst = append(dst, flags)
	dst = appendText(dst, p.Type)
	dst = appendText(dst, p.Subtype)
	dst = appendText(dst, p.Encoding)
	dst = binary.AppendUvarint(dst, uint64(p.HeaderStart-from))
	dst = binary.AppendUvarint(dst, uint64(p.BodyStart-p.HeaderStart))
	dst = binary.AppendUvarint(dst, uint64(p.End-p.BodyStart))
	dst = binary.AppendUvarint(dst, uint64(p.Lines))
	if flags&hasParams != 0 {
		dst = appendParamsBinary(dst, p.Params)
	}
	if flags&hasID != 0 {
		dst = appendText(dst, p.ID)
	}
	if flags&hasDescription != 0 {
		dst = appendText(dst, p.Description)
	}
	if flags&hasDisposition != 0 {
		dst = appendText(dst, p.Disposition)
		dst = appendParamsBinary(dst, p.DispositionParams)
	}
	if flags&hasLanguage != 0 {
		dst = appendTexts(dst, p.Language)
	}
	if flags&hasLocation != 0 {
		dst = appendText(dst, p.Location)
	}
	if flags&hasMD5 != 0 {
		dst = appendText(dst, p.MD5)
	}
	if flags&hasChildren == 0 {
		return dst
	}
	if p.IsMessage() {
		dst = appendText(dst, p.Envelope)
	}
	dst = binary.AppendUvarint(dst, uint64(len(p.Children)))
	at := p.BodyStart
	for _, c := range p.Children {
		dst = c.appendBinary(dst, at)
		at = c.End
	}
	return dst
}

func appendText[T string | []byte](dst []byte, s T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendTexts(dst []byte, list []string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, s := range list {
		dst = appendText(dst, s)
	}
	return dst
}

func appendParamsBinary(dst []byte, params []Param) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(params)))
	for _, q := range params {
		dst = appendText(dst, q.Name)
		dst = appendText(dst, q.Value)
	}
	return dst
}

// Decode reads a stored Message. Its Envelopes share memory with b, which must not be changed afterwards. The error is
// [ErrCorrupt]; whatever b is, no more is allocated than a multiple of its length, and the ranges of what is
// returned are nested and in bounds. (Envelopes are not looked into.)
func Decode(b []byte) (*Message, error) {
	d := decoder{b: b, s: string(b), parts: len(b) / minPart}
	m := new(Message)
	flags, envelope := d.preamble()
	m.HasNUL = flags&hasNUL != 0
	m.Envelope = envelope
	m.Size = d.length()
	if flags&hasDate != 0 {
		unix, offset := d.varint(), d.varint()
		if offset <= -maxZone || offset >= maxZone || unix < minUnix || unix > maxUnix {
			return nil, ErrCorrupt
		}
		m.Date = time.Unix(unix, 0).In(zone(int(offset)))
	}
	m.MessageID = d.text()
	m.InReplyTo = d.texts()
	m.References = d.texts()
	m.Subject = d.text()
	m.Preview = d.text()
	d.part(&m.Root, 0, m.Size, maxDepth+1)
	if d.failed || d.at != len(b) || m.Root.HeaderStart != 0 || m.Root.End != m.Size {
		return nil, ErrCorrupt
	}
	return m, nil
}

// DecodeEnvelope returns only the Envelope of a stored Message, at no cost. It shares memory with b.
func DecodeEnvelope(b []byte) ([]byte, error) {
	d := decoder{b: b}
	_, envelope := d.preamble()
	if d.failed {
		return nil, ErrCorrupt
	}
	return envelope, nil
}

// A decoder reads the stored form. After a failure it gives zero values.
type decoder struct {
	b      []byte
	s      string // the same bytes: all texts are pieces of this one copy
	at     int
	parts  int // that there may still be: counts at each depth must not add up
	failed bool
}

func (d *decoder) fail() {
	d.failed = true
	d.at = len(d.b)
}

func (d *decoder) octet() byte {
	if d.at >= len(d.b) {
		d.fail()
		return 0
	}
	d.at++
	return d.b[d.at-1]
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b[d.at:])
	if n <= 0 {
		d.fail()
		return 0
	}
	d.at += n
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b[d.at:])
	if n <= 0 {
		d.fail()
		return 0
	}
	d.at += n
	return v
}

// length reads a number of octets or lines; sums of a few of them cannot overflow.
func (d *decoder) length() int64 {
	v := d.uvarint()
	if v > math.MaxInt64/4 {
		d.fail()
		return 0
	}
	return int64(v)
}

// count reads the number of items that follow, each at least size octets long.
func (d *decoder) count(size int) int {
	v := d.uvarint()
	if v > uint64((len(d.b)-d.at)/size) {
		d.fail()
		return 0
	}
	return int(v)
}

func (d *decoder) bytes() []byte {
	n := d.count(1)
	d.at += n
	return d.b[d.at-n : d.at : d.at]
}

func (d *decoder) text() string {
	n := d.count(1)
	if n == 0 {
		return ""
	}
	d.at += n
	return d.s[d.at-n : d.at]
}

func (d *decoder) texts() []string {
	n := d.count(1)
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = d.text()
	}
	return list
}

func (d *decoder) params() []Param {
	n := d.count(2)
	if n == 0 {
		return nil
	}
	params := make([]Param, n)
	for i := range params {
		params[i] = Param{d.text(), d.text()}
	}
	return params
}

// preamble reads what stands before the parts of unequal age: version, flags, and the envelope, which is wanted alone.
func (d *decoder) preamble() (flags byte, envelope []byte) {
	if d.octet() != storedVersion {
		d.fail()
	}
	flags = d.octet()
	if flags&^(hasNUL|hasDate) != 0 {
		d.fail()
	}
	return flags, d.bytes()
}

// minPart is the fewest octets of a stored Part: flags, three texts, four numbers.
const minPart = 8

// part reads a part that must lie between from and limit.
func (d *decoder) part(p *Part, from, limit int64, depth int) {
	flags := d.octet()
	p.Type, p.Subtype, p.Encoding = d.text(), d.text(), d.text()
	p.HeaderStart = from + d.length()
	p.BodyStart = p.HeaderStart + d.length()
	p.End = p.BodyStart + d.length()
	p.Lines = d.length()
	if p.HeaderStart > limit || p.BodyStart > limit || p.End > limit || p.Lines > p.End-p.BodyStart || depth == 0 || d.failed {
		d.fail()
		return
	}
	if flags&hasParams != 0 {
		p.Params = d.params()
	}
	if flags&hasID != 0 {
		p.ID = d.text()
	}
	if flags&hasDescription != 0 {
		p.Description = d.text()
	}
	if flags&hasDisposition != 0 {
		p.Disposition = d.text()
		p.DispositionParams = d.params()
	}
	if flags&hasLanguage != 0 {
		p.Language = d.texts()
	}
	if flags&hasLocation != 0 {
		p.Location = d.text()
	}
	if flags&hasMD5 != 0 {
		p.MD5 = d.text()
	}

	isMessage, isMultipart := p.IsMessage(), p.IsMultipart()
	if (flags&hasChildren != 0) != (isMessage || isMultipart) {
		d.fail()
	}
	if flags&hasChildren == 0 || d.failed {
		return
	}
	if isMessage {
		p.Envelope = d.bytes()
	}
	n := d.count(minPart)
	if d.parts -= n; d.parts < 0 || n == 0 || isMessage && n != 1 {
		d.fail()
		return
	}
	children := make([]Part, n)
	p.Children = make([]*Part, n)
	at := p.BodyStart
	for i := range children {
		d.part(&children[i], at, p.End, depth-1)
		if d.failed {
			return
		}
		p.Children[i] = &children[i]
		at = children[i].End
	}
}
