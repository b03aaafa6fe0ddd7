// Package message knows what is inside a mail.
//
// A message is parsed once, in one streaming pass, while it is appended: a [Parser] is fed the bytes and gives a
// [Message], which is stored beside the mail. Everything IMAP asks of a message later is answered from that structure
// (ENVELOPE, BODYSTRUCTURE, sizes) and from range reads of the stored bytes (BODY[...], BINARY[...], SEARCH). There
// are no parse errors: whatever the bytes are, the structure is well-formed, and the ranges it names are what
// BODYSTRUCTURE says of them. Memory is bounded by [Limits], not by the input.
package message

import (
	"strings"
	"time"
)

// A Message is what is kept of a mail: its MIME structure with offsets, its ENVELOPE, and the header facts that sorting,
// threading and searching need. It does not hold the mail's bytes. It may be shared by goroutines once it is made.
type Message struct {
	Size   int64 // octets of the whole mail, as stored
	HasNUL bool  // whether a NUL octet occurs: such a mail may only be sent as literal8 (RFC 9051 §4.3.1)

	Date       time.Time // sent time with the sender's zone; zero when missing or unreadable
	MessageID  string    // without angle brackets; "" when missing
	InReplyTo  []string  // message ids without angle brackets, bounded
	References []string  // as InReplyTo, oldest first; of a long list the first and the latest
	Subject    string    // decoded, UTF-8, bounded; "" when missing
	Preview    string    // at most 200 characters of the text, on one line (RFC 8970)

	// Envelope is the ENVELOPE (RFC 9051 §7.5.2) with its parentheses, ready to send. It may hold literals.
	Envelope []byte

	Root Part // the mail itself: HeaderStart is 0, End is Size
}

// A Part is one node of the MIME tree: a body part with its header. All offsets are from the start of the mail, and
// every child lies inside its parent's body.
type Part struct {
	Type, Subtype string  // lower-case tokens; text/plain when missing or unreadable
	Params        []Param // of Content-Type, in order
	Encoding      string  // Content-Transfer-Encoding in lower case; "7bit" when missing

	ID                string // Content-ID as it stands, with its angle brackets
	Description       string // as it stands, with its encoded words
	Disposition       string // lower-case; "" when missing
	DispositionParams []Param
	Language          []string
	Location          string
	MD5               string

	HeaderStart int64 // of the part's own MIME header (RFC 9051 §6.4.5, MIME)
	BodyStart   int64 // after the header's blank line
	End         int64 // of the body; the line end before a boundary belongs to the boundary (RFC 2046 §5.1.1)
	Lines       int64 // line ends (LF) in the body

	// Children has the parts of a multipart, never none, or the one embedded mail of a message/rfc822 or message/global,
	// whose header starts where this part's body does. It is nil for all others.
	Children []*Part
	// Envelope is that of the embedded mail of a message/rfc822 or message/global, as Message.Envelope; nil for others.
	Envelope []byte
}

// A Param is one parameter of a Content-Type or Content-Disposition as it stands in the header, the value unquoted.
// RFC 2231's names with asterisks are left as they are; see [Part.Filename].
type Param struct {
	Name, Value string
}

// A Range is a piece of a mail, from Start up to and without End.
type Range struct {
	Start, End int64
}

// Len returns the octets of the range.
func (r Range) Len() int64 { return r.End - r.Start }

// Body returns the range of the part's body, which is BODY[n] of a part numbered n.
func (p *Part) Body() Range { return Range{p.BodyStart, p.End} }

// Header returns the range of the part's header with its blank line, which is BODY[n.MIME].
func (p *Part) Header() Range { return Range{p.HeaderStart, p.BodyStart} }

// IsMultipart reports whether the part is a multipart, whose children are numbered.
func (p *Part) IsMultipart() bool { return p.Type == "multipart" }

// IsMessage reports whether the part embeds a mail (message/rfc822, message/global): Children[0] is its root.
func (p *Part) IsMessage() bool {
	return p.Type == "message" && (p.Subtype == "rfc822" || p.Subtype == "global")
}

// Param returns the value of the Content-Type parameter of that name as it stands, or "".
func (p *Part) Param(name string) string { return param(p.Params, name) }

func param(params []Param, name string) string {
	for _, q := range params {
		if strings.EqualFold(q.Name, name) {
			return q.Value
		}
	}
	return ""
}
