package message

// A Parser makes a Message of the bytes that are written to it, in pieces of any size, in one pass. The zero value is
// not usable.
type Parser struct {
	limits Limits
	size   int64
}

// NewParser returns a Parser for one mail.
func NewParser(limits Limits) *Parser {
	p := &Parser{limits: limits.withDefaults()}
	return p
}

// Write takes the next piece of the mail. It keeps nothing of b and never fails.
func (p *Parser) Write(b []byte) (int, error) {
	p.size += int64(len(b))
	return len(b), nil
}

// Finish says that the mail is complete and returns its structure. The Parser must then be left alone or Reset.
func (p *Parser) Finish() *Message {
	return &Message{Size: p.size}
}

// Reset makes the Parser ready for another mail, keeping its buffers.
func (p *Parser) Reset() {
	*p = Parser{limits: p.limits}
}
