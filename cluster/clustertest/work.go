package clustertest

import (
	"fmt"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/imaptest"
)

// work does something at random. The caller holds mu.
func (c *client) work() {
	p := c.selected
	if p == nil {
		c.open(c.anyBox())
		return
	}
	n := len(p.UIDs)
	switch what := c.rnd.IntN(100); {
	case n == 0 && what < 80, what < 14:
		c.append(c.anyBox())
	case what < 20:
		c.idle()
	case what < 24:
		c.send("NOOP", nil)
	case n == 0:
		c.open(c.anyBox())
	case n > 40:
		c.sendf(nil, `STORE 1:%d +FLAGS.SILENT (\Deleted)`, n-10)
		c.forget(p.UIDs[:n-10])
		c.script = append(c.script, func() { c.send("EXPUNGE", c.expunged(p)) })
	case what < 42:
		c.store(false)
	case what < 50:
		c.store(true)
	case what < 58:
		c.send("EXPUNGE", c.expunged(p))
	case what < 61:
		c.sendf(nil, "UID EXPUNGE %d:*", max(1, p.UIDs[c.rnd.IntN(n)]))
	case what < 66:
		c.transfer("COPY")
	case what < 71:
		c.transfer("MOVE")
	case what < 77:
		c.sendf(nil, "FETCH %d:* (UID FLAGS)", 1+c.rnd.IntN(n))
	case what < 80:
		c.send("UID FETCH 1:* (FLAGS)", nil)
	case what < 81:
		c.sendf(nil, "FETCH %d (UID ENVELOPE)", 1+c.rnd.IntN(n))
	case what < 83:
		c.sendf(nil, "FETCH %d (UID BODY[])", 1+c.rnd.IntN(n))
	case what < 86:
		c.send("SEARCH UNSEEN", nil)
	case what < 89:
		c.send("UID SEARCH FLAGGED", nil)
	case what < 91:
		c.sendf(nil, "STATUS %s (MESSAGES UNSEEN UIDNEXT)", c.anyBox().name)
	case what < 94:
		c.send("UNSELECT", func(ok bool, _ string) { c.unselected(ok) })
	case what < 97:
		c.open(c.anyBox())
	default:
		c.hangUp()
	}
}

func (c *client) anyBox() *box { return c.user.boxes[c.rnd.IntN(len(c.user.boxes))] }

func (c *client) unselected(ok bool) {
	if ok {
		c.selected = nil
	}
}

func (c *client) idle() { c.send("IDLE", nil) }

// append appends one message.
func (c *client) append(to *box) {
	p := c.selected
	flags := ""
	if c.rnd.IntN(2) == 0 {
		flags = "(" + c.anyFlag() + ") "
	}
	text := fmt.Sprintf("Subject: %s %d\r\n\r\n", c.name, c.tags)
	c.sendf(nil, "APPEND %s %s{%d+}\r\n%s", to.name, flags, len(text), text)
	sent := c.command
	sent.done = func(ok bool, answer string) {
		if !ok {
			return
		}
		uids := code(answer, "APPENDUID", 1)
		if len(uids) != 1 {
			c.complain(answer, "no APPENDUID")
			return
		}
		m := to.truth.message(uids[0])
		switch {
		case m == nil:
			c.complain(answer, "the message is not in the store")
		case p != nil && p == c.selected && p.box == to && m.expunged == 0 && !sent.exists && !c.in.held(sent.began):
			c.complain(answer, "nothing was told of the message")
		}
	}
}

// code returns the UIDs of a response code: the set with that number among its arguments.
func code(answer, name string, number int) (uids []imap.UID) {
	_, after, ok := strings.Cut(answer, "["+name+" ")
	if !ok {
		return nil
	}
	after, _, _ = strings.Cut(after, "]")
	if words := strings.Fields(after); number < len(words) {
		for uid := range imaptest.UIDs(words[number]) {
			uids = append(uids, uid)
		}
	}
	return uids
}

