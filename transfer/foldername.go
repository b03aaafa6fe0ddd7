package transfer

import (
	"strings"
	"unicode/utf8"

	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/mailbox"
)

// maildirDot is a "." within one level of a folder's name, where Maildir++ has
// "." between levels. Modified UTF-7 has another form for it in mailbox names, so
// it can stand for nothing else.
const maildirDot = "&AC4-"

// folderToName turns the name of a Maildir++ folder, without its first dot,
// into a mailbox's. What a mailbox's name cannot hold becomes "_".
func folderToName(folder string) string {
	levels := strings.Split(folder, ".")
	for i, level := range levels {
		level = strings.ReplaceAll(level, maildirDot, "\x00")
		if utf8.ValidString(level) {
			var parts []string
			for part := range strings.SplitSeq(level, "\x00") {
				if decoded, ok := wire.DecodeUTF7(part); ok {
					part = decoded
				} // else it is UTF-8 already, or simply odd
				parts = append(parts, part)
			}
			level = strings.Join(parts, ".")
		}
		levels[i] = safeLevel(level)
	}
	return mailbox.CanonicalName(strings.Join(levels, mailbox.Delimiter))
}

// safeLevel replaces what a level of a mailbox's name must not hold.
func safeLevel(level string) string {
	if level == "" {
		return "_"
	}
	level = strings.ToValidUTF8(level, "_")
	return strings.Map(func(r rune) rune {
		if string(r) == mailbox.Delimiter || mailbox.CheckName(string(r)) != nil {
			return '_'
		}
		return r
	}, level)
}

// nameToFolder is the way back: the name of a Maildir++ folder, with its first
// dot, or "" for INBOX.
func nameToFolder(name string) string {
	if name == mailbox.Inbox {
		return ""
	}
	var b strings.Builder
	for level := range strings.SplitSeq(name, mailbox.Delimiter) {
		b.WriteByte('.')
		b.WriteString(strings.ReplaceAll(string(wire.AppendUTF7(nil, level)), ".", maildirDot))
	}
	return b.String()
}

// below puts name below the mailbox into; INBOX itself becomes into.
func below(into, name string) string {
	switch {
	case into == "" || into == mailbox.Inbox:
		return name
	case name == mailbox.Inbox:
		return into
	}
	return into + mailbox.Delimiter + name
}
