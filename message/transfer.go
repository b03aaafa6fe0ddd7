package message

import (
	"errors"
	"io"
)

// ErrUnknownEncoding is returned for a part whose Content-Transfer-Encoding is not known: [UNKNOWN-CTE].
var ErrUnknownEncoding = errors.New("message: unknown content transfer encoding")

// Open returns the part's body as it is stored. The mail's bytes are read from mail.
func (p *Part) Open(mail io.ReaderAt) *io.SectionReader {
	return io.NewSectionReader(mail, p.BodyStart, p.Body().Len())
}

// Decoded returns the part's body without its transfer encoding, which is BINARY[n] (RFC 3516), or
// [ErrUnknownEncoding]. Broken base64 and quoted-printable are read as far as they make sense, without an error.
// Multiparts and embedded mails are as they are stored: only their parts can be encoded (RFC 2045 §6.4).
func (p *Part) Decoded(mail io.ReaderAt) (io.Reader, error) {
	body := p.Open(mail)
	switch t := p.transfer(); t {
	case unknownTransfer:
		return nil, ErrUnknownEncoding
	case identity:
		return body, nil
	default:
		return &transferReader{r: body, decoder: transferDecoder{transfer: t}}, nil
	}
}

// A transfer is a content transfer encoding.
type transfer uint8

const (
	identity transfer = iota
	base64Transfer
	quotedPrintable
	unknownTransfer
)

func (p *Part) transfer() transfer {
	if p.IsMultipart() || p.IsMessage() {
		return identity
	}
	switch p.Encoding {
	case "7bit", "8bit", "binary":
		return identity
	case "base64":
		return base64Transfer
	case "quoted-printable":
		return quotedPrintable
	}
	return unknownTransfer
}

// A transferDecoder decodes a body in pieces of any size.
type transferDecoder struct {
	transfer transfer

	bits  uint32 // base64: what of a quantum has been read
	nbits uint

	pending  [2]byte // quoted-printable: what follows an = up to now
	npending int
	escaped  bool // an = has been read
	blanks   []byte
}

// maxBlanks is how much white space is kept until it is known whether it ends a line; a quoted-printable line has 76
// octets (RFC 2045 §6.7).
const maxBlanks = 256

// decode appends what src says to dst. They must not overlap.
func (d *transferDecoder) decode(dst, src []byte) []byte {
	if d.transfer == base64Transfer {
		return d.base64(dst, src)
	}
	return d.quotedPrintable(dst, src)
}

// finish appends what the end of the body leaves over.
func (d *transferDecoder) finish(dst []byte) []byte {
	if d.escaped && d.npending > 0 && d.pending[0] != '\r' {
		dst = append(append(dst, '='), d.pending[:d.npending]...)
	}
	d.escaped, d.npending = false, 0
	return dst
}

// base64 skips what is not in the alphabet. Padding ends a quantum, not the body: bodies put together of several
// are common.
func (d *transferDecoder) base64(dst, src []byte) []byte {
	bits, nbits := d.bits, d.nbits
	for _, c := range src {
		v := base64Values[c]
		if v >= 64 {
			if c == '=' {
				bits, nbits = 0, 0
			}
			continue
		}
		bits = bits<<6 | uint32(v)
		if nbits += 6; nbits >= 8 {
			nbits -= 8
			dst = append(dst, byte(bits>>nbits))
		}
	}
	d.bits, d.nbits = bits, nbits
	return dst
}

// base64Values has the value of each octet in base64 (RFC 2045 §6.8), 255 for others.
var base64Values = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" {
		t[c] = byte(i)
	}
	return t
}()

// quotedPrintable leaves an = that escapes nothing as it is, and drops white space at the end of lines.
func (d *transferDecoder) quotedPrintable(dst, src []byte) []byte {
	for _, c := range src {
		if d.escaped {
			switch {
			case c == '\n' && (d.npending == 0 || d.pending[0] == '\r' || isBlank(d.pending[0])):
				d.escaped, d.npending = false, 0 // soft line break
				continue
			case d.npending == 0 && (c == '\r' || isHex(c) || isBlank(c)):
				d.pending[0], d.npending = c, 1
				continue
			case d.npending == 1 && isHex(c) && isHex(d.pending[0]):
				dst = append(dst, unhex(d.pending[0])<<4|unhex(c))
				d.escaped, d.npending = false, 0
				continue
			case d.npending == 1 && isBlank(d.pending[0]) && (isBlank(c) || c == '\r'):
				continue // white space between = and the line's end
			}
			dst = append(append(dst, '='), d.pending[:d.npending]...)
			d.escaped, d.npending = false, 0
		}
		switch {
		case c == '=':
			dst = append(dst, d.blanks...)
			d.blanks = d.blanks[:0]
			d.escaped = true
		case isBlank(c):
			if len(d.blanks) == maxBlanks {
				dst = append(dst, d.blanks...)
				d.blanks = d.blanks[:0]
			}
			d.blanks = append(d.blanks, c)
		case c == '\r' || c == '\n':
			d.blanks = d.blanks[:0]
			dst = append(dst, c)
		default:
			if len(d.blanks) > 0 {
				dst = append(dst, d.blanks...)
				d.blanks = d.blanks[:0]
			}
			dst = append(dst, c)
		}
	}
	return dst
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' || 'a' <= c && c <= 'f'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}

// A transferReader decodes what it reads.
type transferReader struct {
	r       io.Reader
	decoder transferDecoder
	in      []byte
	out     []byte // decoded, not yet read
	buf     []byte // where out is
	err     error
}

const transferBuffer = 4096

func (t *transferReader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if t.in == nil {
		t.in = make([]byte, transferBuffer)
	}
	for len(t.out) == 0 {
		if t.err != nil {
			return 0, t.err
		}
		var n int
		n, t.err = t.r.Read(t.in)
		t.buf = t.decoder.decode(t.buf[:0], t.in[:n])
		if t.err == io.EOF {
			t.buf = t.decoder.finish(t.buf)
		}
		t.out = t.buf
	}
	n := copy(b, t.out)
	t.out = t.out[n:]
	return n, nil
}
