package rules

import (
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// Apply returns the flags that a STORE of flags makes of from (RFC 9051
// §6.4.6).
func Apply(from mailbox.Flags, op imap.StoreFlagsOp, flags mailbox.Flags) mailbox.Flags {
	switch op {
	case imap.StoreFlagsAdd:
		return from.Union(flags)
	case imap.StoreFlagsDel:
		return from.Without(flags)
	default:
		return flags
	}
}

// Count adds (n = 1) a message of that size and flags to c or removes it (n = -1).
func Count(c *mailbox.Counts, n int, size int64, f mailbox.SystemFlags) {
	c.Messages += uint32(n)
	c.Size += int64(n) * size
	if f&mailbox.Seen == 0 {
		c.Unseen += uint32(n)
	}
	if f&mailbox.Deleted != 0 {
		c.Deleted += uint32(n)
		c.DeletedSize += int64(n) * size
	}
}

// A Flagging collects which messages have which flags, for a Change. The zero
// value has none.
type Flagging struct {
	order []mailbox.Flags
	sets  map[mailbox.Flags]*imap.UIDSet
}

// Add notes the flags of a message; UIDs come in ascending order.
func (g *Flagging) Add(uid imap.UID, f mailbox.Flags) {
	set := g.sets[f]
	if set == nil {
		if g.sets == nil {
			g.sets = make(map[mailbox.Flags]*imap.UIDSet)
		}
		set = new(imap.UIDSet)
		g.sets[f] = set
		g.order = append(g.order, f)
	}
	AddUID(set, uid)
}

// Changes returns what was noted, in the order in which flags first came.
func (g *Flagging) Changes() (list []mailbox.FlagChange) {
	for _, f := range g.order {
		list = append(list, mailbox.FlagChange{UIDs: *g.sets[f], Flags: f})
	}
	return list
}

// Words keeps one string of each text that rows have many times.
type Words map[string]string

// Text returns b as a string.
func (w Words) Text(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	s, ok := w[string(b)]
	if !ok {
		s = string(b)
		w[s] = s
	}
	return s
}

// Spell returns f with keywords in the spelling of their first use in a
// mailbox, which has had the keywords in known. Those that are new are
// appended to known with add set, and left out of f without: to remove a flag is no use of it.
func Spell(known []string, f mailbox.Flags, add bool) (mailbox.Flags, []string) {
	if f.Keywords == "" {
		return f, known
	}
	var flags []imap.Flag
	for _, k := range f.KeywordList() {
		name := ""
		for _, n := range known {
			if strings.EqualFold(n, k) {
				name = n
				break
			}
		}
		if name == "" {
			if !add {
				continue
			}
			name = k
			known = append(known[:len(known):len(known)], k)
		}
		flags = append(flags, imap.Flag(name))
	}
	return mailbox.Flags{System: f.System, Keywords: mailbox.NewFlags(flags...).Keywords}, known
}
