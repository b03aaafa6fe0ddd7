package message

import "bytes"

// maxBoundary is the longest boundary heeded; RFC 2046 §5.1.1 allows 70.
const maxBoundary = 500

// begin starts a part whose header starts at the offset.
func (p *Parser) begin(part *Part, offset int64, isMail bool) {
	part.HeaderStart = offset
	p.stack = append(p.stack, frame{part: part, isMail: isMail})
	p.parts++
	p.header.reset(p.limits.Field, min(p.limits.Header, p.budget))
}

// endHeader says that the header of the stack's top ends before the offset: what comes next depends on what it said.
func (p *Parser) endHeader(offset int64) {
	f := p.top()
	part := f.part
	part.BodyStart = offset
	f.state = inBody
	f.linesAt = p.lines

	p.header.end()
	inDigest := false
	if n := len(p.stack); n > 1 && !f.isMail {
		inDigest = p.stack[n-2].part.Subtype == "digest" // RFC 2046 §5.1.5
	}
	boundary := p.header.content(part, inDigest)
	p.budget -= p.header.kept() + len(part.Params)*paramCost + len(part.DispositionParams)*paramCost
	if f.isMail {
		envelope := p.header.envelope()
		p.budget -= len(envelope)
		if n := len(p.stack); n > 1 {
			p.stack[n-2].part.Envelope = envelope
		} else {
			p.message.Envelope = envelope
			p.header.facts(p.message)
		}
	}

	mayNest := len(p.stack) < p.limits.Depth && p.parts < p.limits.Parts
	switch {
	case part.IsMultipart():
		if mayNest && len(boundary) > 0 && len(boundary) <= maxBoundary {
			f.boundary = string(boundary)
			p.boundaries++
		}
	case part.IsMessage():
		if mayNest {
			mail := new(Part)
			part.Children = []*Part{mail}
			p.begin(mail, offset, true)
		}
	case part.Type == "text" && part.Disposition != "attachment":
		p.excerptFrom(part)
	}
}

// endHeaders ends the headers that the end of the mail, or a boundary, cuts off.
func (p *Parser) endHeaders() {
	for p.top().state == inHeader {
		p.endHeader(p.offset)
	}
}

// delimiter returns the index of the frame whose boundary the line is, the innermost if there are several, or -1; and
// whether it is the closing one.
func (p *Parser) delimiter(line []byte) (i int, closing bool) {
	if len(line) < 3 || line[0] != '-' || line[1] != '-' {
		return -1, false
	}
	line = bytes.TrimRight(line[2:], " \t\r\n") // RFC 2046 §5.1.1: transport padding
	for i := len(p.stack) - 1; i >= 0; i-- {
		b := p.stack[i].boundary
		if b == "" || len(line) < len(b) || string(line[:len(b)]) != b {
			continue
		}
		switch string(line[len(b):]) {
		case "":
			return i, false
		case "--":
			return i, true
		}
	}
	return -1, false
}

// endPartsOf ends the part of the multipart at index i that is open, at the boundary line that comes next, and begins the next part, unless it is the closing boundary. When there are too many parts already, it gives up
// on boundaries altogether and returns false: the line, and all that follows, is body.
func (p *Parser) endPartsOf(i int, closing bool, line []byte) bool {
	if !closing && p.parts >= p.limits.Parts {
		for j := range p.stack {
			p.stack[j].boundary = ""
		}
		p.boundaries = 0
		return false
	}
	p.endHeaders()
	eol := int64(0) // of the line before, which belongs to the boundary
	if p.tail[1] == '\n' {
		eol = 1
		if p.tail[0] == '\r' {
			eol = 2
		}
	}
	p.end(i+1, p.offset-eol)
	f := p.top()
	p.take(line)
	if closing {
		f.boundary = ""
		p.boundaries--
		return true
	}
	part := new(Part)
	f.part.Children = append(f.part.Children, part)
	p.begin(part, p.offset, false)
	return true
}

// end ends all frames from index i on. The offset may lie before the start of bodies that are empty: parts stay
// inside their parents.
func (p *Parser) end(i int, offset int64) {
	limit := p.offset
	for j := i; j < len(p.stack); j++ {
		f := &p.stack[j]
		part := f.part
		part.HeaderStart = min(part.HeaderStart, limit)
		part.BodyStart = min(part.BodyStart, limit)
		part.End = min(max(part.BodyStart, offset), limit)
		limit = part.End
		part.Lines = p.lines - f.linesAt
		if part.End < p.offset {
			part.Lines--
		}
		part.Lines = max(part.Lines, 0)
		if f.boundary != "" {
			p.boundaries--
		}
		if len(part.Children) == 0 && (part.IsMultipart() || part.IsMessage()) {
			part.Children = []*Part{part.undivided()}
			if part.IsMessage() {
				part.Envelope = []byte(emptyEnvelope)
			}
		}
	}
	p.stack = p.stack[:i]
}

// undivided returns the one child of a multipart in which no boundary was found, or of an embedded mail that was not
// looked into: its whole body as text. BODYSTRUCTURE has no way to say that there are no children.
func (p *Part) undivided() *Part {
	return &Part{
		Type: "text", Subtype: "plain", Params: defaultParams(), Encoding: "7bit",
		HeaderStart: p.BodyStart, BodyStart: p.BodyStart, End: p.End, Lines: p.Lines,
	}
}

// defaultParams are those of a part that does not say what it is (RFC 2045 §5.2).
func defaultParams() []Param { return []Param{{"charset", "us-ascii"}} }
