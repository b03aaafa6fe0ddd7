package clustertest

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/imaptest"
	"github.com/starling-mail/starling/mailbox"
)

// A client is an IMAP client that believes what it is told, and complains when that cannot be. It has no goroutine: what it
// hears, and timers, make it act. A worker does what it likes; any other one idles and looks at what is new.
type client struct {
	sim     *sim
	name    string
	user    *user
	worker  bool
	qresync bool
	rnd     *rand.Rand

	mu       sync.Mutex
	pictures map[string]*picture // by mailbox; kept over breaks by clients with QRESYNC
	in       *instance
	conn     *imaptest.Conn
	buf      []byte
	unsent   string
	greeted  bool
	tags     int
	command  *command // in progress; nil: none
	idling   bool
	selected *picture // nil: none
	bye      string
	tired    bool        // it has come to where it will idle
	act      *time.Timer // what comes next
	script   []func()    // what comes before it does as it likes
}

// A picture is what a client knows of one mailbox.
type picture struct {
	imaptest.Picture
	box  *box
	told map[imap.UID]int // which version of a message's flags was told last
}

// A command is in progress.
type command struct {
	tag, text string
	began     time.Time
	exists    bool // EXISTS was told
	fetched   map[imap.UID]bool
	done      func(ok bool, answer string)
}

func (c *client) complain(line, why string) {
	var counts []imap.UID
	if c.selected != nil {
		counts = c.selected.UIDs
	}
	c.sim.fail(c.name, "%s: %s (it counts %d: %v)", line, why, len(counts), counts)
}

// connect goes to one of the nodes. The caller holds mu.
func (c *client) connect() {
	n := c.sim.nodes[c.rnd.IntN(len(c.sim.nodes))]
	in := n.instance()
	if in == nil {
		c.later(between(c.rnd, 20*time.Millisecond, 200*time.Millisecond), c.connect)
		return
	}
	conn := imaptest.NewConn()
	conn.Tap = func(b []byte) { c.hear(conn, b) }
	conn.Ended = func() { c.ended(conn) }
	c.in, c.conn, c.buf, c.greeted, c.bye, c.unsent = in, conn, nil, false, "", ""
	c.script = nil
	n.mu.Lock()
	conn.SetStuck(n.frozen)
	if c.worker {
		in.workers[c.name] = true
	}
	n.mu.Unlock()
	c.sim.log.add(c.name, "connects to %s", n.name)
	go func() {
		if !in.listener.Offer(conn) {
			c.ended(conn)
		}
	}()
}

// later does something after a while, with mu held, unless the connection has ended by then or there is something else to do.
func (c *client) later(d time.Duration, what func()) {
	if c.act != nil {
		c.act.Stop()
	}
	conn := c.conn
	c.act = time.AfterFunc(d, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.conn == conn && !c.sim.ended() {
			what()
		}
	})
}

// ended is called when a connection has come to its end.
func (c *client) ended(conn *imaptest.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != conn {
		return
	}
	c.sim.log.add(c.name, "is cut off")
	if c.bye != "" && c.bye != "server is shutting down" {
		c.complain(c.bye, "BYE for no reason")
	}
	c.conn, c.in, c.command, c.idling, c.selected = nil, nil, nil, false, nil
	if !c.qresync {
		clear(c.pictures)
	}
	if !c.sim.ended() {
		c.later(between(c.rnd, time.Millisecond, 100*time.Millisecond), c.connect)
	}
}

// hangUp breaks the connection. The caller holds mu.
func (c *client) hangUp() {
	conn := c.conn
	conn.HangUp()
	go c.ended(conn)
}

// hear takes what the server writes.
func (c *client) hear(conn *imaptest.Conn, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != conn {
		return
	}
	c.buf = append(c.buf, b...)
	for {
		line, n := response(c.buf)
		if n == 0 {
			return
		}
		c.buf = c.buf[n:]
		c.sim.log.add(c.name, "< %s", line)
		c.note(line)
		c.line(line)
		if c.conn != conn {
			return
		}
	}
}

// response takes the first response of b, without its CRLF and with its literals, and says how many bytes it has; 0: it is not complete.
func response(b []byte) (line string, n int) {
	for {
		i := bytes.Index(b[n:], []byte("\r\n"))
		if i < 0 {
			return "", 0
		}
		n += i + 2
		at := bytes.LastIndexByte(b[:n], '{')
		if b[n-3] != '}' || at < 0 {
			return string(b[:n-2]), n
		}
		size, err := strconv.Atoi(string(b[at+1 : n-3]))
		if err != nil {
			return string(b[:n-2]), n
		}
		if n += size; n > len(b) {
			return "", 0
		}
	}
}

