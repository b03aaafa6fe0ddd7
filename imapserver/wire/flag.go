package wire

import (
	"strings"

	"github.com/emersion/go-imap/v2"
)

// maxFlags bounds a flag list.
const maxFlags = 256

// Flag reads a system flag or a keyword. System flags come back in the
// spelling of RFC 9051 §2.3.2, however they were written; \Recent and unknown
// flags with a backslash come back too, and the caller decides about them.
func (d *Decoder) Flag() (imap.Flag, error) {
	start := d.pos
	system := d.accept('\\')
	if len(d.take(isAtomChar)) == 0 {
		return "", syntax("expected a flag")
	}
	name := d.seg[start:d.pos]
	if !system {
		return imap.Flag(name), nil
	}
	for _, f := range [...]imap.Flag{
		imap.FlagSeen, imap.FlagAnswered, imap.FlagFlagged, imap.FlagDeleted, imap.FlagDraft, FlagRecent,
	} {
		if len(f) == len(name) && strings.EqualFold(string(f), string(name)) {
			return f, nil
		}
	}
	return imap.Flag(name), nil
}

// FlagRecent is \Recent, which only IMAP4rev1 has (RFC 3501 §2.3.2).
const FlagRecent imap.Flag = "\\Recent"

// FlagList reads a list of flags in parentheses, which may be empty.
func (d *Decoder) FlagList() ([]imap.Flag, error) {
	var flags []imap.Flag
	err := d.list(true, func() error { return d.appendFlag(&flags) })
	return flags, err
}

func (d *Decoder) appendFlag(flags *[]imap.Flag) error {
	f, err := d.Flag()
	if err != nil {
		return err
	}
	if len(*flags) == maxFlags {
		return syntax("too many flags")
	}
	*flags = append(*flags, f)
	return nil
}
