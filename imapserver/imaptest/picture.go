package imaptest

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// A Picture is the mailbox as a client sees it that believes every word: it comes from what the client was told and nothing else. It complains
// when what it is told cannot be (RFC 9051 §7.5.1, RFC 7162 §3.2).
type Picture struct {
	QResync bool // the client has enabled QRESYNC: it is told VANISHED, not EXPUNGE
	// Complain is called when line, which was just heard, cannot be.
	Complain func(line, why string)

	UIDs  []imap.UID          // by number, less one; 0: the client counts it and does not know it
	Flags map[imap.UID]string // as told, without \Recent
	// ModSeq is what the client would ask from after a break (RFC 7162 §6).
	ModSeq uint64

	// Removing says that messages may be told to be gone now: a command is in progress, and none by number, or IDLE.
	Removing bool
	// Selecting says that a SELECT is in progress, so that what is told is of the mailbox as it was found.
	Selecting bool

	// If they are set, they are called for each message that is said to be gone (with UID 0, if the client does not know it), and for
	// each FETCH of a message that it knows. Flags are nil and modseq is 0 where the FETCH does not tell them.
	Gone    func(line string, uid imap.UID)
	Fetched func(line string, uid imap.UID, flags *string, modseq uint64)

	seen, said uint64
	knew       []imap.UID // when Select was called, sorted
}

// Select begins a session: the client counts nothing.
func (p *Picture) Select() {
	p.UIDs, p.Selecting = nil, true
	if p.Flags == nil {
		p.Flags = make(map[imap.UID]string)
	}
	p.knew = slices.Sorted(maps.Keys(p.Flags))
}

// Forget forgets the messages too.
func (p *Picture) Forget() { p.UIDs, p.Flags, p.ModSeq = nil, make(map[imap.UID]string), 0 }

// Hear takes in one untagged response.
func (p *Picture) Hear(line string) {
	p.code(line)
	rest, ok := strings.CutPrefix(line, "* ")
	if !ok {
		return
	}
	if set, ok := strings.CutPrefix(rest, "VANISHED "); ok {
		set, earlier := strings.CutPrefix(set, "(EARLIER) ")
		p.vanished(line, set, earlier)
		return
	}
	number, what, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(number)
	if err != nil {
		return
	}
	known := n >= 1 && n <= len(p.UIDs)
	switch {
	case what == "EXISTS" && n < len(p.UIDs):
		p.Complain(line, "fewer than the client counts")
	case what == "EXISTS":
		p.UIDs = append(p.UIDs, make([]imap.UID, n-len(p.UIDs))...)
	case what == "EXPUNGE" && (!p.Removing || p.QResync):
		p.Complain(line, "not now")
	case what == "EXPUNGE" && !known:
		p.Complain(line, "no such message")
	case what == "EXPUNGE":
		p.remove(line, n-1)
	case strings.HasPrefix(what, "FETCH ") && !known:
		p.Complain(line, "no such message")
	case strings.HasPrefix(what, "FETCH "):
		p.fetched(n-1, line)
	}
}

// Answered takes in the tagged response that ends a command.
func (p *Picture) Answered(line string) {
	p.code(line)
	if p.said > 0 {
		p.ModSeq = p.said
	} else {
		p.ModSeq = max(p.ModSeq, p.seen)
	}
	p.said, p.seen, p.Removing, p.Selecting = 0, 0, false, false
}

// code notes a HIGHESTMODSEQ.
func (p *Picture) code(line string) {
	if _, after, ok := strings.Cut(line, "[HIGHESTMODSEQ "); ok {
		p.said = number(after)
	}
}

// number reads the number that s begins with.
func number(s string) (n uint64) {
	for i := 0; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		n = 10*n + uint64(s[i]-'0')
	}
	return n
}

func (p *Picture) remove(line string, i int) {
	uid := p.UIDs[i]
	p.UIDs = slices.Delete(p.UIDs, i, i+1)
	delete(p.Flags, uid)
	if p.Gone != nil {
		p.Gone(line, uid)
	}
}