// note adds a line to the sum of the run, but for \Recent: which of several clients that open a mailbox at one moment gets it is chance.
func (c *client) note(line string) {
	if strings.HasSuffix(line, " RECENT") {
		return
	}
	line = strings.Replace(line, `\Recent`, "", 1)
	c.sim.log.sum(c.name, []byte(strings.Replace(line, " )", ")", 1)))
}

func (c *client) line(line string) {
	switch {
	case !c.greeted:
		c.greeted = true
		c.script = c.hello()
		c.next()
	case strings.HasPrefix(line, "+ "):
		c.idling = true
		c.idles()
	case strings.HasPrefix(line, "* BYE "):
		text := strings.TrimPrefix(line, "* BYE ")
		if strings.HasPrefix(text, "[") {
			_, text, _ = strings.Cut(text, "] ")
		}
		c.bye = text
	case c.command != nil && strings.HasPrefix(line, c.command.tag+" "):
		c.answered(line)
	case !strings.HasPrefix(line, "* "):
		c.complain(line, "nobody asked for this")
	default:
		c.untagged(line)
	}
}

func (c *client) untagged(line string) {
	p := c.selected
	if p == nil {
		return
	}
	p.Removing = c.idling || c.command != nil && !byNumber(c.command.text)
	p.Hear(line)
	if strings.HasSuffix(line, " EXISTS") {
		if c.command != nil {
			c.command.exists = true
		}
		if c.idling {
			c.curious()
		}
	}
}

// byNumber says whether EXPUNGE must not be told while a command is in progress (RFC 9051 §7.5.1).
func byNumber(text string) bool {
	return strings.HasPrefix(text, "FETCH ") || strings.HasPrefix(text, "STORE ") || strings.HasPrefix(text, "SEARCH ")
}

func (c *client) answered(line string) {
	done := c.command
	if c.selected != nil {
		c.selected.Answered(line)
	}
	c.command, c.idling = nil, false
	answer := strings.TrimPrefix(line, done.tag+" ")
	ok := strings.HasPrefix(answer, "OK ")
	if !ok && !strings.HasPrefix(answer, "NO ") || strings.Contains(answer, "SERVERBUG") {
		c.complain(line, "no answer to "+strconv.Quote(done.text))
	}
	if done.done != nil {
		done.done(ok, answer)
	}
	if c.conn != nil && c.command == nil {
		c.next()
	}
}

// next does what comes next, a moment later: the script, or what the client likes. The caller holds mu.
func (c *client) next() {
	switch {
	case len(c.script) > 0:
		first := c.script[0]
		c.script = c.script[1:]
		c.soon(func() {
			if first(); c.command == nil && c.conn != nil {
				c.next()
			}
		})
	case c.sim.quiet() || !c.worker:
		c.soon(c.rest)
	default:
		c.later(between(c.rnd, time.Millisecond, c.sim.plan.think), c.work)
	}
}

// soon does something a moment later, which is another one for each client.
func (c *client) soon(what func()) {
	c.later(between(c.rnd, 10*time.Microsecond, time.Millisecond), what)
}

// send sends a command. The caller holds mu.
func (c *client) send(text string, done func(ok bool, answer string)) {
	c.tags++
	c.command = &command{tag: "t" + strconv.Itoa(c.tags), text: text, began: time.Now(), done: done}
	c.write(c.command.tag + " " + text + "\r\n")
}

func (c *client) sendf(done func(ok bool, answer string), format string, args ...any) {
	c.send(fmt.Sprintf(format, args...), done)
}

// write sends bytes, when the node reads them.
func (c *client) write(s string) {
	c.sim.log.add(c.name, "> %s", strings.TrimSpace(s))
	n := c.in.node
	n.mu.Lock()
	frozen := n.frozen
	n.mu.Unlock()
	if frozen || c.unsent != "" {
		c.unsent += s
		return
	}
	c.conn.Send(s)
}

// stick makes the client's connection stand still while its node does.
func (c *client) stick(n *node, on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil || c.in.node != n {
		return
	}
	c.conn.SetStuck(on)
	if !on && c.unsent != "" {
		s := c.unsent
		c.unsent = ""
		c.conn.Send(s)
	}
}

// hello is what a client says first.
func (c *client) hello() []func() {
	list := []func(){func() {
		c.send("LOGIN "+c.user.name+" secret", func(ok bool, _ string) {
			if !ok { // the store cannot be reached
				c.later(between(c.rnd, 50*time.Millisecond, 300*time.Millisecond), c.hangUp)
				c.command = &command{tag: "none", text: "wait"}
			}
		})
	}}
	switch {
	case c.qresync:
		list = append(list, func() { c.send("ENABLE QRESYNC", nil) })
	case c.rnd.IntN(3) == 0:
		list = append(list, func() { c.send("ENABLE CONDSTORE", nil) })
	}
	return append(list, func() { c.open(c.user.boxes[c.rnd.IntN(len(c.user.boxes))]) })
}

