package message

import "strconv"

// maxQuoted is the longest text sent as a quoted string: clients read lines into buffers, literals by their length.
const maxQuoted = 1000

// appendString appends s as an IMAP string (RFC 9051 §4.3): quoted if it may be, else a literal. NUL cannot be sent in
// either, so it is dropped.
func appendString[T string | []byte](dst []byte, s T) []byte {
	nuls, specials, literal := 0, 0, len(s) > maxQuoted
	for i := range len(s) {
		switch c := s[i]; {
		case c == 0:
			nuls++
		case c == '"' || c == '\\':
			specials++
		case c >= 0x7f || c < ' ' && c != '\t':
			literal = true
		}
	}
	if literal {
		dst = append(dst, '{')
		dst = strconv.AppendInt(dst, int64(len(s)-nuls), 10)
		dst = append(dst, "}\r\n"...)
	} else {
		dst = append(dst, '"')
	}
	if nuls == 0 && (literal || specials == 0) {
		dst = append(dst, s...)
	} else {
		for i := range len(s) {
			c := s[i]
			if c == 0 {
				continue
			}
			if !literal && (c == '"' || c == '\\') {
				dst = append(dst, '\\')
			}
			dst = append(dst, c)
		}
	}
	if !literal {
		dst = append(dst, '"')
	}
	return dst
}

// appendNString appends s as an IMAP nstring: NIL when it is empty.
func appendNString[T string | []byte](dst []byte, s T) []byte {
	if len(s) == 0 {
		return append(dst, "NIL"...)
	}
	return appendString(dst, s)
}
