package message

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// parse parses a mail in pieces of the given size, or at once when it is 0.
func parse(mail string, piece int) *Message { return parseLimited(mail, piece, Limits{}) }

func parseLimited(mail string, piece int, limits Limits) *Message {
	p := NewParser(limits)
	for piece > 0 && len(mail) > piece {
		_, _ = p.Write([]byte(mail[:piece]))
		mail = mail[piece:]
	}
	_, _ = p.Write([]byte(mail))
	return p.Finish()
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// A node is a parsed IMAP value: a list, or a string, number or NIL as it stood.
type node struct {
	list   []node
	isList bool
	nil_   bool
	quoted bool // a string, quoted or literal
	text   string
}

// parseIMAP reads exactly one value, as strictly as RFC 9051's grammar has it.
func parseIMAP(b []byte) (node, error) {
	stack := []node{{isList: true}}
	add := func(n node) { stack[len(stack)-1].list = append(stack[len(stack)-1].list, n) }
	spaced := true // a value may start here
	for i := 0; i < len(b); {
		c := b[i]
		if c != ')' && c != ' ' && !spaced && !(c == '(' && b[i-1] == ')') {
			return node{}, fmt.Errorf("no space before octet %d: %.60q", i, b[max(0, i-20):])
		}
		switch {
		case c == ' ':
			if spaced || i+1 == len(b) {
				return node{}, fmt.Errorf("stray space at %d", i)
			}
			spaced = true
			i++
			continue
		case c == '(':
			stack = append(stack, node{isList: true})
			spaced = true
			i++
			continue
		case c == ')':
			top := stack[len(stack)-1]
			if len(stack) == 1 || len(top.list) == 0 || b[i-1] == ' ' {
				return node{}, fmt.Errorf("bad ) at %d", i)
			}
			stack = stack[:len(stack)-1]
			add(top)
			i++
		case c == '"':
			var text []byte
			for i++; ; i++ {
				if i >= len(b) {
					return node{}, errors.New("unterminated quoted string")
				}
				if b[i] == '"' {
					break
				}
				if b[i] == '\\' {
					if i++; i >= len(b) || b[i] != '"' && b[i] != '\\' {
						return node{}, errors.New("bad escape")
					}
				}
				if b[i] == 0 || b[i] == '\r' || b[i] == '\n' || b[i] >= 0x80 {
					return node{}, fmt.Errorf("octet %#x in quoted string", b[i])
				}
				text = append(text, b[i])
			}
			i++
			add(node{quoted: true, text: string(text)})
		case c == '{':
			head, _, ok := strings.Cut(string(b[i:min(len(b), i+24)]), "}\r\n")
			n, err := strconv.Atoi(strings.TrimPrefix(head, "{"))
			start := i + len(head) + 3
			if !ok || err != nil || n < 0 || start+n > len(b) {
				return node{}, errors.New("bad literal")
			}
			text := string(b[start : start+n])
			if strings.ContainsRune(text, 0) {
				return node{}, errors.New("NUL in literal")
			}
			i = start + n
			add(node{quoted: true, text: text})
		default:
			j := i
			for j < len(b) && (b[j] >= '0' && b[j] <= '9' || b[j] >= 'A' && b[j] <= 'Z') {
				j++
			}
			word := string(b[i:j])
			if _, err := strconv.ParseUint(word, 10, 63); err != nil && word != "NIL" {
				return node{}, fmt.Errorf("bad octet %#x at %d", b[i], i)
			}
			i = j
			add(node{nil_: word == "NIL", text: word})
		}
		spaced = false
	}
	if len(stack) != 1 || len(stack[0].list) != 1 {
		return node{}, errors.New("not one value")
	}
	return stack[0].list[0], nil
}

func (n node) isString() bool { return n.quoted }

func (n node) isNString() bool { return n.quoted || n.nil_ }

func (n node) isNumber() bool { return !n.isList && !n.quoted && !n.nil_ }

// checkEnvelope checks the grammar of envelope.
func checkEnvelope(n node) error {
	if !n.isList || len(n.list) != 10 {
		return errors.New("envelope: not ten fields")
	}
	for i, f := range n.list {
		if i < 2 || i > 7 {
			if !f.isNString() {
				return fmt.Errorf("envelope: field %d is no nstring", i)
			}
			continue
		}
		if !f.nil_ && !f.isList {
			return fmt.Errorf("envelope: field %d is no list", i)
		}
		open := false
		for _, a := range f.list {
			if len(a.list) != 4 {
				return fmt.Errorf("envelope: address of %d pieces", len(a.list))
			}
			for _, s := range a.list {
				if !s.isNString() {
					return errors.New("envelope: address piece is no nstring")
				}
			}
			mailbox, host := a.list[2], a.list[3]
			switch {
			case host.nil_ && mailbox.nil_:
				if !open {
					return errors.New("envelope: end of no group")
				}
				open = false
			case host.nil_:
				if open {
					return errors.New("envelope: group in group")
				}
				open = true
			case mailbox.nil_:
				return errors.New("envelope: address without mailbox")
			}
		}
		if open {
			return errors.New("envelope: group without end")
		}
	}
	return nil
}

// checkStructure checks the grammar of body, and that it says of p, numbered path in m, what sections give.
func checkStructure(n node, m *Message, p *Part, path []int, isMail, extended bool) error {
	if !n.isList || len(n.list) == 0 {
		return errors.New("body: no list")
	}
	fail := func(what string) error { return fmt.Errorf("body %v: %s", path, what) }
	if n.list[0].isList {
		parts := 0
		for parts < len(n.list) && n.list[parts].isList {
			parts++
		}
		if !p.IsMultipart() || parts != len(p.Children) {
			return fail("parts differ")
		}
		rest := n.list[parts:]
		if len(rest) == 0 || rest[0].text != p.Subtype || extended != (len(rest) > 1) {
			return fail("multipart's subtype")
		}
		if extended && (len(rest) != 5 || !isParams(rest[1]) || !isExtension(rest[2:])) {
			return fail("multipart's extension data")
		}
		for i, c := range p.Children {
			if err := checkStructure(n.list[i], m, c, append(path[:len(path):len(path)], i+1), false, extended); err != nil {
				return err
			}
		}
		return nil
	}
	if isMail { // its only part is 1
		path = append(path[:len(path):len(path)], 1)
	}
	f := n.list
	if len(f) < 7 || !f[0].isString() || !f[1].isString() || !isParams(f[2]) || !f[3].isNString() || !f[4].isNString() ||
		!f[5].isString() || !f[6].isNumber() {
		return fail("basic fields")
	}
	r, ok := m.Section(path, Whole)
	if !ok || strconv.FormatInt(r.Len(), 10) != f[6].text || r != p.Body() {
		return fail(fmt.Sprintf("octets %s, section %v %v", f[6].text, r, ok))
	}
	if r, ok := m.Section(path, MIME); !ok || r != p.Header() {
		return fail("MIME section")
	}
	rest := f[7:]
	switch {
	case f[0].text == "message" && (f[1].text == "rfc822" || f[1].text == "global"):
		if len(rest) < 3 || !rest[2].isNumber() {
			return fail("message's fields")
		}
		if err := checkEnvelope(rest[0]); err != nil {
			return err
		}
		mail := p.Children[0]
		if r, ok := m.Section(path, Header); !ok || r != mail.Header() || r.Start != p.BodyStart {
			return fail("HEADER section")
		}
		if r, ok := m.Section(path, Text); !ok || r != mail.Body() || r.End != p.End {
			return fail("TEXT section")
		}
		if err := checkStructure(rest[1], m, mail, path, true, extended); err != nil {
			return err
		}
		rest = rest[3:]
	case f[0].text == "text":
		if len(rest) < 1 || !rest[0].isNumber() {
			return fail("lines")
		}
		rest = rest[1:]
	}
	if !extended {
		if len(rest) != 0 {
			return fail("extension data in BODY")
		}
		return nil
	}
	if len(rest) != 4 || !rest[0].isNString() || !isExtension(rest[1:]) {
		return fail("extension data")
	}
	return nil
}

func isParams(n node) bool {
	if n.nil_ {
		return true
	}
	for _, s := range n.list {
		if !s.isString() {
			return false
		}
	}
	return n.isList && len(n.list)%2 == 0
}

func isExtension(f []node) bool {
	dsp, lang, loc := f[0], f[1], f[2]
	if !dsp.nil_ && (len(dsp.list) != 2 || !dsp.list[0].isString() || !isParams(dsp.list[1])) {
		return false
	}
	for _, l := range lang.list {
		if !l.isString() {
			return false
		}
	}
	return (lang.isList || lang.isNString()) && loc.isNString()
}

// checkPart checks that the ranges are nested, in order, and in bounds.
func checkPart(p *Part, from, limit int64) error {
	if p.HeaderStart < from || p.BodyStart < p.HeaderStart || p.End < p.BodyStart || p.End > limit || p.Lines < 0 || p.Lines > p.Body().Len() {
		return fmt.Errorf("part %s/%s %d %d %d (%d lines) not in %d-%d", p.Type, p.Subtype, p.HeaderStart, p.BodyStart, p.End, p.Lines, from, limit)
	}
	if (p.IsMultipart() || p.IsMessage()) != (len(p.Children) > 0) || p.IsMessage() && (len(p.Children) != 1 || p.Envelope == nil) {
		return fmt.Errorf("part %s/%s has %d children", p.Type, p.Subtype, len(p.Children))
	}
	at := p.BodyStart
	for _, c := range p.Children {
		if err := checkPart(c, at, p.End); err != nil {
			return err
		}
		at = c.End
	}
	return nil
}

// check checks all that must hold of any parsed mail.
func check(t testing.TB, m *Message, size int) {
	t.Helper()
	if m.Size != int64(size) || m.Root.HeaderStart != 0 || m.Root.End != m.Size {
		t.Fatalf("size %d, root %d-%d; want %d", m.Size, m.Root.HeaderStart, m.Root.End, size)
	}
	if err := checkPart(&m.Root, 0, m.Size); err != nil {
		t.Fatal(err)
	}
	env, err := parseIMAP(m.Envelope)
	if err == nil {
		err = checkEnvelope(env)
	}
	if err != nil {
		t.Fatalf("%v\n%.2000q", err, m.Envelope)
	}
	for _, extended := range []bool{false, true} {
		text := m.AppendBodyStructure(nil, extended)
		n, err := parseIMAP(text)
		if err == nil {
			err = checkStructure(n, m, &m.Root, nil, true, extended)
		}
		if err != nil {
			t.Fatalf("%v\n%.2000q", err, text)
		}
	}
}
