package imapserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/message"
)

// A sectionWriter answers the sections of one message. All that can fail before the
// first byte of the response is found out when it is made.
type sectionWriter struct {
	*conn
	body   mailstore.Body
	pieces []piece
	held   int // bytes of header fields in pieces
}

// maxHeld bounds the header fields that are fetched of one message at once, in bytes.
const maxHeld = 4 << 20

// A piece is what one section is answered with.
type piece struct {
	section *wire.FetchSection
	absent  bool // NIL
	data    io.Reader
	size    int64 // octets that data gives
	binary  bool  // data may hold NUL and is sent as literal8
	noNUL   bool  // NUL in data cannot be sent: it is replaced
}

// sections opens the message and finds what was asked for. It returns nil if nothing
// of the message's bytes was.
func (f *fetcher) sections(uid imap.UID, m *message.Message) (*sectionWriter, error) {
	if len(f.items.Sections) == 0 {
		return nil, nil
	}
	body, err := f.srv.opts.Store.Body(f.srv.commands, f.session.box, uid)
	if err != nil {
		return nil, err
	}
	w := &sectionWriter{conn: f.conn, body: body}
	for i := range f.items.Sections {
		p, err := w.find(&f.items.Sections[i], m)
		if err != nil {
			w.Close()
			return nil, err
		}
		w.pieces = append(w.pieces, p)
	}
	return w, nil
}

func (w *sectionWriter) Close() error { return w.body.Close() }

// find finds the piece for one section (RFC 9051 §6.4.5).
func (w *sectionWriter) find(s *wire.FetchSection, m *message.Message) (piece, error) {
	p := piece{section: s}
	spec := message.Whole
	switch s.Kind {
	case wire.SectionBinary, wire.SectionBinarySize:
		if len(s.Part) > 0 {
			return w.decoded(s, m)
		}
	case wire.SectionRFC822Header:
		spec = message.Header
	case wire.SectionRFC822Text:
		spec = message.Text
	case wire.SectionBody:
		switch s.Specifier {
		case imap.PartSpecifierHeader:
			spec = message.Header
		case imap.PartSpecifierText:
			spec = message.Text
		case imap.PartSpecifierMIME:
			spec = message.MIME
		}
	}
	r, ok := m.Section(s.Part, spec)
	if !ok {
		p.absent = true
		return p, nil
	}
	p.binary = m.HasNUL && s.Kind == wire.SectionBinary
	p.noNUL = m.HasNUL && !p.binary
	if s.HeaderFields != nil || s.HeaderFieldsNot != nil {
		// What is beyond maxHeader is no header that anybody wants fields of.
		header, err := io.ReadAll(io.NewSectionReader(w.body, r.Start, min(r.Len(), maxHeader)))
		if err != nil {
			return p, unreadable(err)
		}
		if s.HeaderFields != nil {
			header = message.FilterHeader(header, s.HeaderFields, false)
		} else {
			header = message.FilterHeader(header, s.HeaderFieldsNot, true)
		}
		if w.held += len(header); w.held > maxHeld {
			return p, no(imap.ResponseCodeLimit, "too many header fields at once")
		}
		from, n := clip(s.Partial, int64(len(header)))
		p.data, p.size = bytes.NewReader(header[from:from+n]), n
		return p, nil
	}
	from, n := clip(s.Partial, r.Len())
	p.data, p.size = io.NewSectionReader(w.body, r.Start+from, n), n
	return p, nil
}

// decoded finds the piece for a binary section: a part without its transfer
// encoding (RFC 3516). Its size is known only after decoding it once.
func (w *sectionWriter) decoded(s *wire.FetchSection, m *message.Message) (piece, error) {
	p := piece{section: s}
	part := m.Find(s.Part)
	if part == nil {
		p.absent = true
		return p, nil
	}
	var census nulCounter
	for pass := range 2 {
		data, err := part.Decoded(w.body)
		if errors.Is(err, message.ErrUnknownEncoding) {
			return p, no(imap.ResponseCodeUnknownCTE, "unknown content transfer encoding")
		}
		if err != nil {
			return p, unreadable(err)
		}
		if pass == 0 {
			if _, err := io.Copy(&census, data); err != nil {
				return p, unreadable(err)
			}
			if s.Kind == wire.SectionBinarySize {
				p.size = census.size
				return p, nil
			}
			continue
		}
		from, n := clip(s.Partial, census.size)
		if _, err := io.CopyN(io.Discard, data, from); err != nil {
			return p, unreadable(err)
		}
		p.data, p.size, p.binary = io.LimitReader(data, n), n, census.nul
	}
	return p, nil
}

// A nulCounter counts bytes, and notes whether there is a NUL among them.
type nulCounter struct {
	size int64
	nul  bool
}

func (n *nulCounter) Write(p []byte) (int, error) {
	n.size += int64(len(p))
	n.nul = n.nul || bytes.IndexByte(p, 0) >= 0
	return len(p), nil
}

// clip returns the part of size octets that a partial fetch asks for.
func clip(partial *imap.SectionPartial, size int64) (from, n int64) {
	if partial == nil {
		return 0, size
	}
	from = min(partial.Offset, size)
	return from, min(partial.Size, size-from)
}

// unreadable is a message whose bytes cannot be read although it is there.
func unreadable(err error) error {
	return &mailbox.Error{Kind: mailbox.Unavailable, Op: "read message", Err: err}
}

// write writes the sections into the response that was begun.
func (w *sectionWriter) write() error {
	for i := range w.pieces {
		p := &w.pieces[i]
		switch {
		case p.absent && p.section.Kind == wire.SectionBinarySize:
			w.enc.FetchBinarySize(p.section, 0)
		case p.absent:
			w.enc.FetchSectionNIL(p.section)
		case p.section.Kind == wire.SectionBinarySize:
			w.enc.FetchBinarySize(p.section, p.size)
		default:
			w.enc.FetchSectionLiteral(p.section, p.size, p.binary)
			if err := w.copyLiteral(p.data, p.size, p.noNUL); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyLiteral copies size octets of data, by way of the write buffer, without NUL if so asked. Once their literal is
// announced there is no way to take it back: on an error the connection ends.
func (c *conn) copyLiteral(data io.Reader, size int64, noNUL bool) error {
	for left := size; left > 0; {
		if err := c.flushFull(); err != nil {
			return err
		}
		n := int(min(left, writeBuffer))
		start := len(c.enc.Buf)
		c.enc.Buf = append(c.enc.Buf, make([]byte, n)...)
		chunk := c.enc.Buf[start:]
		if _, err := io.ReadFull(data, chunk); err != nil {
			c.enc.Buf = c.enc.Buf[:start]
			c.log(c.srv.opts.Log.Error()).Err(err).Msg("message cannot be read to its end")
			return &clientError{fmt.Errorf("message cut short: %w", err)}
		}
		if noNUL {
			// CHAR8 has no NUL (RFC 9051 §9); BINARY gives the bytes as they are.
			for i := bytes.IndexByte(chunk, 0); i >= 0; i = bytes.IndexByte(chunk, 0) {
				chunk[i] = 0x80
			}
		}
		left -= int64(n)
	}
	return nil
}
