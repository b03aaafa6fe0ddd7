package message

import "bytes"

// maxAddresses is how many addresses and groups of one field the envelope has.
const maxAddresses = 10_000

// An addressList renders the address fields of a header as IMAP's list of addresses (RFC 9051 §7.5.2). It takes
// whatever it is given for as much of an address list (RFC 5322 §3.4) as it can.
type addressList struct {
	dst     []byte
	n       int
	inGroup bool

	// The address that is being read.
	words   []byte // outside angle brackets: its words, one space between them where there was some
	word    int    // where in words the last one starts
	at      int    // where in words the last unquoted @ is, or -1
	local   int    // where in words the word with that @ starts
	comment []byte
	angle   bool // the address was in angle brackets
	route   []byte
	mailbox []byte
	host    []byte
}

// appendAddresses appends the addresses of the values: NIL if there are none.
func appendAddresses(dst []byte, values ...[]byte) []byte {
	start := len(dst)
	l := addressList{dst: append(dst, '('), at: -1}
	for _, v := range values {
		l.parse(v)
	}
	if l.n == 0 {
		return append(l.dst[:start], "NIL"...)
	}
	return append(l.dst, ')')
}

func (l *addressList) parse(b []byte) {
	lastAngle := bytes.LastIndexByte(b, '>')
	size := len(b)
	gap := false // white space before the next word
	for len(b) > 0 && l.n < maxAddresses {
		switch c := b[0]; c {
		case ' ', '\t':
			gap = true
			b = b[1:]
			continue
		case '(':
			l.comment, b = comment(b, l.comment[:0])
			gap = true
			continue
		case ',':
			l.address()
			b = b[1:]
		case ';':
			l.address()
			l.endGroup()
			b = b[1:]
		case ':':
			if !l.inGroup && !l.angle && l.at < 0 {
				l.beginGroup()
			}
			b = b[1:]
		case '<':
			b = l.bracketed(b[1:], lastAngle > size-len(b))
		case '"':
			l.startWord(gap)
			l.words, b = quoted(b, l.words)
		default:
			l.startWord(gap)
			if c == '@' {
				l.at, l.local = len(l.words), l.word
			}
			l.words = append(l.words, c)
			b = b[1:]
		}
		gap = false
	}
	l.address()
	l.endGroup()
}

// startWord puts a space before what follows if it is a word of its own. "user @ host" is one word.
func (l *addressList) startWord(gap bool) {
	if gap && len(l.words) > 0 {
		l.words = append(l.words, ' ')
		l.word = len(l.words)
	}
}

// bracketed reads an address up to its closing bracket; when there is none, up to the next comma.
func (l *addressList) bracketed(b []byte, closed bool) (rest []byte) {
	l.angle = true
	l.route, l.mailbox, l.host = l.route[:0], l.mailbox[:0], l.host[:0]
	at := -1
	for len(b) > 0 {
		switch c := b[0]; {
		case c == '>' || c == ',' && !closed:
			if c == '>' {
				b = b[1:]
			}
			l.splitMailbox(at)
			return b
		case c == '"':
			l.mailbox, b = quoted(b, l.mailbox)
			continue
		case c == '(':
			_, b = comment(b, nil)
			continue
		case c == ' ' || c == '\t':
		case c == ':' && len(l.mailbox) > 0 && l.mailbox[0] == '@' && len(l.route) == 0:
			l.route = append(l.route, l.mailbox...) // RFC 5322 §4.4
			l.mailbox, at = l.mailbox[:0], -1
		default:
			if c == '@' {
				at = len(l.mailbox)
			}
			l.mailbox = append(l.mailbox, c)
		}
		b = b[1:]
	}
	l.splitMailbox(at)
	return nil
}

func (l *addressList) splitMailbox(at int) {
	if at >= 0 {
		l.host = append(l.host, l.mailbox[at+1:]...)
		l.mailbox = l.mailbox[:at]
	}
}

// address ends the address that is being read.
func (l *addressList) address() {
	name := l.words
	if !l.angle {
		l.route, l.mailbox, l.host = l.route[:0], l.mailbox[:0], l.host[:0]
		switch {
		case l.at >= 0:
			name = l.split()
		case l.word == 0:
			l.mailbox, name = append(l.mailbox, l.words...), nil // a local name, without a host
		}
	}
	name = bytes.TrimSpace(name)
	if len(name) == 0 {
		name = l.comment
	}
	if len(name)+len(l.mailbox)+len(l.host) > 0 && l.n < maxAddresses {
		l.n++
		l.dst = append(l.dst, '(')
		l.dst = appendNString(l.dst, name)
		l.dst = append(l.dst, ' ')
		l.dst = appendNString(l.dst, l.route)
		l.dst = append(l.dst, ' ')
		l.dst = appendString(l.dst, l.mailbox) // NIL would end a group
		l.dst = append(l.dst, ' ')
		l.dst = appendString(l.dst, l.host) // NIL would start a group
		l.dst = append(l.dst, ')')
	}
	l.next()
}

// split takes the address that stands bare among the words apart, and returns what is left: a name.
func (l *addressList) split() (name []byte) {
	before, after := l.words[:l.at], l.words[l.at+1:]
	local := l.local
	if trimmed := bytes.TrimRight(before, " "); local >= len(trimmed) { // "user @host"
		before = trimmed
		local = bytes.LastIndexByte(before, ' ') + 1
	}
	l.mailbox = append(l.mailbox, before[local:]...)
	after = bytes.TrimLeft(after, " ")
	if i := bytes.IndexByte(after, ' '); i >= 0 {
		after = after[:i]
	}
	l.host = append(l.host, after...)
	return before[:local]
}

func (l *addressList) next() {
	l.words, l.comment = l.words[:0], l.comment[:0]
	l.route, l.mailbox, l.host = l.route[:0], l.mailbox[:0], l.host[:0]
	l.word, l.at, l.local, l.angle = 0, -1, 0, false
}

func (l *addressList) beginGroup() {
	l.inGroup = true
	l.n++
	l.dst = append(l.dst, "(NIL NIL "...)
	l.dst = appendString(l.dst, bytes.TrimSpace(l.words))
	l.dst = append(l.dst, " NIL)"...)
	l.next()
}

func (l *addressList) endGroup() {
	if l.inGroup {
		l.inGroup = false
		l.dst = append(l.dst, "(NIL NIL NIL NIL)"...)
	}
}