func (c *client) anyFlag() string {
	return pick(c.rnd, `\Seen`, `\Flagged`, `\Answered`, "word", "other")
}

// store changes flags of some messages.
func (c *client) store(deleted bool) {
	p := c.selected
	from := c.rnd.IntN(len(p.UIDs))
	to := min(from+c.rnd.IntN(3), len(p.UIDs)-1)
	some := append([]imap.UID(nil), p.UIDs[from:to+1]...)
	flag, op, silent := c.anyFlag(), []string{"+", "-", ""}[c.rnd.IntN(3)], c.rnd.IntN(2) == 0
	if deleted {
		flag, op = `\Deleted`, []string{"+", "+", "+", "-"}[c.rnd.IntN(4)]
	}
	what := op + "FLAGS"
	if silent {
		what += ".SILENT"
		c.forget(some)
	}
	known := true
	for _, uid := range some {
		known = known && uid != 0
	}
	if known && c.rnd.IntN(3) == 0 {
		c.sendf(nil, "UID STORE %s %s (%s)", list(some), what, flag)
	} else {
		c.sendf(nil, "STORE %d:%d %s (%s)", from+1, to+1, what, flag)
	}
	sent := c.command
	sent.done = func(ok bool, answer string) {
		if !ok {
			return
		}
		for _, uid := range some {
			if uid == 0 {
				continue
			}
			m := p.box.truth.message(uid)
			switch {
			case m.expunged > 0: // maybe before
			case !m.had(op, flag):
				c.complain(answer, fmt.Sprintf("%q, but UID %d has had only %v", sent.text, uid, m.versions))
			case !silent && !sent.fetched[uid]:
				c.complain(answer, fmt.Sprintf("%q, but nothing was told of UID %d", sent.text, uid))
			}
		}
	}
}

// had says whether the message ever had what STORE asks for. The client's own change may be followed by others.
func (m *message) had(op, flag string) bool {
	for _, v := range m.versions {
		has := strings.Contains(" "+v.flags+" ", " "+flag+" ")
		if has == (op != "-") && (op != "" || v.flags == flag) {
			return true
		}
	}
	return false
}

// forget takes what the client knew about messages' flags for void, because it changes them in silence.
func (c *client) forget(uids []imap.UID) {
	for _, uid := range uids {
		delete(c.selected.Flags, uid)
	}
}

// transfer copies or moves some messages.
func (c *client) transfer(what string) {
	p, to := c.selected, c.anyBox()
	if to == p.box && what == "MOVE" {
		what = "COPY"
	}
	from := c.rnd.IntN(len(p.UIDs))
	last := min(from+c.rnd.IntN(3), len(p.UIDs)-1)
	c.sendf(func(ok bool, answer string) {
		for _, uid := range code(answer, "COPYUID", 2) {
			if to.truth.message(uid) == nil {
				c.complain(answer, "the copy is not in the store")
			}
		}
	}, "%s %d:%d %s", what, from+1, last+1, to.name)
}

// expunged checks that nothing is left of what an EXPUNGE of the client has removed. It can know that of a client that is the only one at its
// node to remove messages.
func (c *client) expunged(p *picture) func(ok bool, answer string) {
	var deleted []imap.UID
	for uid, flags := range p.Flags {
		if strings.Contains(flags, `\Deleted`) {
			deleted = append(deleted, uid)
		}
	}
	began := time.Now()
	return func(ok bool, answer string) {
		if !ok || c.selected != p || c.in.held(began) {
			return
		}
		for _, uid := range deleted {
			flags, counted := p.Flags[uid]
			if !counted || !strings.Contains(flags, `\Deleted`) {
				continue
			}
			if m := p.box.truth.message(uid); m.expunged > 0 && m.by == c.in.node.name && c.in.alone() {
				c.complain(answer, fmt.Sprintf("UID %d was expunged, which was not told", uid))
			}
		}
	}
}
