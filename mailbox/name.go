package mailbox

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Delimiter separates the levels of a mailbox name.
const Delimiter = "/"

// Inbox is the name of every account's first mailbox, in the one spelling that
// names are stored in.
const Inbox = "INBOX"

// Limits of mailbox names, in bytes and levels.
const (
	MaxNameLen   = 1000
	MaxNameDepth = 50
)

// CanonicalName returns name with its first level spelt INBOX if it is that in
// any case (RFC 9051 §5.1), and without one trailing delimiter, which CREATE
// allows (§6.3.4).
func CanonicalName(name string) string {
	name = strings.TrimSuffix(name, Delimiter)
	if first, rest, nested := strings.Cut(name, Delimiter); strings.EqualFold(first, Inbox) {
		if nested {
			return Inbox + Delimiter + rest
		}
		return Inbox
	}
	return name
}

// CheckName reports why name, in canonical form, cannot be a mailbox's: an
// Error of kind Cannot.
func CheckName(name string) error {
	fail := func(text string) error {
		return &Error{Kind: Cannot, Op: "mailbox name", Text: text}
	}
	switch {
	case name == "":
		return fail("a mailbox name cannot be empty")
	case len(name) > MaxNameLen:
		return fail("mailbox name is too long")
	case !utf8.ValidString(name):
		return fail("mailbox name is not valid UTF-8")
	case strings.Count(name, Delimiter) >= MaxNameDepth:
		return fail("mailbox name has too many levels")
	}
	for level := range strings.SplitSeq(name, Delimiter) {
		if level == "" {
			return fail("mailbox name has an empty level")
		}
	}
	for _, r := range name {
		// RFC 9051 §5.1: no control characters; RFC 5198 §2 forbids the
		// line and paragraph separators too.
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return fail("mailbox name has a control character")
		}
		if r == '*' || r == '%' {
			return fail("mailbox name has a wildcard character")
		}
	}
	return nil
}

// Parents returns the names above name, the nearest last.
func Parents(name string) []string {
	var list []string
	for i, r := range name {
		if string(r) == Delimiter {
			list = append(list, name[:i])
		}
	}
	return list
}
