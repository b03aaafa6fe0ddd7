package probe

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A fakeMail is one mailbox that several fake nodes show.
type fakeMail struct {
	mu       sync.Mutex
	exists   bool // the mailbox
	messages []*fakeMessage
	uid      int
	conns    []*fakeConn // with the mailbox selected
	deleted  int         // mailboxes that were deleted
}

type fakeMessage struct {
	uid     int
	id      string
	deleted bool
}

// A fakeNode is a server with faults.
type fakeNode struct {
	mail   *fakeMail
	addr   string
	idles  bool
	silent string // a word of the responses that it keeps to itself, such as EXISTS
	stale  bool   // it tells of a message that is not ours before one that is
	lags   bool   // a search finds a message only when it is told for the second time, during the first search
	dies   string // a command at which it closes the connection, or telling
	hangs  string // a command that it never answers
	bye    string // what it says when it dies
}

// telling is where a node dies that has something to tell to one who idles.
const telling = "telling"

// start serves until the test ends, and returns what to probe.
func (n *fakeNode) start(t *testing.T) Node {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.addr = l.Addr().String()
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer nc.Close()
				(&fakeConn{node: n, w: nc, r: bufio.NewReader(nc)}).serve()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		conns.Wait() // so the probe has closed all of its own
	})
	return Node{Name: n.addr, Addr: n.addr, Security: Plain}
}

type fakeConn struct {
	node    *fakeNode
	w       net.Conn
	r       *bufio.Reader
	pending []string // guarded by mail.mu, as is idling
	idling  bool

	searched string // the last Message-ID, on a node that lags
}

// tell sends a response to a connection, now if it idles. The lock is held.
func (c *fakeConn) tell(line string) {
	if c.node.silent != "" && strings.Contains(line, c.node.silent) {
		return
	}
	c.pending = append(c.pending, line)
	if c.idling && c.node.dies == telling {
		c.w.Close()
	}
	if c.idling {
		c.flush()
	}
}

func (c *fakeConn) flush() {
	for _, line := range c.pending {
		fmt.Fprintf(c.w, "* %s\r\n", line)
	}
	c.pending = nil
}

func (m *fakeMail) tell(format string, args ...any) {
	for _, c := range m.conns {
		c.tell(fmt.Sprintf(format, args...))
	}
}

// number returns the number of the message that is, or 0.
func (m *fakeMail) number(is func(*fakeMessage) bool) int {
	return slices.IndexFunc(m.messages, is) + 1
}

var (
	literalSize = regexp.MustCompile(`\{(\d+)\}$`)
	messageID   = regexp.MustCompile(`<[a-z2-7]{26}@probe\.invalid>`)
)

// serve answers what a probe asks.
func (c *fakeConn) serve() {
	m := c.node.mail
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.conns = slices.DeleteFunc(m.conns, func(o *fakeConn) bool { return o == c })
	}()
	fmt.Fprint(c.w, "* OK [CAPABILITY IMAP4rev1 "+c.node.caps()+"] here\r\n")
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return
		}
		tag, command, _ := strings.Cut(strings.TrimSpace(line), " ")
		if d := c.node.dies; d != "" && strings.HasPrefix(command, d) {
			if c.node.bye != "" {
				fmt.Fprintf(c.w, "* BYE %s\r\n", c.node.bye)
			}
			return
		}
		if h := c.node.hangs; h != "" && strings.HasPrefix(command, h) {
			io.Copy(io.Discard, c.r)
			return
		}
		status := c.answer(tag, command)
		if status == "" {
			return
		}
		m.mu.Lock()
		c.flush()
		fmt.Fprintf(c.w, "%s %s\r\n", tag, status)
		m.mu.Unlock()
	}
}

func (n *fakeNode) caps() string {
	if n.idles {
		return "IDLE"
	}
	return "X-NONE"
}

