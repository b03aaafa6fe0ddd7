package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// conn is one IMAP connection; not safe for concurrent use, except close.
type conn struct {
	nc      net.Conn
	br      *bufio.Reader // nil while nothing is buffered (see park)
	line    []byte        // the last response
	tag     int
	idleTag string
	timeout time.Duration
	in, out int64 // IMAP bytes read and written
	asked   bool  // whether the server has been asked for its capabilities
	litPlus int   // biggest literal that may go without waiting
}

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 16<<10) }}

func (c *conn) close() { c.nc.Close() }

func (c *conn) deadline() { c.nc.SetDeadline(time.Now().Add(c.timeout)) }

// park gives the read buffer back, so that an idle connection costs little.
func (c *conn) park() {
	if c.br != nil && c.br.Buffered() == 0 {
		c.br.Reset(nil)
		readers.Put(c.br)
		c.br = nil
		c.line = nil
	}
}

// read returns the next complete response without its CRLF, valid until the
// next read. A literal in it is read and counted, and left out: only its {n}
// stays, at which the rest of the response follows directly.
func (c *conn) read() ([]byte, error) {
	if c.br == nil {
		c.br = readers.Get().(*bufio.Reader)
		c.br.Reset(c.nc)
	}
	c.line = c.line[:0]
	for {
		part, err := c.br.ReadSlice('\n')
		c.in += int64(len(part))
		c.line = append(c.line, part...)
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil {
			return nil, err
		}
		c.line = bytes.TrimRight(c.line, "\r\n")
		n, ok := literal(c.line)
		if !ok {
			return c.line, nil
		}
		m, err := io.CopyN(io.Discard, c.br, n)
		c.in += m
		if err != nil {
			return nil, err
		}
	}
}

// literal returns n where line ends in {n}. (Free text that ends so by chance
// would be taken for a literal too; no server measured here sends any.)
func literal(line []byte) (int64, bool) {
	if len(line) < 3 || line[len(line)-1] != '}' {
		return 0, false
	}
	i := bytes.LastIndexByte(line, '{')
	if i < 0 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(line[i+1:len(line)-1]), 10, 63)
	return n, err == nil && n >= 0
}

func (c *conn) write(s ...string) error {
	n, err := io.WriteString(c.nc, strings.Join(s, ""))
	c.out += int64(n)
	return err
}

func (c *conn) nextTag() string {
	c.tag++
	return "a" + strconv.Itoa(c.tag)
}

// finish reads up to the tagged response, passing what comes before to each.
func (c *conn) finish(tag string, each func(line []byte)) error {
	for {
		line, err := c.read()
		if err != nil {
			return err
		}
		if rest, ok := bytes.CutPrefix(line, []byte(tag+" ")); ok {
			if bytes.HasPrefix(rest, []byte("OK")) {
				return nil
			}
			return fmt.Errorf("server: %s", rest)
		}
		if each != nil {
			each(line)
		}
	}
}

// cmd sends one command and reads up to its tagged response.
func (c *conn) cmd(text string, each func(line []byte)) error {
	c.deadline()
	tag := c.nextTag()
	if err := c.write(tag, " ", text, "\r\n"); err != nil {
		return err
	}
	return c.finish(tag, each)
}

// waitPlus reads up to the continuation request that command tag waits for.
func (c *conn) waitPlus(tag string) error {
	for {
		line, err := c.read()
		if err != nil {
			return err
		}
		if line = append([]byte(nil), line...); len(line) > 0 && line[0] == '+' {
			return nil
		}
		if bytes.HasPrefix(line, []byte(tag+" ")) {
			return fmt.Errorf("server: %s", line)
		}
	}
}

func (c *conn) idle() error {
	c.deadline()
	c.idleTag = c.nextTag()
	if err := c.write(c.idleTag, " IDLE\r\n"); err != nil {
		return err
	}
	return c.waitPlus(c.idleTag)
}

func (c *conn) done(each func(line []byte)) error {
	c.deadline()
	if err := c.write("DONE\r\n"); err != nil {
		return err
	}
	return c.finish(c.idleTag, each)
}

// selectBox selects a mailbox and returns its message count.
func (c *conn) selectBox(box string) (int, error) {
	exists := -1
	err := c.cmd("SELECT "+quote(box), func(line []byte) {
		if n, what := numbered(line); what == "EXISTS" {
			exists = n
		}
	})
	if err == nil && exists < 0 {
		err = errors.New("SELECT gave no EXISTS")
	}
	return exists, err
}

// ensureBox creates a mailbox; that it exists already is no error.
func (c *conn) ensureBox(box string) {
	if !strings.EqualFold(box, "INBOX") {
		c.cmd("CREATE "+quote(box), nil)
	}
}

// append adds one message, without waiting for the go-ahead where the server
// has LITERAL+ (or LITERAL- and the message is small).
func (c *conn) append(box, msg string) error {
	if !c.asked {
		c.asked = true
		err := c.cmd("CAPABILITY", func(line []byte) {
			for _, w := range strings.Fields(string(line)) {
				switch w {
				case "LITERAL+":
					c.litPlus = 1 << 30
				case "LITERAL-":
					c.litPlus = max(c.litPlus, 4096)
				}
			}
		})
		if err != nil {
			return err
		}
	}
	c.deadline()
	tag := c.nextTag()
	head := tag + " APPEND " + quote(box) + " {" + strconv.Itoa(len(msg))
	if len(msg) <= c.litPlus {
		if err := c.write(head, "+}\r\n", msg, "\r\n"); err != nil {
			return err
		}
	} else {
		if err := c.write(head, "}\r\n"); err != nil {
			return err
		}
		if err := c.waitPlus(tag); err != nil {
			return err
		}
		if err := c.write(msg, "\r\n"); err != nil {
			return err
		}
	}
	return c.finish(tag, nil)
}

// numbered splits "* 12 EXISTS ..." into 12 and "EXISTS".
func numbered(line []byte) (int, string) {
	rest, ok := bytes.CutPrefix(line, []byte("* "))
	if !ok {
		return 0, ""
	}
	num, rest, ok := bytes.Cut(rest, []byte(" "))
	if !ok {
		return 0, ""
	}
	n, err := strconv.Atoi(string(num))
	if err != nil {
		return 0, ""
	}
	what, _, _ := bytes.Cut(rest, []byte(" "))
	return n, strings.ToUpper(string(what))
}
