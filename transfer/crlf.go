package transfer

import (
	"bufio"
	"bytes"
	"io"
)

// A crlfReader turns LF into CRLF. Text whose first line ends in CRLF has the
// line ends of mail already and stays as it is, so that what was exported so
// comes back byte for byte.
type crlfReader struct {
	r       *bufio.Reader
	asIs    bool
	started bool
	lastCR  bool
	pending bool // the LF of a CRLF is owed
}

// firstLine is how far the end of the first line is looked for.
const firstLine = 4096

func newCRLFReader(r io.Reader) *crlfReader {
	return &crlfReader{r: bufio.NewReaderSize(r, firstLine)}
}

func (c *crlfReader) Read(p []byte) (n int, err error) {
	if !c.started {
		c.started = true
		head, _ := c.r.Peek(firstLine) // an error comes again with Read
		lf := bytes.IndexByte(head, '\n')
		c.asIs = lf > 0 && head[lf-1] == '\r'
	}
	if c.asIs {
		return c.r.Read(p)
	}
	for n < len(p) {
		if c.pending {
			p[n], c.pending = '\n', false
			n++
			continue
		}
		if n > 0 && c.r.Buffered() == 0 {
			return n, nil
		}
		b, err := c.r.ReadByte()
		if err != nil {
			if n > 0 {
				return n, nil
			}
			return 0, err
		}
		if b == '\n' && !c.lastCR {
			b, c.pending = '\r', true
		}
		c.lastCR = b == '\r' && !c.pending
		p[n] = b
		n++
	}
	return n, nil
}
