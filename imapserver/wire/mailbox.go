package wire

import (
	"strings"
	"unicode/utf8"
)

// Mailbox reads a mailbox name and returns it in UTF-8. Without d.UTF8 the
// client writes modified UTF-7 (RFC 3501 §5.1.3). INBOX comes back in upper
// case however it was written (RFC 9051 §5.1). Names with control characters
// or line separators are refused (RFC 6855 §3).
func (d *Decoder) Mailbox() (string, error) {
	s, err := d.AString()
	if err != nil {
		return "", err
	}
	return d.mailboxName(s)
}

// ListMailbox reads a mailbox pattern of LIST or LSUB, which may hold the
// wildcards "%" and "*", and returns it in UTF-8.
func (d *Decoder) ListMailbox() (string, error) {
	if c := d.peek(); c == '"' || c == '{' {
		s, err := d.String()
		if err != nil {
			return "", err
		}
		return d.mailboxName(s)
	}
	b := d.take(isListChar)
	if len(b) == 0 {
		return "", syntax("expected a mailbox pattern")
	}
	return d.mailboxName(string(b))
}

// mailboxName turns s, as the client wrote it, into UTF-8.
func (d *Decoder) mailboxName(s string) (string, error) {
	if len(s) == len("INBOX") && strings.EqualFold(s, "INBOX") {
		return "INBOX", nil
	}
	if !d.UTF8 {
		var ok bool
		if s, ok = DecodeUTF7(s); !ok {
			return "", syntax("mailbox name is not valid modified UTF-7")
		}
	} else if !utf8.ValidString(s) {
		return "", syntax("mailbox name is not valid UTF-8")
	}
	for _, r := range s {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return "", syntax("control character in a mailbox name")
		}
	}
	return s, nil
}
