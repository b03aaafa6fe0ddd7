package message

import (
	"bytes"
	"io"
	"slices"

	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"
)

// A Matcher searches mails for one text, without case (SEARCH BODY, TEXT, HEADER and the like). It keeps buffers from
// one mail to the next, so it must not be used by two goroutines at a time.
type Matcher struct {
	needle []byte // folded
	ascii  bool   // the needle is: then text need not be decoded where its charset agrees with ASCII

	window  []byte // folded text: what a match that is not complete yet may start in, and what has come since
	block   []byte // as read
	decoder transferDecoder
}

// matchBlock is how much is read at a time, and how long a header field may be to be searched in one piece.
const matchBlock = 32 << 10

// NewMatcher returns a Matcher for needle, which is UTF-8. An empty needle is in every text. Texts are compared
// character by character, composed (NFC), without case and without regard to it in other languages' rules; a
// needle in ASCII matches ASCII only.
func NewMatcher(needle string) *Matcher {
	folded := foldText(nil, needle)
	return &Matcher{needle: folded, ascii: isASCII(folded)}
}

// Text reports whether the needle is in the decoded text of m: in its text parts and the headers of embedded mails
// (SEARCH BODY), and with headers also in its own header and those of its parts (SEARCH TEXT, RFC 9051 §6.4.4).
// The error is that of reading mail.
func (x *Matcher) Text(m *Message, mail io.ReaderAt, headers bool) (bool, error) {
	if len(x.needle) == 0 {
		return true, nil
	}
	return x.part(&m.Root, mail, headers, false)
}

// part searches a part and its children. Its depth is bounded as the structure's is.
func (x *Matcher) part(p *Part, mail io.ReaderAt, headers, embedded bool) (bool, error) {
	if headers || embedded {
		if found, err := x.headerRange(p.Header(), mail); found || err != nil {
			return found, err
		}
	}
	for _, c := range p.Children {
		if found, err := x.part(c, mail, headers, p.IsMessage()); found || err != nil {
			return found, err
		}
	}
	if len(p.Children) > 0 || p.Type != "text" && p.Type != "message" {
		return false, nil
	}
	return x.body(p, mail)
}

// body searches the body of a text part, block by block.
func (x *Matcher) body(p *Part, mail io.ReaderAt) (bool, error) {
	if !p.charset().superset {
		return x.slowly(p, mail)
	}
	encoded := false
	if t := p.transfer(); t == base64Transfer || t == quotedPrintable {
		encoded = true
		x.decoder = transferDecoder{transfer: t, blanks: x.decoder.blanks[:0]}
	}
	x.window = x.window[:0]
	for at := p.BodyStart; at < p.End; {
		n := int(min(p.End-at, matchBlock))
		kept := len(x.window)
		if encoded {
			x.block = slices.Grow(x.block[:0], n)[:n]
			if err := readAt(mail, x.block, at); err != nil {
				return false, err
			}
			x.window = x.decoder.decode(x.window, x.block)
		} else {
			x.window = slices.Grow(x.window, n)[:kept+n]
			if err := readAt(mail, x.window[kept:], at); err != nil {
				return false, err
			}
		}
		at += int64(n)
		if !x.ascii {
			if !isASCII(x.window) {
				return x.slowly(p, mail)
			}
			x.window = x.window[:0] // the needle cannot be there
			continue
		}
		if encoded && at == p.End {
			x.window = x.decoder.finish(x.window)
		}
		lower(x.window[kept:])
		if x.found() {
			return true, nil
		}
	}
	return false, nil
}

// slowly searches the body of a text part by way of its characters.
func (x *Matcher) slowly(p *Part, mail io.ReaderAt) (bool, error) {
	r := p.Text(mail)
	if !x.ascii {
		r = transform.NewReader(norm.NFC.Reader(r), folding{})
	}
	x.window = x.window[:0]
	for {
		kept := len(x.window)
		x.window = slices.Grow(x.window, matchBlock/4)
		n, err := r.Read(x.window[kept:cap(x.window)])
		x.window = x.window[:kept+n]
		if x.ascii {
			lower(x.window[kept:])
		}
		if x.found() {
			return true, nil
		}
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// found reports whether the needle is in the window, and if not, leaves there only what a match may start in.
func (x *Matcher) found() bool {
	if bytes.Contains(x.window, x.needle) {
		return true
	}
	tail := min(len(x.window), len(x.needle)-1)
	x.window = x.window[:copy(x.window, x.window[len(x.window)-tail:])]
	return false
}

// readAt fills b from the offset.
func readAt(r io.ReaderAt, b []byte, offset int64) error {
	n, err := r.ReadAt(b, offset)
	switch {
	case n == len(b):
		return nil
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	}
	return err
}
