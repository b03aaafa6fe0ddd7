package clustertest

import (
	"fmt"
	"slices"

	"github.com/emersion/go-imap/v2"
)

// gone is called when a message is told to be gone.
func (c *client) gone(line string, uid imap.UID) {
	p := c.selected
	if uid == 0 {
		return
	}
	delete(p.told, uid)
	if m := p.box.truth.message(uid); m == nil || m.expunged == 0 {
		c.complain(line, fmt.Sprintf("UID %d is there", uid))
	}
}

// fetched is called when something about a message is told.
func (c *client) fetched(line string, uid imap.UID, flags *string, modseq uint64) {
	p := c.selected
	if c.command != nil {
		if c.command.fetched == nil {
			c.command.fetched = make(map[imap.UID]bool)
		}
		c.command.fetched[uid] = true
	}
	m := p.box.truth.message(uid)
	if m == nil {
		c.complain(line, "there never was such a message")
		return
	}
	switch {
	case flags == nil && modseq == 0:
		return
	case flags == nil: // the client has changed them in silence, maybe without knowing which message that was
		delete(p.Flags, uid)
	}
	last := p.told[uid]
	for i, v := range m.versions {
		if i >= last && (flags == nil || v.flags == *flags) && (modseq == 0 || uint64(v.modseq) == modseq) {
			p.told[uid] = i
			return
		}
	}
	c.complain(line, fmt.Sprintf("the message has had %v; told before was the one with number %d", m.versions, last))
}

// sees compares what the client knows with the truth. The caller holds mu.
func (c *client) sees(when string) {
	p := c.selected
	uids, flags, _ := p.box.truth.now()
	if len(uids) != len(p.UIDs) {
		c.complain(when, fmt.Sprintf("%s has %d messages: %v", p.box.name, len(uids), uids))
		return
	}
	for i, uid := range uids {
		told, ok := p.Flags[uid]
		switch {
		case p.UIDs[i] != 0 && p.UIDs[i] != uid:
			c.complain(when, fmt.Sprintf("message %d of %s has UID %d", i+1, p.box.name, uid))
			return
		case p.UIDs[i] != 0 && ok && told != flags[uid]:
			c.complain(when, fmt.Sprintf("message %d of %s, UID %d, has (%s), not (%s)", i+1, p.box.name, uid, flags[uid], told))
			return
		}
	}
}

// list writes UIDs as a set.
func list(uids []imap.UID) string {
	var set imap.UIDSet
	set.AddNum(uids...)
	return set.String()
}

func sorted(m map[imap.UID]string) []imap.UID {
	list := make([]imap.UID, 0, len(m))
	for uid := range m {
		list = append(list, uid)
	}
	slices.Sort(list)
	return list
}
