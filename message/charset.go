package message

import (
	"encoding/binary"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// LookupCharset returns the encoding with a MIME charset name, as a mail or SEARCH CHARSET states it; false when it is
// not known.
func LookupCharset(name string) (encoding.Encoding, bool) {
	if isUTF8Name(name) {
		return unicode.UTF8, true
	}
	// The web's index first: mail too means windows-1252 where it says ISO-8859-1.
	if enc, err := htmlindex.Get(name); err == nil && enc != encoding.Replacement {
		return enc, true
	}
	if enc, err := ianaindex.MIME.Encoding(name); err == nil && enc != nil {
		return enc, true
	}
	return nil, false
}

// isUTF8Name reports whether text of that charset is read as UTF-8 with a fall-back: mail says US-ASCII, or nothing, of
// all kinds of text.
func isUTF8Name(name string) bool {
	return name == "" || strings.EqualFold(name, "utf-8") || strings.EqualFold(name, "us-ascii") || strings.EqualFold(name, "utf8")
}

// A charset is how a text is turned into UTF-8.
type charset struct {
	enc      encoding.Encoding // nil: UTF-8, octets that are wrong in it as windows-1252
	superset bool              // each octet below 128 is that ASCII character, everywhere
}

func charsetNamed(name string) charset {
	if isUTF8Name(name) {
		return charset{superset: true}
	}
	enc, ok := LookupCharset(name)
	if !ok || enc == unicode.UTF8 {
		return charset{superset: true}
	}
	_, single := enc.(*charmap.Charmap)
	return charset{enc: enc, superset: single && enc != charmap.CodePage037 && enc != charmap.CodePage1047 && enc != charmap.CodePage1140}
}

func (p *Part) charset() charset { return charsetNamed(p.Param("charset")) }

// reader returns what r reads as UTF-8.
func (c charset) reader(r io.Reader) io.Reader {
	if c.enc == nil {
		return transform.NewReader(r, guess{})
	}
	return transform.NewReader(r, c.enc.NewDecoder())
}

// Text returns the part's body as UTF-8: without its transfer encoding and charset. An unknown transfer encoding is
// read as 8bit; text of an unknown charset, and octets that are wrong in UTF-8 or US-ASCII, as windows-1252.
func (p *Part) Text(mail io.ReaderAt) io.Reader {
	r, err := p.Decoded(mail)
	if err != nil {
		r = p.Open(mail)
	}
	return p.charset().reader(r)
}

// guess is a Transformer that leaves UTF-8 alone and takes all else for windows-1252.
type guess struct{ transform.NopResetter }

func (guess) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		c := src[nSrc]
		if c < utf8.RuneSelf {
			n := copy(dst[nDst:], src[nSrc:nSrc+asciiPrefix(src[nSrc:])])
			if n == 0 {
				return nDst, nSrc, transform.ErrShortDst
			}
			nDst += n
			nSrc += n
			continue
		}
		r, size := utf8.DecodeRune(src[nSrc:])
		if r == utf8.RuneError && size <= 1 {
			if !atEOF && !utf8.FullRune(src[nSrc:]) {
				return nDst, nSrc, transform.ErrShortSrc
			}
			r, size = charmap.Windows1252.DecodeByte(c), 1
		}
		if nDst+utf8.RuneLen(r) > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += utf8.EncodeRune(dst[nDst:], r)
		nSrc += size
	}
	return nDst, nSrc, nil
}

// guessString is guess for a short text.
func guessString(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		if r == utf8.RuneError && s[i] >= utf8.RuneSelf {
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				r = charmap.Windows1252.DecodeByte(s[i])
			}
		}
		b.WriteRune(r)
	}
	return b.String()
}

func isASCII(b []byte) bool { return asciiPrefix(b) == len(b) }

// asciiPrefix returns how many octets b starts with that are ASCII.
func asciiPrefix(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		if binary.LittleEndian.Uint64(b[i:])&0x8080808080808080 != 0 {
			break
		}
	}
	for i < len(b) && b[i] < utf8.RuneSelf {
		i++
	}
	return i
}
