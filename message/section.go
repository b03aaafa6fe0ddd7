package message

import (
	"bytes"
	"strings"
)

// A Specifier says which piece of a part a section names (RFC 9051 §6.4.5).
type Specifier uint8

// The section specifiers. HEADER.FIELDS and HEADER.FIELDS.NOT are Header, then [FilterHeader].
const (
	Whole  Specifier = iota // BODY[] or BODY[n]
	Header                  // BODY[HEADER] or BODY[n.HEADER]
	Text                    // BODY[TEXT] or BODY[n.TEXT]
	MIME                    // BODY[n.MIME]
)

// Find returns the part with the number path, such as {1, 2} for BODY[1.2], or nil when there is none. A mail that is
// not a multipart has one part, 1. The empty path is the mail itself.
func (m *Message) Find(path []int) *Part {
	part := &m.Root
	atMail := true // part is the root of a mail, whose only part 1 is itself unless it is a multipart
	for i, n := range path {
		if i > 0 && part.IsMessage() && !atMail {
			part, atMail = part.Children[0], true
		}
		switch {
		case part.IsMultipart():
			if n < 1 || n > len(part.Children) {
				return nil
			}
			part = part.Children[n-1]
		case !atMail || n != 1:
			return nil
		}
		atMail = false
	}
	return part
}

// Section returns the piece of the mail that a section names, and false when there is no such part, or when it has no
// such piece: HEADER and TEXT of a numbered part exist only for an embedded mail, MIME only with a number.
func (m *Message) Section(path []int, spec Specifier) (Range, bool) {
	part := m.Find(path)
	if part == nil {
		return Range{}, false
	}
	mail := &m.Root
	if len(path) > 0 {
		mail = nil
		if part.IsMessage() {
			mail = part.Children[0]
		}
	}
	switch spec {
	case Whole:
		if len(path) == 0 {
			return Range{0, m.Size}, true
		}
		return part.Body(), true
	case MIME:
		return part.Header(), len(path) > 0
	case Header:
		if mail != nil {
			return mail.Header(), true
		}
	case Text:
		if mail != nil {
			return mail.Body(), true
		}
	}
	return Range{}, false
}

// FilterHeader returns the lines of header, byte for byte, whose field names are among fields, or with not those whose
// names are not (HEADER.FIELDS, HEADER.FIELDS.NOT), ended by the header's blank line. Names are matched without case.
func FilterHeader(header []byte, fields []string, not bool) []byte {
	out := make([]byte, 0, min(len(header), 1024))
	for len(header) > 0 {
		field := header[:fieldLen(header)]
		header = header[len(field):]
		if isBlankLine(field) {
			break
		}
		name := fieldName(field)
		listed := false
		for _, f := range fields {
			if listed = len(f) == len(name) && strings.EqualFold(f, string(name)); listed {
				break
			}
		}
		if listed != not {
			out = append(out, field...)
		}
	}
	if n := len(out); n > 0 && out[n-1] != '\n' {
		out = append(out, "\r\n"...) // the mail ends within its header: the blank line must still be one
	}
	return append(out, "\r\n"...)
}

// fieldLen returns the length of the first header field of b, which is not empty, with its folded lines.
func fieldLen(b []byte) int {
	n := 0
	for {
		i := bytes.IndexByte(b[n:], '\n')
		if i < 0 {
			return len(b)
		}
		n += i + 1
		if n == len(b) || b[n] != ' ' && b[n] != '\t' || isBlankLine(b[:n]) {
			return n
		}
	}
}

// fieldName returns the name of a header field, nil for a line that is none. White space before the colon is
// tolerated (RFC 5322 §4.5).
func fieldName(field []byte) []byte {
	for i, c := range field {
		switch {
		case c == ':':
			return bytes.TrimRight(field[:i], " \t")
		case c <= ' ' && c != ' ' && c != '\t' || c >= 0x7f:
			return nil
		}
	}
	return nil
}

func isBlankLine(line []byte) bool {
	return len(line) == 1 && line[0] == '\n' || len(line) == 2 && line[0] == '\r' && line[1] == '\n'
}
