package message

import (
	"bytes"
	"html"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxPreview   = 200     // characters (RFC 8970 §3.1)
	plainExcerpt = 2 << 10 // octets read of a plain text for it
	htmlExcerpt  = 32 << 10
)

// An excerpt is the start of a text part's body.
type excerpt struct {
	part *Part
	buf  []byte
	room int
}

// add adds b if it is of the excerpt's part and there is room.
func (e *excerpt) add(part *Part, b []byte) {
	if e.part != part || e.room == 0 {
		return
	}
	b = b[:min(len(b), e.room)]
	e.room -= len(b)
	e.buf = append(e.buf, b...)
}

// excerptFrom keeps the start of the first plain and the first HTML text.
func (p *Parser) excerptFrom(part *Part) {
	e, room := &p.plain, plainExcerpt
	if part.Subtype == "html" {
		e, room = &p.html, htmlExcerpt
	}
	if e.part == nil {
		e.part, e.room = part, room
	}
}

// preview returns the start of the mail's text on one line: of the plain text if that has any, else of the HTML.
func (p *Parser) preview() string {
	for _, e := range []*excerpt{&p.plain, &p.html} {
		if e.part == nil {
			continue
		}
		body := e.buf[:min(int64(len(e.buf)), e.part.Body().Len())]
		text := e.part.decodeText(body)
		if e == &p.html {
			text = stripHTML(text)
		}
		if line := oneLine(text); line != "" {
			return line
		}
	}
	return ""
}

// oneLine returns the first characters of text: runs of white space as one space, without control characters.
func oneLine(text string) string {
	var b strings.Builder
	b.Grow(min(len(text), maxPreview))
	n, gap := 0, false
	for _, r := range text {
		switch {
		case ' ' < r && r < 0x7f:
		case r == utf8.RuneError || r == '\u00ad' || r == '\u034f' || r == '\ufeff' || '\u200b' <= r && r <= '\u200f':
			continue // also the invisible fillers that newsletters start with
		case unicode.IsSpace(r):
			gap = n > 0
			continue
		case unicode.IsControl(r):
			continue
		}
		if gap {
			if n+1 >= maxPreview {
				break
			}
			b.WriteByte(' ')
			n++
			gap = false
		}
		if n == maxPreview {
			break
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}

// stripHTML returns the text of an HTML document, roughly: no tags, comments, head, scripts or styles.
func stripHTML(s string) string {
	var b strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		s = s[i:]
		if strings.HasPrefix(s, "<!--") {
			_, s, _ = strings.Cut(s, "-->")
			continue
		}
		end := strings.IndexByte(s, '>')
		if end < 0 {
			break
		}
		name := tagName(s[1:end])
		s = s[end+1:]
		switch name {
		case "style", "script", "head", "title":
			s = afterElement(s, name)
		case "b", "i", "u", "a", "em", "strong", "span", "font", "/b", "/i", "/u", "/a", "/em", "/strong", "/span", "/font":
		default:
			b.WriteByte(' ')
		}
	}
	return html.UnescapeString(b.String())
}

// tagName returns the name that a tag starts with, in lower case.
func tagName(tag string) string {
	if i := strings.IndexAny(tag, " \t\r\n"); i >= 0 {
		tag = tag[:i]
	}
	return strings.ToLower(truncate(tag, 16))
}

// afterElement returns what follows the end tag of that name; nothing when there is none.
func afterElement(s, name string) string {
	for {
		i := strings.Index(s, "</")
		if i < 0 {
			return ""
		}
		s = s[i+2:]
		if len(s) >= len(name) && strings.EqualFold(s[:len(name)], name) {
			_, s, _ = strings.Cut(s, ">")
			return s
		}
	}
}

// decodeText returns a piece of the part's body as UTF-8.
func (p *Part) decodeText(body []byte) string {
	if t := p.transfer(); t == base64Transfer || t == quotedPrintable {
		d := transferDecoder{transfer: t}
		body = d.finish(d.decode(make([]byte, 0, len(body)), body))
	}
	if isASCII(body) && p.charset().superset {
		return string(body)
	}
	var b bytes.Buffer
	_, _ = b.ReadFrom(p.charset().reader(bytes.NewReader(body))) // reading memory does not fail
	return b.String()
}
