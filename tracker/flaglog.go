package tracker

import (
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// Limits of a flagLog.
const (
	maxLogEntries = 256
	maxLogBytes   = 64 << 10
	trimEvery     = 16 // entries
)

// A flagLog holds the recent changes of flags that some View has not been told yet. It is complete after from: who was told less
// must ask the store.
type flagLog struct {
	from    mailbox.ModSeq
	entries []flagEntry
}

// A flagEntry is the flags of one Change.
type flagEntry struct {
	modseq mailbox.ModSeq
	exact  bool // modseq is that of each message
	flags  []mailbox.FlagChange
}

// reset empties the log: it is complete after m.
func (l *flagLog) reset(m mailbox.ModSeq) { *l = flagLog{from: m} }

// append adds the flags of c, if there is somebody to tell of them. highest is the highest UID there was before c: of a message that came with c,
// clients are told the flags when they ask for it.
func (l *flagLog) append(c *mailbox.Change, exact bool, highest imap.UID, views []*View) {
	if len(views) == 0 {
		l.reset(c.ModSeq)
		return
	}
	news := slices.ContainsFunc(c.Flags, func(f mailbox.FlagChange) bool { return touches(f, highest) })
	if !news {
		return
	}
	if len(l.entries)%trimEvery == trimEvery-1 {
		l.trim(views)
	}
	l.entries = append(l.entries, flagEntry{c.ModSeq, exact, c.Flags})
}

// trim drops what all Views have been told, and the older half of what is too much.
func (l *flagLog) trim(views []*View) {
	told := views[0].flagsTold
	for _, v := range views[1:] {
		told = min(told, v.flagsTold)
	}
	n := 0
	for n < len(l.entries) && l.entries[n].modseq <= told {
		n++
	}
	if rest := l.entries[n:]; len(rest) >= maxLogEntries || size(rest) > maxLogBytes {
		n += (len(rest) + 1) / 2
	}
	if n > 0 {
		l.from = max(l.from, l.entries[n-1].modseq)
		l.entries = slices.Clone(l.entries[n:])
	}
}

// size returns about how many bytes the entries keep.
func size(entries []flagEntry) (n int) {
	for _, e := range entries {
		n += 48
		for _, f := range e.flags {
			n += 64 + 8*len(f.UIDs) + len(f.Flags.Keywords)
		}
	}
	return n
}

// after returns the entries after m, oldest first. The log must be complete after m.
func (l *flagLog) after(m mailbox.ModSeq) []flagEntry {
	i, _ := slices.BinarySearchFunc(l.entries, m+1, func(e flagEntry, m mailbox.ModSeq) int {
		if e.modseq < m {
			return -1
		}
		return 1
	})
	return l.entries[i:]
}

// touches says whether f is for everybody and speaks of UIDs up to highest.
func touches(f mailbox.FlagChange, highest imap.UID) bool {
	return f.User.IsZero() && len(f.UIDs) > 0 && f.UIDs[0].Start <= highest
}
