package wire

import (
	"encoding/base64"
	"unicode/utf16"
	"unicode/utf8"
)

// utf7Alphabet is the base64 of RFC 3501 §5.1.3: "," in the place of "/".
const utf7Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,"

// utf7Base64 returns the base64 that a shifted part is written in.
func utf7Base64() *base64.Encoding {
	return base64.NewEncoding(utf7Alphabet).WithPadding(base64.NoPadding).Strict()
}

// DecodeUTF7 turns a mailbox name in modified UTF-7 (RFC 3501 §5.1.3) into
// UTF-8. It is strict: s must be the one form that [AppendUTF7] gives for the
// result, so two names on the wire never mean the same mailbox.
func DecodeUTF7(s string) (string, bool) {
	i := 0
	for i < len(s) && s[i] >= ' ' && s[i] < 0x7f && s[i] != '&' {
		i++
	}
	if i == len(s) {
		return s, true
	}
	out := append(make([]byte, 0, 2*len(s)), s[:i]...)
	enc := utf7Base64()
	shifted := false // the octet before ended a shifted part
	for i < len(s) {
		switch c := s[i]; {
		case c < ' ' || c >= 0x7f:
			return "", false
		case c != '&':
			out = append(out, c)
			i++
			shifted = false
			continue
		}
		end := i + 1
		for end < len(s) && s[end] != '-' {
			if s[end] < ' ' { // encoding/base64 would skip CR and LF
				return "", false
			}
			end++
		}
		if end == len(s) {
			return "", false
		}
		if end == i+1 {
			out = append(out, '&')
			i, shifted = end+1, false
			continue
		}
		if shifted { // two shifted parts in a row are one, written badly
			return "", false
		}
		var ok bool
		if out, ok = appendShifted(out, enc, s[i+1:end]); !ok {
			return "", false
		}
		i, shifted = end+1, true
	}
	return string(out), true
}

// appendShifted appends the UTF-8 of one shifted part, given without "&" and "-".
func appendShifted(dst []byte, enc *base64.Encoding, s string) ([]byte, bool) {
	b, err := enc.DecodeString(s)
	if err != nil || len(b)%2 != 0 {
		return nil, false
	}
	for len(b) > 0 {
		r := rune(b[0])<<8 | rune(b[1])
		b = b[2:]
		if utf16.IsSurrogate(r) {
			if len(b) < 2 {
				return nil, false
			}
			if r = utf16.DecodeRune(r, rune(b[0])<<8|rune(b[1])); r == utf8.RuneError {
				return nil, false
			}
			b = b[2:]
		} else if r >= ' ' && r < 0x7f {
			return nil, false // these must stand for themselves
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst, true
}

// AppendUTF7 appends the modified UTF-7 of s, which must be valid UTF-8;
// other octets become U+FFFD.
func AppendUTF7(dst []byte, s string) []byte {
	// bits holds the last n bits of UTF-16 that are not written yet.
	var bits uint32
	n, shifted := 0, false
	put := func(u uint16) {
		bits, n = bits<<16|uint32(u), n+16
		for ; n >= 6; n -= 6 {
			dst = append(dst, utf7Alphabet[bits>>(n-6)&63])
		}
	}
	unshift := func() {
		if n > 0 {
			dst = append(dst, utf7Alphabet[bits<<(6-n)&63])
		}
		dst = append(dst, '-')
		bits, n, shifted = 0, 0, false
	}
	for _, r := range s {
		if r >= ' ' && r < 0x7f {
			if shifted {
				unshift()
			}
			dst = append(dst, byte(r))
			if r == '&' {
				dst = append(dst, '-')
			}
			continue
		}
		if !shifted {
			dst = append(dst, '&')
			shifted = true
		}
		if r1, r2 := utf16.EncodeRune(r); r1 != utf8.RuneError {
			put(uint16(r1))
			put(uint16(r2))
		} else {
			put(uint16(r))
		}
	}
	if shifted {
		unshift()
	}
	return dst
}
