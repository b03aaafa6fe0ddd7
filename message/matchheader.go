package message

import (
	"bytes"
	"io"
	"slices"
)

// Header reports whether header has a field of that name whose decoded value has the needle in it (SEARCH HEADER, FROM,
// SUBJECT, ...). With an empty needle the field need only exist.
func (x *Matcher) Header(header []byte, name string) bool {
	for len(header) > 0 {
		field := header[:fieldLen(header)]
		header = header[len(field):]
		if isBlankLine(field) {
			break
		}
		if n := fieldName(field); len(n) != len(name) || !bytes.EqualFold(n, []byte(name)) {
			continue
		}
		if len(x.needle) == 0 {
			return true
		}
		x.window = x.window[:0]
		value := bytes.Trim(field[bytes.IndexByte(field, ':')+1:], " \t\r\n")
		if x.addField(value) && x.found() {
			return true
		}
	}
	return false
}

// headerRange searches a header, field names and decoded values, in pieces that end where fields do if they are not
// too long.
func (x *Matcher) headerRange(r Range, mail io.ReaderAt) (bool, error) {
	x.window = x.window[:0]
	for at := r.Start; at < r.End; {
		n := int(min(r.End-at, matchBlock))
		x.block = slices.Grow(x.block[:0], n)[:n]
		if err := readAt(mail, x.block, at); err != nil {
			return false, err
		}
		piece := x.block
		if int64(n) < r.End-at {
			piece = piece[:lastFieldEnd(piece)]
		}
		at += int64(len(piece))
		if x.headerPiece(piece) {
			return true, nil
		}
	}
	return false, nil
}

// lastFieldEnd returns where the last field of b starts, so that it can be read whole; or len(b) when b is but one.
func lastFieldEnd(b []byte) int {
	for end := len(b) - 1; end > 0; {
		end = bytes.LastIndexByte(b[:end], '\n')
		if end < 0 {
			break
		}
		if c := b[end+1]; c != ' ' && c != '\t' {
			return end + 1
		}
	}
	return len(b)
}

// headerPiece searches some fields.
func (x *Matcher) headerPiece(b []byte) bool {
	if !bytes.Contains(b, []byte("=?")) && (x.ascii || isASCII(b)) {
		return x.addField(b) && x.found()
	}
	for len(b) > 0 {
		field := b[:fieldLen(b)]
		b = b[len(field):]
		if x.addField(field) && x.found() {
			return true
		}
	}
	return false
}

// addField adds fields to the window, unfolded, decoded and folded; false when the needle cannot be in them.
func (x *Matcher) addField(b []byte) bool {
	words := bytes.Contains(b, []byte("=?"))
	switch {
	case words || !x.ascii && !isASCII(b):
		x.window = append(foldText(x.window, DecodeHeader(string(b))), '\n')
		return true
	case !x.ascii:
		x.window = x.window[:0]
		return false
	}
	kept := len(x.window)
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 || i+1 == len(b) {
			break
		}
		line := b[:i+1]
		if c := b[i+1]; c == ' ' || c == '\t' { // folded
			line = bytes.TrimSuffix(line[:i], []byte{'\r'})
		}
		x.window = append(x.window, line...)
		b = b[i+1:]
	}
	x.window = append(x.window, b...)
	lower(x.window[kept:])
	return true
}
