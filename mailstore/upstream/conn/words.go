package conn

import (
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// A words remembers a few strings that come again and again, so that reading them allocates
// nothing.
type words struct{ last [16]string }

// upper returns b in upper case.
func (w *words) upper(b []byte) string {
	upperCase(b)
	return w.string(b)
}

// upperCase turns the ASCII letters of b into upper case.
func upperCase(b []byte) {
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
}

// string returns b as a string.
func (w *words) string(b []byte) string {
	if len(b) > 256 {
		return string(b)
	}
	for i := range w.last {
		if w.last[i] == string(b) {
			s := w.last[i]
			copy(w.last[1:i+1], w.last[:i])
			w.last[0] = s
			return s
		}
	}
	s := string(b)
	copy(w.last[1:], w.last[:])
	w.last[0] = s
	return s
}

// validName reports whether a mailbox name can be shown and sent back (RFC 9051 §5.1).
func validName(s string) bool {
	return s != "" && utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool {
		return r < 0x20 || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029'
	}) < 0
}

// maxKeywords is how many sets of keywords are remembered.
const maxKeywords = 64

// A keywordSets remembers sets of keywords in the form of mailbox.Flags, by how the server
// wrote them: messages share them, in memory too.
type keywordSets map[string]string

// canonical returns the keywords in b, each of which ends with a space.
func (s *keywordSets) canonical(b []byte) string {
	if k, ok := (*s)[string(b)]; ok {
		return k
	}
	var list []imap.Flag
	for word := range strings.FieldsSeq(string(b)) {
		list = append(list, imap.Flag(word))
	}
	k := mailbox.NewFlags(list...).Keywords
	if len(b) > 1024 {
		return k
	}
	if *s == nil || len(*s) >= maxKeywords {
		*s = keywordSets{}
	}
	(*s)[string(b)] = k
	return k
}
