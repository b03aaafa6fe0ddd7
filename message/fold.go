package message

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"
)

// lower turns ASCII letters into lower case.
func lower(b []byte) {
	for i, c := range b {
		if c-'A' < 26 {
			b[i] = c + 'a' - 'A'
		}
	}
}

// foldRune returns the character that all cases of r share.
func foldRune(r rune) rune {
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}
	return unicode.ToLower(unicode.ToUpper(r))
}

// foldText appends s composed and without case.
func foldText(dst []byte, s string) []byte {
	for _, r := range norm.NFC.String(s) {
		dst = utf8.AppendRune(dst, foldRune(r))
	}
	return dst
}

// folding is a Transformer that takes the case from UTF-8.
type folding struct{ transform.NopResetter }

func (folding) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		if src[nSrc] < utf8.RuneSelf {
			n := copy(dst[nDst:], src[nSrc:nSrc+asciiPrefix(src[nSrc:])])
			if n == 0 {
				return nDst, nSrc, transform.ErrShortDst
			}
			lower(dst[nDst : nDst+n])
			nDst += n
			nSrc += n
			continue
		}
		if !atEOF && !utf8.FullRune(src[nSrc:]) {
			return nDst, nSrc, transform.ErrShortSrc
		}
		r, size := utf8.DecodeRune(src[nSrc:])
		r = foldRune(r)
		if nDst+utf8.RuneLen(r) > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += utf8.EncodeRune(dst[nDst:], r)
		nSrc += size
	}
	return nDst, nSrc, nil
}
