package mailbox

import (
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// SystemFlags is a set of the system flags that are stored (RFC 9051 §2.3.2).
// \Recent is not among them: it belongs to a session, not to a message.
type SystemFlags uint8

// The system flags.
const (
	Seen SystemFlags = 1 << iota
	Answered
	Flagged
	Deleted
	Draft
)

var systemFlags = [...]struct {
	bit  SystemFlags
	flag imap.Flag
}{
	{Answered, imap.FlagAnswered},
	{Flagged, imap.FlagFlagged},
	{Deleted, imap.FlagDeleted},
	{Seen, imap.FlagSeen},
	{Draft, imap.FlagDraft},
}

// SystemFlag returns the bit of a system flag, whatever its case, or 0 if f is
// none that is stored.
func SystemFlag(f imap.Flag) SystemFlags {
	for _, s := range systemFlags {
		if strings.EqualFold(string(f), string(s.flag)) {
			return s.bit
		}
	}
	return 0
}

// Flags is what one message is flagged with. It is comparable: two values with
// the same flags are equal.
type Flags struct {
	System SystemFlags
	// Keywords holds the keywords, sorted by their lower-case form, no two
	// equal but for case, separated by one space.
	Keywords string
}

// NewFlags makes a set of flags. Flags that cannot be stored (\Recent, unknown
// system flags) are left out.
func NewFlags(list ...imap.Flag) Flags {
	var f Flags
	var words []string
	for _, x := range list {
		if b := SystemFlag(x); b != 0 {
			f.System |= b
		} else if !strings.HasPrefix(string(x), `\`) && x != "" {
			words = append(words, string(x))
		}
	}
	f.Keywords = joinKeywords(words)
	return f
}

// joinKeywords sorts and dedups; of words that differ in case only, the first
// stays.
func joinKeywords(words []string) string {
	if len(words) == 0 {
		return ""
	}
	slices.SortStableFunc(words, func(a, b string) int {
		return strings.Compare(strings.ToLower(a), strings.ToLower(b))
	})
	words = slices.CompactFunc(words, strings.EqualFold)
	return strings.Join(words, " ")
}

// KeywordList returns the keywords one by one.
func (f Flags) KeywordList() []string {
	if f.Keywords == "" {
		return nil
	}
	return strings.Split(f.Keywords, " ")
}

// List returns the flags as IMAP names them.
func (f Flags) List() []imap.Flag {
	var list []imap.Flag
	for _, s := range systemFlags {
		if f.System&s.bit != 0 {
			list = append(list, s.flag)
		}
	}
	for _, k := range f.KeywordList() {
		list = append(list, imap.Flag(k))
	}
	return list
}

// Append appends the flags to dst as they stand in a FETCH FLAGS list, without
// the parentheses.
func (f Flags) Append(dst []byte) []byte {
	start := len(dst)
	for _, s := range systemFlags {
		if f.System&s.bit != 0 {
			if len(dst) > start {
				dst = append(dst, ' ')
			}
			dst = append(dst, s.flag...)
		}
	}
	if f.Keywords != "" {
		if len(dst) > start {
			dst = append(dst, ' ')
		}
		dst = append(dst, f.Keywords...)
	}
	return dst
}

// Has reports whether flag is set.
func (f Flags) Has(flag imap.Flag) bool {
	if b := SystemFlag(flag); b != 0 {
		return f.System&b != 0
	}
	return slices.ContainsFunc(f.KeywordList(), func(k string) bool {
		return strings.EqualFold(k, string(flag))
	})
}

// Union returns the flags set in f or in g. Where a keyword's case differs,
// f's stays.
func (f Flags) Union(g Flags) Flags {
	u := Flags{System: f.System | g.System, Keywords: f.Keywords}
	if g.Keywords != "" {
		u.Keywords = joinKeywords(append(f.KeywordList(), g.KeywordList()...))
	}
	return u
}

// Without returns the flags set in f but not in g.
func (f Flags) Without(g Flags) Flags {
	d := Flags{System: f.System &^ g.System, Keywords: f.Keywords}
	if f.Keywords != "" && g.Keywords != "" {
		d.Keywords = strings.Join(slices.DeleteFunc(f.KeywordList(), func(k string) bool {
			return g.Has(imap.Flag(k))
		}), " ")
	}
	return d
}
