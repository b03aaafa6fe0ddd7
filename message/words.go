package message

import (
	"io"
	"mime"
	"strconv"
	"strings"
)

// DecodeHeader returns a header field's value as UTF-8 on one line: unfolded, its encoded words (RFC 2047) decoded.
// Raw 8-bit text is taken for UTF-8, or else windows-1252; what cannot be decoded is left as it is.
func DecodeHeader(raw string) string {
	if strings.ContainsAny(raw, "\r\n\x00") {
		raw = string(unfold(make([]byte, 0, len(raw)), []byte(raw)))
	}
	raw = guessString(raw)
	if !strings.Contains(raw, "=?") {
		return raw
	}
	words := mime.WordDecoder{CharsetReader: func(name string, r io.Reader) (io.Reader, error) {
		return charsetNamed(name).reader(r), nil
	}}
	if text, err := words.DecodeHeader(raw); err == nil {
		return text
	}
	return raw
}

// Filename returns the part's file name, decoded (RFC 2231, and RFC 2047 as many write it), or "". It is what the
// sender says: it may hold any character, slashes too.
func (p *Part) Filename() string {
	if name := decodedParam(p.DispositionParams, "filename"); name != "" {
		return name
	}
	return decodedParam(p.Params, "name")
}

// decodedParam returns a parameter as RFC 2231 has it: name*, or name*0, name*1* and so on, or plain.
func decodedParam(params []Param, name string) string {
	if v := param(params, name+"*"); v != "" {
		charset, text := extended(v)
		return decodeCharset(charset, percent(text))
	}
	var charset string
	var text []byte
	for i := range params {
		section := name + "*" + strconv.Itoa(i)
		if v := param(params, section+"*"); v != "" {
			if i == 0 {
				charset, v = extended(v)
			}
			text = append(text, percent(v)...)
		} else if v := param(params, section); v != "" {
			text = append(text, v...)
		} else {
			break
		}
	}
	if text != nil {
		return decodeCharset(charset, text)
	}
	return DecodeHeader(param(params, name))
}

// extended splits charset'language'text (RFC 2231 §4).
func extended(v string) (charset, text string) {
	charset, rest, ok := strings.Cut(v, "'")
	if !ok {
		return "", v
	}
	_, text, ok = strings.Cut(rest, "'")
	if !ok {
		return "", v
	}
	return charset, text
}

// percent decodes %XX; a % that is not followed by two hexadecimal digits stays.
func percent(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			out = append(out, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		} else {
			out = append(out, s[i])
		}
	}
	return out
}

func decodeCharset(name string, text []byte) string {
	if enc := charsetNamed(name).enc; enc != nil {
		if out, err := enc.NewDecoder().Bytes(text); err == nil {
			return string(out)
		}
	}
	return guessString(string(text))
}
