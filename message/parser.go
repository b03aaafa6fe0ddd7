package message

import "bytes"

// A Parser makes a Message of the bytes that are written to it, in pieces of any size, in one pass. What it makes does
// not depend on how the mail was cut into pieces. Use NewParser.
type Parser struct {
	limits Limits
	budget int // what is left of limits.Total

	offset int64   // octets taken, without those in line
	lines  int64   // LFs among them
	tail   [2]byte // the last two of them: a boundary takes the line end before it
	hasNUL bool

	atLineStart bool   // the next octet, after those in line, belongs to a line that is not yet decided on
	line        []byte // the start of that line, less than lineStart octets
	stack       []frame
	boundaries  int // open multiparts among the stack
	parts       int
	header      header // of the stack's top, while it is in it

	message     *Message
	plain, html excerpt
}

// lineStart is as much of a line as may be needed to know what it is: a boundary, a blank line, a field's name. Longer
// lines are taken in pieces from there on.
const lineStart = 1024

// A frame is a part that has begun and not ended.
type frame struct {
	part     *Part
	state    state
	isMail   bool   // part is the root of a mail: the envelope is made of its header
	boundary string // of an open multipart, else ""
	linesAt  int64  // Parser.lines at the body's start
}

type state uint8

const (
	inHeader state = iota
	inBody         // of a leaf; also what stands before, between and after the parts of a multipart
)

// NewParser returns a Parser for one mail.
func NewParser(limits Limits) *Parser {
	p := &Parser{limits: limits.withDefaults()}
	p.Reset()
	return p
}

// Reset makes the Parser ready for another mail, keeping its buffers.
func (p *Parser) Reset() {
	*p = Parser{
		limits:  p.limits,
		budget:  p.limits.Total,
		line:    p.line[:0],
		stack:   p.stack[:0],
		header:  header{buf: p.header.buf[:0], fields: p.header.fields[:0]},
		message: new(Message),
		plain:   excerpt{buf: p.plain.buf[:0]},
		html:    excerpt{buf: p.html.buf[:0]},
	}
	p.begin(&p.message.Root, 0, true)
	p.atLineStart = true
}

// Write takes the next piece of the mail. It keeps nothing of b and never fails.
func (p *Parser) Write(b []byte) (int, error) {
	n := len(b)
	if !p.hasNUL {
		p.hasNUL = bytes.IndexByte(b, 0) >= 0
	}
	for len(b) > 0 {
		if p.atLineStart {
			b = p.takeLineStart(b)
		} else {
			b = p.takeRest(b)
		}
	}
	return n, nil
}

// Finish says that the mail is complete and returns its structure. The Parser must then be left alone or Reset.
func (p *Parser) Finish() *Message {
	if len(p.line) > 0 {
		p.decide(p.line, true)
	}
	p.endHeaders()
	p.end(0, p.offset)
	m := p.message
	p.message = nil
	m.Size = p.offset
	m.HasNUL = p.hasNUL
	m.Preview = p.preview()
	return m
}

// takeLineStart gathers a line until it is known what it is, and returns what remains of b.
func (p *Parser) takeLineStart(b []byte) []byte {
	if p.top().state == inBody && len(p.line) == 0 && (p.boundaries == 0 || b[0] != '-') {
		p.atLineStart = false
		return b
	}
	n := min(len(b), lineStart-len(p.line))
	i := bytes.IndexByte(b[:n], '\n')
	if i >= 0 {
		n = i + 1
	}
	whole := i >= 0
	if len(p.line) == 0 && (whole || n == lineStart) {
		p.decide(b[:n], whole) // the usual case, not copied
	} else {
		p.line = append(p.line, b[:n]...)
		if !whole && len(p.line) < lineStart {
			return nil
		}
		p.decide(p.line, whole)
		p.line = p.line[:0]
	}
	p.atLineStart = whole
	return b[n:]
}

// takeRest takes what cannot be a line's start, and returns what remains of b.
func (p *Parser) takeRest(b []byte) []byte {
	if p.top().state == inHeader {
		i := bytes.IndexByte(b, '\n')
		if i >= 0 {
			p.atLineStart = true
			p.header.add(b[:i+1])
			p.take(b[:i+1])
			return b[i+1:]
		}
		p.header.add(b)
		p.take(b)
		return nil
	}
	n := len(b)
	if p.boundaries > 0 {
		switch i := bytes.Index(b, []byte("\n--")); {
		case i >= 0:
			n = i + 1
			p.atLineStart = true
		case b[n-1] == '\n':
			p.atLineStart = true
		case n > 1 && b[n-2] == '\n' && b[n-1] == '-':
			n--
			p.atLineStart = true
		}
	}
	p.take(b[:n])
	return b[n:]
}

// decide takes a line, or if it is not whole its first lineStart octets.
func (p *Parser) decide(line []byte, whole bool) {
	if whole && p.boundaries > 0 {
		if i, closing := p.delimiter(line); i >= 0 && p.endPartsOf(i, closing, line) {
			return
		}
	}
	for p.top().state == inHeader {
		f := p.top()
		if isBlankLine(line) {
			p.take(line)
			p.endHeader(p.offset)
			return
		}
		name := fieldName(line)
		if name == nil && p.offset == f.part.HeaderStart && !(f.isMail && isFromLine(line)) {
			// Text where a header should start: there is none. (Later on, what is no field is skipped: one
			// bad line should not make the rest of the header text.)
			p.endHeader(p.offset)
			continue
		}
		if line[0] == ' ' || line[0] == '\t' {
			p.header.add(line)
		} else if p.header.begin(name, f.isMail); name != nil {
			p.header.add(line[bytes.IndexByte(line, ':')+1:])
		}
		p.take(line)
		return
	}
	p.take(line)
}

// isFromLine recognises the line that a mail in an mbox file starts with.
func isFromLine(line []byte) bool {
	return bytes.HasPrefix(line, []byte("From ")) || bytes.HasPrefix(line, []byte(">From "))
}

// take counts octets, and keeps some of a text's start for the preview.
func (p *Parser) take(b []byte) {
	if n := len(b); n > 1 {
		p.tail = [2]byte{b[n-2], b[n-1]}
	} else if n == 1 {
		p.tail = [2]byte{p.tail[1], b[0]}
	}
	p.offset += int64(len(b))
	p.lines += int64(bytes.Count(b, []byte{'\n'}))
	if f := p.top(); f.state == inBody {
		p.plain.add(f.part, b)
		p.html.add(f.part, b)
	}
}

func (p *Parser) top() *frame { return &p.stack[len(p.stack)-1] }
