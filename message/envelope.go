package message

// emptyEnvelope is that of a mail without a header.
const emptyEnvelope = "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"

// envelope renders the header as ENVELOPE (RFC 9051 §7.5.2).
func (h *header) envelope() []byte {
	if len(h.fields) == 0 {
		return []byte(emptyEnvelope)
	}
	dst := make([]byte, 0, 128+2*len(h.buf))
	dst = append(dst, '(')
	dst = appendNString(dst, h.value(fieldDate))
	dst = append(dst, ' ')
	dst = appendNString(dst, h.value(fieldSubject))
	dst = append(dst, ' ')
	start := len(dst)
	dst = appendAddresses(dst, h.value(fieldFrom))
	from := dst[start:]
	for _, f := range []field{fieldSender, fieldReplyTo} {
		dst = append(dst, ' ')
		start = len(dst)
		dst = appendAddresses(dst, h.value(f))
		if string(dst[start:]) == "NIL" {
			dst = append(dst[:start], from...)
		}
	}
	for _, f := range []field{fieldTo, fieldCc, fieldBcc} {
		dst = append(dst, ' ')
		var values [][]byte
		for _, s := range h.fields {
			if s.field == f {
				values = append(values, h.buf[s.start:s.end])
			}
		}
		dst = appendAddresses(dst, values...)
	}
	dst = append(dst, ' ')
	dst = appendNString(dst, h.value(fieldInReplyTo))
	dst = append(dst, ' ')
	dst = appendNString(dst, h.value(fieldMessageID))
	return append(dst, ')')
}
