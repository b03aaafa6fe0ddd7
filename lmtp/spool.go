package lmtp

import (
	"bytes"
	"io"
	"os"

	"github.com/starling-mail/starling/mailbox"
)

// spoolMemory is how much of a message waits in memory, in bytes: most mail
// is smaller. More goes to a file.
const spoolMemory = 128 << 10

// A spool holds one message between its sender and the store, which reads it
// once for each recipient. So a slow sender holds nothing of the store, and
// nothing is delivered of a message that did not arrive whole.
type spool struct {
	memory bytes.Buffer
	file   *os.File // with what is not in memory; nil if all is
	size   int64
}

// receive reads r to its end, with line ends made CRLF, as messages have them
// in IMAP (RFC 9051 §2.3.4). More than limit bytes are kind TooBig; errors of
// r are returned as they are; those of the disk are kind Unavailable. The spool must be closed in every case.
func (s *spool) receive(r io.Reader, limit int64, dir string) error {
	r = io.LimitReader(&crlfReader{r: r}, limit+1)
	n, err := io.CopyN(&s.memory, r, spoolMemory)
	if s.size = n; err == nil {
		if s.file, err = os.CreateTemp(dir, "starling-lmtp-"); err != nil {
			return spoolError(err)
		}
		// The name is not needed; without it nothing is left behind by a crash.
		if err = os.Remove(s.file.Name()); err != nil {
			return spoolError(err)
		}
		w := &errorWriter{w: s.file}
		n, err = io.Copy(w, r)
		s.size += n
		if w.err != nil {
			return spoolError(w.err)
		}
	}
	if err != nil && err != io.EOF {
		return err
	}
	if s.size > limit {
		return &mailbox.Error{Kind: mailbox.TooBig, Op: "receive mail"}
	}
	return nil
}

// reader returns the message from its start.
func (s *spool) reader() io.Reader {
	memory := bytes.NewReader(s.memory.Bytes())
	if s.file == nil {
		return memory
	}
	return io.MultiReader(memory, io.NewSectionReader(s.file, 0, s.size-int64(s.memory.Len())))
}

func (s *spool) close() {
	if s.file != nil {
		s.file.Close() // nothing is lost: the file has no name any more
	}
}

func spoolError(err error) error {
	return &mailbox.Error{Kind: mailbox.Unavailable, Op: "receive mail", Err: err}
}

// An errorWriter remembers that it was the writer who failed.
type errorWriter struct {
	w   io.Writer
	err error
}

func (w *errorWriter) Write(b []byte) (n int, err error) {
	n, w.err = w.w.Write(b)
	return n, w.err
}

// A crlfReader puts a CR before each LF that has none. A CR alone stays.
type crlfReader struct {
	r       io.Reader
	buf     [4096]byte
	pending []byte // part of buf, read but not returned
	err     error  // to return after pending
	last    byte   // the last byte returned
}

func (c *crlfReader) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(c.pending) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		n, c.err = c.r.Read(c.buf[:])
		c.pending = c.buf[:n]
	}
	for n = 0; n < len(p) && len(c.pending) > 0; n++ {
		b := c.pending[0]
		if b == '\n' && c.last != '\r' {
			b = '\r' // and the LF stays for the next round
		} else {
			c.pending = c.pending[1:]
		}
		p[n], c.last = b, b
	}
	return n, nil
}
