package conn

import (
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// An Item is one of the items of a FETCH response. It is valid until the next one is read.
type Item struct {
	// Name is in upper case, the fields of a header list excepted: UID, BODY[1.2.MIME],
	// BODY[HEADER.FIELDS (Subject)]<0>.
	Name   string
	Number int64         // of UID, RFC822.SIZE, MODSEQ, BINARY.SIZE[]
	Flags  mailbox.Flags // of FLAGS
	Time   time.Time     // of INTERNALDATE; zero if the server's is none
	// Body is the content of BODY[], BINARY[], RFC822, RFC822.HEADER and RFC822.TEXT, nil for NIL.
	// What is not read of it is skipped.
	Body *Literal
	// Raw is the value of all others, such as ENVELOPE, as it was sent: literals with their headers.
	// It is nil if TooBig.
	Raw    []byte
	TooBig bool

	buf []byte // of Raw
}

// Item reads the next item of the current message; nil after the last.
func (m *Messages) Item() *Item {
	if !m.open {
		return nil
	}
	r := &m.c.r
	if !r.item(&m.item, &m.items) {
		m.open = false
		if r.err != nil && m.fault == nil {
			m.fault = m.c.broken(r.err)
		}
		return nil
	}
	if m.item.Body != nil {
		m.item.Body.c = m.c
	}
	return &m.item
}

// Row reads what is left of the current message and returns its number, UID, flags and
// mod-sequence.
func (m *Messages) Row() Row {
	row := Row{Num: m.num}
	for i := m.Item(); i != nil; i = m.Item() {
		row.add(i)
	}
	return row
}

func (row *Row) add(i *Item) {
	switch i.Name {
	case "UID":
		row.UID = imap.UID(i.Number)
	case "MODSEQ":
		row.ModSeq = mailbox.ModSeq(i.Number)
	case "FLAGS":
		row.Flags, row.HasFlags = i.Flags, true
	}
}

// row reads the items of a message in one go.
func (r *reader) row(num uint32) Row {
	row := Row{Num: num}
	r.expect('(')
	var i Item
	for n := 0; r.item(&i, &n); {
		row.add(&i)
	}
	return row
}

// item reads the next item of a FETCH response into i, or the end of the response, for which
// it returns false. count is of the items of this response.
func (r *reader) item(i *Item, count *int) bool {
	r.closeLiteral()
	r.spaces()
	if r.accept(')') {
		r.line()
		return false
	}
	if *count++; *count > r.limits.Items {
		r.syntax("more than %d items of a message", r.limits.Items)
	}
	*i = Item{buf: i.buf}
	i.Name = r.itemName()
	r.space()
	switch i.Name {
	case "UID":
		i.Number = int64(r.uid())
	case "FLAGS":
		i.Flags = r.flags()
	case "MODSEQ":
		r.expect('(')
		i.Number = r.number64()
		r.expect(')')
	case "RFC822.SIZE":
		i.Number = r.number64()
	case "INTERNALDATE":
		b, _ := r.nstring()
		i.Time = dateTime(b)
	case "RFC822", "RFC822.HEADER", "RFC822.TEXT":
		i.Body = r.body()
	default:
		switch {
		case strings.HasPrefix(i.Name, "BODY["), strings.HasPrefix(i.Name, "BINARY["):
			i.Body = r.body()
		case strings.HasPrefix(i.Name, "BINARY.SIZE["):
			i.Number = r.number64()
		default:
			raw, fits := r.raw(i.buf[:0])
			if i.buf, i.TooBig = raw, !fits; fits {
				i.Raw = raw
			}
		}
	}
	return r.err == nil
}

// itemName reads the name of an item with its section and origin.
func (r *reader) itemName() string {
	b := r.take(r.scratch[:0], func(c byte) bool { return isAtom(c) && c != '[' && c != '<' })
	if len(b) == 0 {
		r.syntax("expected the name of an item")
	}
	upperCase(b)
	if r.peek() == '[' {
		quoted := false
		for r.err == nil {
			c := r.next()
			switch {
			case c == '\r' || c == '\n' || c == 0 || c == '{' || len(b) >= r.limits.Value:
				r.syntax("malformed section")
			case c == '"':
				quoted = !quoted
			}
			if b = append(b, c); c == ']' && !quoted {
				break
			}
		}
		if !strings.Contains(string(b), "(") {
			upperCase(b)
		}
	}
	if r.peek() == '<' {
		b = r.take(b, func(c byte) bool { return c == '<' || c == '>' || isDigit(c) })
	}
	r.scratch = b
	return r.words.string(b)
}

// flags reads a list of flags. \Recent and other flags that are not stored are left out.
func (r *reader) flags() mailbox.Flags {
	var f mailbox.Flags
	keywords := r.scratch[:0]
	r.expect('(')
	for r.spaces(); !r.accept(')') && r.err == nil; r.spaces() {
		n := len(keywords)
		if n > r.limits.Value {
			r.syntax("flags of more than %d octets", r.limits.Value)
		}
		keywords = r.take(keywords, isAtom)
		switch word := keywords[n:]; {
		case len(word) == 0:
			r.syntax("expected a flag")
		case word[0] == '\\':
			f.System |= mailbox.SystemFlag(imap.Flag(r.words.string(word)))
			keywords = keywords[:n]
		default:
			keywords = append(keywords, ' ')
		}
	}
	r.scratch = keywords
	if r.err == nil && len(keywords) > 0 {
		f.Keywords = r.keywords.canonical(keywords)
	}
	return f
}