func (p *Picture) fetched(i int, line string) {
	if _, after, ok := strings.Cut(line, "UID "); ok {
		uid := imap.UID(number(after))
		if old := p.UIDs[i]; old != 0 && old != uid {
			p.Complain(line, "another UID than before")
		}
		p.UIDs[i] = uid
		if !p.between(i) {
			p.Complain(line, "UIDs are not ascending")
		}
	}
	uid := p.UIDs[i]
	if uid == 0 {
		return
	}
	var flags *string
	if _, after, ok := strings.Cut(line, "FLAGS ("); ok {
		list, _, _ := strings.Cut(after, ")")
		list = strings.TrimSpace(strings.Replace(list, `\Recent`, "", 1))
		flags = &list
		p.Flags[uid] = list
	}
	var modseq uint64
	if _, after, ok := strings.Cut(line, "MODSEQ ("); ok {
		modseq = number(after)
		p.seen = max(p.seen, modseq)
	}
	if p.Fetched != nil {
		p.Fetched(line, uid, flags, modseq)
	}
}

// between says whether the UID at i is between those around it that are known.
func (p *Picture) between(i int) bool {
	for j := i - 1; j >= 0; j-- {
		if u := p.UIDs[j]; u != 0 {
			if u >= p.UIDs[i] {
				return false
			}
			break
		}
	}
	for _, u := range p.UIDs[i+1:] {
		if u != 0 {
			return u > p.UIDs[i]
		}
	}
	return true
}

// vanished takes UIDs out. Without EARLIER each must be one that the client counts.
func (p *Picture) vanished(line, set string, earlier bool) {
	if !p.QResync || earlier && !p.Selecting || !earlier && !p.Removing {
		p.Complain(line, "not now")
		return
	}
	for uid := range UIDs(set) {
		if earlier {
			delete(p.Flags, uid)
			continue
		}
		i := p.place(uid)
		if i < 0 {
			p.Complain(line, "a UID that the client does not count")
			return
		}
		p.UIDs[i] = uid
		p.remove(line, i)
	}
}

// UIDs yields the UIDs of a static set.
func UIDs(set string) func(yield func(imap.UID) bool) {
	return func(yield func(imap.UID) bool) {
		for r := range strings.SplitSeq(set, ",") {
			from, to, isRange := strings.Cut(r, ":")
			first := number(from)
			last := first
			if isRange {
				last = number(to)
			}
			for u := first; u <= last; u++ {
				if !yield(imap.UID(u)) {
					return
				}
			}
		}
	}
}

// place returns where uid is. It may be one that the client counts but does not know: then it is one of those between the UIDs that it
// knows, and does not matter which.
func (p *Picture) place(uid imap.UID) int {
	for i, u := range p.UIDs {
		if u == uid {
			return i
		}
		if u > uid {
			if i > 0 && p.UIDs[i-1] == 0 {
				return i - 1
			}
			return -1
		}
	}
	if n := len(p.UIDs); n > 0 && p.UIDs[n-1] == 0 {
		return n - 1
	}
	return -1
}

// Resynced ends a SELECT with QRESYNC: what the client knew and was not told to be gone comes first, in order (RFC 7162 §3.2.5).
func (p *Picture) Resynced() {
	left := slices.DeleteFunc(p.knew, func(uid imap.UID) bool {
		_, there := p.Flags[uid]
		return !there
	})
	if len(left) > len(p.UIDs) {
		p.Complain("QRESYNC", "the client still has more messages than there are")
		return
	}
	for i, uid := range left {
		if p.UIDs[i] != 0 && p.UIDs[i] != uid {
			p.Complain("QRESYNC", "message "+strconv.Itoa(i+1)+" should have UID "+strconv.Itoa(int(uid)))
		}
		p.UIDs[i] = uid
	}
}