// answer runs a command and returns its status; nothing ends the connection.
func (c *fakeConn) answer(tag, command string) string {
	m := c.node.mail
	m.mu.Lock()
	defer m.mu.Unlock()
	switch name, rest, _ := strings.Cut(command, " "); name {
	case "CAPABILITY":
		fmt.Fprintf(c.w, "* CAPABILITY IMAP4rev1 %s\r\n", c.node.caps())
	case "LOGIN":
		if !strings.Contains(rest, `"secret"`) {
			return "NO [AUTHENTICATIONFAILED] no such user or password"
		}
	case "CREATE":
		if m.exists {
			return "NO it is there already"
		}
		m.exists = true
	case "DELETE":
		m.exists, m.messages = false, nil
		m.deleted++
	case "SELECT":
		if !slices.Contains(m.conns, c) {
			m.conns = append(m.conns, c)
		}
		c.pending = nil
		fmt.Fprintf(c.w, "* %d EXISTS\r\n", len(m.messages))
	case "APPEND":
		return c.appendMessage(rest)
	case "SEARCH":
		id := messageID.FindString(rest)
		if c.node.lags && c.searched != id {
			c.searched = id
			c.tell(fmt.Sprintf("%d EXISTS", len(m.messages)))
			break
		}
		if n := m.number(func(x *fakeMessage) bool { return x.id == id }); n > 0 {
			fmt.Fprintf(c.w, "* SEARCH %d\r\n", n)
		}
	case "UID":
		return c.uid(rest)
	case "EXPUNGE":
		for {
			n := m.number(func(x *fakeMessage) bool { return x.deleted })
			if n == 0 {
				break
			}
			m.messages = slices.Delete(m.messages, n-1, n)
			m.tell("%d EXPUNGE", n)
		}
	case "IDLE":
		return c.idle()
	case "LOGOUT":
		fmt.Fprintf(c.w, "* BYE good-bye\r\n%s OK done\r\n", tag)
		return ""
	}
	return "OK done"
}

func (c *fakeConn) appendMessage(rest string) string {
	m := c.node.mail
	size := literalSize.FindStringSubmatch(rest)
	if size == nil {
		return "BAD no literal"
	}
	var n int
	fmt.Sscan(size[1], &n)
	fmt.Fprint(c.w, "+ go on\r\n")
	text := make([]byte, n+2)
	if _, err := io.ReadFull(c.r, text); err != nil {
		return ""
	}
	add := func(id string) {
		m.uid++
		m.messages = append(m.messages, &fakeMessage{uid: m.uid, id: id})
		m.tell("%d EXISTS", len(m.messages))
	}
	if c.node.stale {
		add("<another@example.org>")
	}
	add(messageID.FindString(string(text)))
	return "OK appended"
}

func (c *fakeConn) uid(rest string) string {
	m := c.node.mail
	name, rest, _ := strings.Cut(rest, " ")
	if name == "SEARCH" {
		id := messageID.FindString(rest)
		for _, x := range m.messages {
			if x.id == id {
				fmt.Fprintf(c.w, "* SEARCH %d\r\n", x.uid)
			}
		}
		return "OK done"
	}
	var uid int
	fmt.Sscan(rest, &uid)
	n := m.number(func(x *fakeMessage) bool { return x.uid == uid })
	if n == 0 {
		return "OK nothing"
	}
	flag := `\Flagged`
	if strings.Contains(rest, `\Deleted`) {
		flag = `\Flagged \Deleted`
		m.messages[n-1].deleted = true
	}
	m.tell(`%d FETCH (FLAGS (%s))`, n, flag)
	if c.node.stale && m.messages[n-1].deleted { // the number of ours falls before it is expunged
		m.messages = m.messages[1:]
		m.tell("1 EXPUNGE")
	}
	return "OK done"
}

// idle waits for DONE. The lock is held, but not while it waits.
func (c *fakeConn) idle() string {
	m := c.node.mail
	c.idling = true
	c.flush()
	fmt.Fprint(c.w, "+ idling\r\n")
	m.mu.Unlock()
	_, err := c.r.ReadString('\n')
	m.mu.Lock()
	c.idling = false
	if err != nil {
		return ""
	}
	return "OK done"
}