// open selects a mailbox.
func (c *client) open(b *box) {
	p := c.pictures[b.name]
	if p == nil {
		p = &picture{box: b, told: make(map[imap.UID]int)}
		p.QResync = c.qresync
		p.Complain, p.Gone, p.Fetched = c.complain, c.gone, c.fetched
		c.pictures[b.name] = p
	}
	if c.rnd.IntN(3) == 0 || c.sim.quiet() || c.sim.plan.calm && c.sim.plan.interest {
		c.sim.race(c.rnd, b)
	}
	before := p.Picture
	before.Flags = maps.Clone(p.Flags)
	p.Select()
	resync := c.qresync && len(p.Flags) > 0 && p.ModSeq > 0
	text := "SELECT " + b.name
	if resync {
		text += fmt.Sprintf(" (QRESYNC (%d %d %s))", b.truth.validity, p.ModSeq, list(sorted(p.Flags)))
	} else {
		p.Forget()
		clear(p.told)
	}
	c.send(text, func(ok bool, _ string) {
		if !ok {
			// What was told is of no mailbox.
			p.Picture, c.selected = before, nil
			c.wait(func() { c.open(b) })
			return
		}
		if c.sim.quiet() || c.rnd.IntN(3) == 0 {
			return // it only waits for what comes, and asks for nothing that would bring the node up to date
		}
		if resync {
			c.script = append([]func(){func() { c.send("FETCH 1:* (UID)", func(bool, string) { c.resynced() }) }, c.learn}, c.script...)
		} else {
			c.script = append([]func(){c.learn}, c.script...)
		}
	})
	c.selected = p
}

// resynced checks that what a client with QRESYNC knew, and was not told to be gone, is there.
func (c *client) resynced() {
	for _, uid := range sorted(c.selected.Flags) {
		if !slices.Contains(c.selected.UIDs, uid) && !slices.Contains(c.selected.UIDs, 0) {
			c.complain("QRESYNC", fmt.Sprintf("nobody has said that UID %d is gone", uid))
		}
	}
}

// wait does something after a moment, as a command that was refused is tried again.
func (c *client) wait(what func()) {
	c.command = &command{tag: "none", text: "wait"}
	c.later(between(c.rnd, 50*time.Millisecond, 200*time.Millisecond), func() {
		c.command = nil
		what()
	})
}

// learn asks for what the client has not been told of messages that it counts.
func (c *client) learn() {
	p := c.selected
	if p == nil {
		return
	}
	for i, uid := range p.UIDs {
		if _, ok := p.Flags[uid]; uid == 0 || !ok {
			c.sendf(nil, "FETCH %d:* (UID FLAGS)", i+1)
			return
		}
	}
}

// rest begins IDLE. The caller holds mu.
func (c *client) rest() {
	if c.sim.quiet() && c.worker && !c.tired {
		// Some idle where they have just come to.
		c.tired = true
		if c.rnd.IntN(2) == 0 {
			c.open(c.anyBox())
			return
		}
	}
	if c.selected == nil {
		c.open(c.user.boxes[c.rnd.IntN(len(c.user.boxes))])
		return
	}
	c.send("IDLE", nil)
}

// idles decides what interrupts IDLE.
func (c *client) idles() {
	if c.sim.quiet() {
		return
	}
	if c.worker {
		c.later(between(c.rnd, 0, 10*c.sim.plan.think), c.stir)
	} else if c.rnd.IntN(3) == 0 {
		c.later(between(c.rnd, 0, 3*time.Second), c.stir)
	}
}

// curious looks at what is new, sooner or later.
func (c *client) curious() {
	if !c.worker && !c.sim.quiet() && c.rnd.IntN(3) > 0 {
		c.later(between(c.rnd, 0, 300*time.Millisecond), c.stir)
	}
}

// stir ends IDLE to see what is new, as long as things happen. The caller holds mu.
func (c *client) stir() {
	if !c.sim.quiet() {
		c.script = append(c.script, c.learn)
		c.wakeUp()
	}
}

// wakeUp ends IDLE, if it is in progress. The caller holds mu.
func (c *client) wakeUp() {
	if c.idling {
		c.idling = false
		c.write("DONE\r\n")
	}
}

// A user is an account.
type user struct {
	name  string
	boxes []*box
}

// A box is a mailbox.
type box struct {
	name  string
	id    mailbox.ID
	truth *boxTruth
}
