package imapserver

import (
	"strings"

	"github.com/starling-mail/starling/mailbox"
)

// A pattern is a LIST pattern, the reference before it (RFC 9051 §6.3.9): "*" is any
// text and "%" any text within one level.
type pattern string

// newPattern makes runs of wildcards one: they mean what the widest of them means.
func newPattern(p string) pattern {
	var b strings.Builder
	for i := 0; i < len(p); {
		if p[i] != '*' && p[i] != '%' {
			b.WriteByte(p[i])
			i++
			continue
		}
		wild := byte('%')
		for ; i < len(p) && (p[i] == '*' || p[i] == '%'); i++ {
			if p[i] == '*' {
				wild = '*'
			}
		}
		b.WriteByte(wild)
	}
	return pattern(b.String())
}

// match reports whether name matches. Its time is bounded by the product of the
// lengths: no pattern makes it go back more than once a place.
func (p pattern) match(name string) bool {
	// reach[i]: the pattern up to here matches name[:i].
	reach := make([]bool, len(name)+1)
	reach[0] = true
	for k := 0; k < len(p); k++ {
		switch p[k] {
		case '*':
			for i := 1; i <= len(name); i++ {
				reach[i] = reach[i] || reach[i-1]
			}
		case '%':
			for i := 1; i <= len(name); i++ {
				reach[i] = reach[i] || reach[i-1] && name[i-1] != mailbox.Delimiter[0]
			}
		default:
			for i := len(name); i >= 1; i-- {
				reach[i] = reach[i-1] && name[i-1] == p[k]
			}
			reach[0] = false
		}
	}
	return reach[len(name)]
}

// maxPatterns bounds the patterns of one command, in bytes: each name is compared with them.
const maxPatterns = 4 << 10

// patterns are those of one command.
type patterns []pattern

// newPatterns puts the reference before each pattern. Together they may be as long as
// maxPatterns.
func newPatterns(reference string, list []string) (patterns, error) {
	ps := make(patterns, len(list))
	room := maxPatterns
	for i, p := range list {
		// INBOX is written in any case (RFC 9051 §5.1).
		p = reference + p
		if first, _, _ := strings.Cut(p, mailbox.Delimiter); strings.EqualFold(first, mailbox.Inbox) {
			p = mailbox.Inbox + p[len(first):]
		}
		ps[i] = newPattern(p)
		if room -= len(p); room < 0 {
			return nil, bad("the patterns are too long")
		}
	}
	return ps, nil
}

func (ps patterns) match(name string) bool {
	for _, p := range ps {
		if p.match(name) || name == mailbox.Inbox && pattern(strings.ToUpper(string(p))).match(name) {
			return true
		}
	}
	return false
}
