package conn

import "io"

// A Literal is the content of a body or a part of one, read as a stream. It is valid until the
// next item is read.
type Literal struct {
	size int64
	left int64
	mem  []byte // where it came as a quoted string
	c    *Conn
	r    *reader
}

// Size is how many octets the whole has, 0 to 2^63-1: the server's word, nothing is reserved for it.
func (l *Literal) Size() int64 { return l.size }

// Left is how many octets were not read yet.
func (l *Literal) Left() int64 { return l.left }

// Read implements io.Reader. It ends with io.EOF after Size octets, or with why the connection
// ended before that.
func (l *Literal) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if l.left == 0 {
		return 0, io.EOF
	}
	if l.mem != nil {
		n := copy(p, l.mem[l.size-l.left:])
		l.left -= int64(n)
		return n, nil
	}
	r := l.r
	if r.literal != l {
		return 0, io.ErrClosedPipe
	}
	p = p[:min(int64(len(p)), l.left)]
	n := 0
	if r.pos == r.end && r.err == nil && len(p) >= bufferSize {
		if n = r.read(p); n > 0 { // not through our buffer
			r.base += int64(n)
		}
	} else {
		n = copy(p, r.unread())
		r.pos += n
	}
	l.left -= int64(n)
	if r.err != nil {
		return n, l.broken()
	}
	return n, nil
}

// WriteTo implements io.WriterTo: it writes the rest to w as it arrives, without a buffer of its
// own.
func (l *Literal) WriteTo(w io.Writer) (int64, error) {
	written := int64(0)
	for l.left > 0 {
		var chunk []byte
		if l.mem == nil {
			r := l.r
			if r.literal != l {
				return written, io.ErrClosedPipe
			}
			chunk = r.unread()
			if r.err != nil {
				return written, l.broken()
			}
			chunk = chunk[:min(int64(len(chunk)), l.left)]
		} else {
			chunk = l.mem[l.size-l.left:]
		}
		n, err := w.Write(chunk)
		if l.mem == nil {
			l.r.pos += n
		}
		l.left -= int64(n)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

func (l *Literal) broken() error {
	if l.c == nil {
		return l.r.err
	}
	return l.c.broken(l.r.err)
}

// body reads the beginning of the content of an item: nil for NIL.
func (r *reader) body() *Literal {
	switch r.peek() {
	case '{', '~':
		n := r.literalSize()
		if r.err != nil {
			return nil
		}
		r.allow(n)
		r.literal = &Literal{size: n, left: n, r: r}
		return r.literal
	case '"':
		b := r.appendString(nil)
		if r.err != nil {
			return nil
		}
		return &Literal{size: int64(len(b)), left: int64(len(b)), mem: b, r: r}
	}
	if _, ok := r.nstring(); ok {
		r.syntax("expected the content of a body")
	}
	return nil
}

// closeLiteral goes past what nobody has read of the open literal.
func (r *reader) closeLiteral() {
	l := r.literal
	if l == nil {
		return
	}
	r.literal = nil
	r.drop(l.left)
}
