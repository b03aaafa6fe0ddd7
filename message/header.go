package message

import "bytes"

// A field is a header field that matters here.
type field uint8

const (
	fieldOther field = iota
	fieldDate
	fieldSubject
	fieldFrom
	fieldSender
	fieldReplyTo
	fieldTo
	fieldCc
	fieldBcc
	fieldInReplyTo
	fieldMessageID
	fieldReferences
	fieldContentType
	fieldContentEncoding
	fieldContentID
	fieldContentDescription
	fieldContentDisposition
	fieldContentLanguage
	fieldContentLocation
	fieldContentMD5
)

// A header collects the fields that matter of one header, as they stand, up to its limits.
type header struct {
	buf     []byte
	fields  []span
	current field
	seen    uint32 // bit set of fields
	room    int    // octets left of the header's limit
	left    int    // octets left of the current field's limit
	limit   int    // of each field
}

// maxFields is how many fields of one header are kept; address fields may be repeated.
const maxFields = 1000

// A span is where in header.buf a field's value is.
type span struct {
	field      field
	start, end int
}

func (h *header) reset(fieldLimit, headerLimit int) {
	*h = header{buf: h.buf[:0], fields: h.fields[:0], limit: fieldLimit, room: max(headerLimit, 0)}
}

// begin starts the field of that name; mail says whether more matters than Content-*. Of a field that should be there
// once only the first counts; address lists are joined.
func (h *header) begin(name []byte, mail bool) {
	h.end()
	f := fieldNamed(name)
	switch {
	case f == fieldOther || !mail && f < fieldContentType || len(h.fields) == maxFields:
		return
	case h.seen&(1<<f) != 0 && f != fieldTo && f != fieldCc && f != fieldBcc:
		return
	}
	h.seen |= 1 << f
	h.current = f
	h.left = h.limit
	h.fields = append(h.fields, span{field: f, start: len(h.buf)})
}

// add adds to the current field's value.
func (h *header) add(b []byte) {
	if h.current == fieldOther {
		return
	}
	b = b[:min(len(b), h.left, h.room)]
	h.left -= len(b)
	h.room -= len(b)
	h.buf = append(h.buf, b...)
}

// end ends the current field and unfolds its value.
func (h *header) end() {
	if h.current == fieldOther {
		return
	}
	h.current = fieldOther
	s := &h.fields[len(h.fields)-1]
	value := bytes.Trim(unfold(h.buf[s.start:s.start], h.buf[s.start:]), " \t")
	h.buf = append(h.buf[:s.start], value...)
	s.end = len(h.buf)
}

// unfold appends value to dst without its line ends (RFC 5322 §2.2.3) and NULs; other CRs become spaces, since no
// field may hold one. They may overlap if dst ends where value starts.
func unfold(dst, value []byte) []byte {
	for i, c := range value {
		switch c {
		case '\n', 0:
			continue
		case '\r':
			if i+1 == len(value) || value[i+1] == '\n' {
				continue
			}
			c = ' '
		}
		dst = append(dst, c)
	}
	return dst
}

// kept returns the octets of the values.
func (h *header) kept() int { return len(h.buf) }

// value returns the value of a field, nil when it is missing.
func (h *header) value(f field) []byte {
	if h.seen&(1<<f) == 0 {
		return nil
	}
	for _, s := range h.fields {
		if s.field == f {
			return h.buf[s.start:s.end]
		}
	}
	return nil
}

// fieldNamed returns which field has the name, without regard to case.
func fieldNamed(name []byte) field {
	var buf [32]byte
	if len(name) > len(buf) {
		return fieldOther
	}
	switch string(appendLower(buf[:0], name)) {
	case "date":
		return fieldDate
	case "subject":
		return fieldSubject
	case "from":
		return fieldFrom
	case "sender":
		return fieldSender
	case "reply-to":
		return fieldReplyTo
	case "to":
		return fieldTo
	case "cc":
		return fieldCc
	case "bcc":
		return fieldBcc
	case "in-reply-to":
		return fieldInReplyTo
	case "message-id":
		return fieldMessageID
	case "references":
		return fieldReferences
	case "content-type":
		return fieldContentType
	case "content-transfer-encoding":
		return fieldContentEncoding
	case "content-id":
		return fieldContentID
	case "content-description":
		return fieldContentDescription
	case "content-disposition":
		return fieldContentDisposition
	case "content-language":
		return fieldContentLanguage
	case "content-location":
		return fieldContentLocation
	case "content-md5":
		return fieldContentMD5
	}
	return fieldOther
}

// appendLower appends b with its ASCII letters in lower case.
func appendLower(dst, b []byte) []byte {
	for _, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}
