package conn

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/starling-mail/starling/imapserver/stream"
)

var errNoDeflate = errors.New("conn: compression needs Dialer.Deflate")

// Compress compresses everything from here on, both ways (RFC 4978). The server must have
// COMPRESS=DEFLATE. It costs 34 KiB as long as the connection lives.
func (c *Conn) Compress(ctx context.Context) error {
	if c.dialer.Deflate == nil {
		return errNoDeflate
	}
	finish, err := c.begin(ctx)
	if err != nil {
		return err
	}
	return finish(c.compress())
}

func (c *Conn) compress() error {
	if err := c.run([]Command{&simple{line: "COMPRESS DEFLATE"}}); err != nil {
		return err
	}
	// What has come behind the reply is compressed already.
	rest := append([]byte(nil), c.r.buf[c.r.pos:c.r.end]...)
	c.r.pos = c.r.end
	c.r.src = stream.NewInflater(io.MultiReader(bytes.NewReader(rest), c.r.src))
	c.top = &deflated{c.top, c.dialer.Deflate}
	return nil
}

// A deflated compresses what it is given.
type deflated struct {
	w io.Writer
	d *stream.Deflate
}

func (d *deflated) Write(p []byte) (int, error) { return d.d.Compress(d.w.Write, p) }
