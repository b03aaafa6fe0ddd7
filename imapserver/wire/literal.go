package wire

import (
	"io"
	"math"
)

// A Literal is a message that a client sends with APPEND, read as a stream
// (RFC 9051 §4.3). The caller looks at Size, calls Accept, and reads to io.EOF;
// or it refuses by calling Decoder.Discard. A Literal is valid until the
// Decoder reads on.
type Literal struct {
	Size    int64 // octets announced, 0 to 2^63-1
	NonSync bool  // the client sends without waiting
	Binary  bool  // literal8: it may hold NUL (RFC 3516 §4.4, RFC 6855 §4)

	d      *Decoder
	left   int64 // octets not read yet
	coming bool  // the client sends, or was told to send
}

// Accept asks the client to send a synchronising literal. For a
// non-synchronising one, or a second time, it does nothing.
func (l *Literal) Accept() error {
	if l.coming {
		return nil
	}
	l.coming = true
	return l.d.Continue()
}

// Read implements io.Reader. It ends with io.EOF after Size octets, and with
// io.ErrUnexpectedEOF if the connection ended before.
func (l *Literal) Read(p []byte) (int, error) {
	switch {
	case l.d.lit != l:
		return 0, io.ErrClosedPipe
	case l.left == 0:
		return 0, io.EOF
	case !l.coming:
		return 0, errNotAccepted
	}
	n, err := l.d.r.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, unexpected(err)
}

// Left returns how many octets were not read yet.
func (l *Literal) Left() int64 { return l.left }

// literalHeader parses the header of a literal at the end of line: {n}, {n+},
// ~{n} or ~{n+}. A size that does not fit is reported as the largest one.
func literalHeader(line []byte) (size int64, nonSync, binary, ok bool) {
	i := len(line) - 1
	if i < 0 || line[i] != '}' {
		return 0, false, false, false
	}
	i--
	if i >= 0 && line[i] == '+' {
		nonSync = true
		i--
	}
	end := i + 1
	for i >= 0 && isDigit(line[i]) {
		i--
	}
	if i < 0 || line[i] != '{' || i+1 == end {
		return 0, false, false, false
	}
	for _, c := range line[i+1 : end] {
		digit := int64(c - '0')
		if size > (math.MaxInt64-digit)/10 {
			size = math.MaxInt64
			break
		}
		size = size*10 + digit
	}
	return size, nonSync, i > 0 && line[i-1] == '~', true
}

// literal reads the header of a literal at the current position, which must
// end the line, and leaves the literal pending.
func (d *Decoder) literal() (*Literal, error) {
	size, nonSync, binary, ok := literalHeader(d.seg)
	if !ok || d.pos != d.headerStart() {
		return nil, syntax("malformed literal")
	}
	d.pos = len(d.seg)
	d.lit = &Literal{Size: size, NonSync: nonSync, Binary: binary, d: d, left: size, coming: nonSync}
	if m := d.Limits.NonSync; nonSync && m > 0 && size > m {
		return nil, &TooBigError{What: "non-synchronising literal", Size: size, Limit: m}
	}
	return d.lit, nil
}

// headerStart returns where the header of the literal that ends the line begins.
func (d *Decoder) headerStart() int {
	i := len(d.seg) - 1
	for d.seg[i] != '{' {
		i--
	}
	if i > 0 && d.seg[i-1] == '~' {
		i--
	}
	return i
}

// bufferedLiteral reads a literal that stands for a string, and the line behind
// it. NUL is not allowed in a literal (RFC 9051 §9, CHAR8).
func (d *Decoder) bufferedLiteral() (string, error) {
	l, err := d.literal()
	if err != nil {
		return "", err
	}
	if l.Size > int64(d.Limits.Literal) {
		return "", &TooBigError{What: "literal", Size: l.Size, Limit: int64(d.Limits.Literal)}
	}
	if err := d.spend(int(l.Size)); err != nil {
		return "", err
	}
	if err := l.Accept(); err != nil {
		return "", err
	}
	var buf []byte
	for l.left > 0 {
		if _, err := d.r.Peek(1); err != nil {
			return "", unexpected(err)
		}
		// Only what has arrived is allocated, not what was announced.
		chunk, _ := d.r.Peek(min(int(l.left), d.r.Buffered()))
		buf = append(buf, chunk...)
		l.left -= int64(len(chunk))
		_, _ = d.r.Discard(len(chunk))
	}
	d.lit = nil
	if err := d.next(); err != nil {
		return "", err
	}
	for _, c := range buf {
		if c == 0 {
			return "", syntax("NUL in a literal")
		}
	}
	return string(buf), nil
}
