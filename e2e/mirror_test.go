//go:build unix

package e2e

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/imaptest"
)

// A mirror is a client that waits in IDLE with a picture of a mailbox, of which it knows what it is told and nothing else: only
// for the UIDs and flags of messages that are new to it does it leave IDLE for a moment. When its connection ends, it makes another
// one; with QRESYNC it goes on from what it knows, otherwise it begins anew.
type mirror struct {
	addr, box string
	stopped   chan struct{}

	mu       sync.Mutex
	picture  imaptest.Picture
	validity uint64 // UIDVALIDITY
	nc       net.Conn
	r        *bufio.Reader
	tags     int
	closed   bool
	idling   bool     // and nothing is left to ask
	breaks   int      // ends of connections
	broke    error    // why the last one ended
	fault    error    // it was told what cannot be: then it stops
	trace    []string // the last that was said
}

// An entry is one line of a picture.
type entry struct {
	uid   imap.UID
	flags string
}

// watch starts a mirror. Whoever starts one closes it.
func watch(addr, box string, qresync bool) *mirror {
	m := &mirror{addr: addr, box: box, stopped: make(chan struct{})}
	m.picture.QResync = qresync
	m.picture.Complain = func(line, why string) {
		if m.fault == nil {
			m.fault = fmt.Errorf("%q: %s; it has heard:\n%s", line, why, strings.Join(m.trace, "\n"))
		}
	}
	go func() {
		defer close(m.stopped)
		for m.session() {
			<-time.After(50 * time.Millisecond) // its node may be about to start
		}
	}()
	return m
}

func (m *mirror) close() {
	m.mu.Lock()
	m.closed = true
	if m.nc != nil {
		m.nc.Close()
	}
	m.mu.Unlock()
	<-m.stopped
}

// err is what it was told that cannot be.
func (m *mirror) err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fault
}

// shows reports whether the mirror idles and its picture is exactly this one.
func (m *mirror) shows(want []entry) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.idling && m.fault == nil && slices.EqualFunc(m.picture.UIDs, want, func(uid imap.UID, w entry) bool {
		return uid == w.uid && m.picture.Flags[uid] == w.flags
	})
}

func (m *mirror) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var have []entry
	for _, uid := range m.picture.UIDs {
		have = append(have, entry{uid, m.picture.Flags[uid]})
	}
	return fmt.Sprintf("%v\nidling: %v; %d breaks, the last by %v; last heard:\n%s", have, m.idling, m.breaks, m.broke, strings.Join(m.trace, "\n"))
}

// session is one connection, from login to its end. It returns whether there is to be another.
func (m *mirror) session() bool {
	nc, err := net.Dial("tcp", m.addr)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		defer nc.Close()
		m.nc, m.r, m.trace = nc, bufio.NewReader(nc), nil
		if m.closed {
			return false
		}
		err = m.follow()
	}
	m.idling = false
	m.breaks++
	m.broke = err
	return !m.closed && m.fault == nil
}

// follow logs in, opens the mailbox and listens. It returns why that ended. The mutex is held, but while it waits.
func (m *mirror) follow() error {
	if err := m.command("LOGIN %s %q", user, password); err != nil {
		return err
	}
	if m.picture.QResync {
		if err := m.command("ENABLE QRESYNC"); err != nil {
			return err
		}
	}
	if err := m.open(); err != nil {
		return err
	}
	for {
		if err := m.learn(); err != nil {
			return err
		}
		if err := m.idle(); err != nil {
			return err
		}
	}
}

func (m *mirror) open() error {
	p := &m.picture
	if !p.QResync || p.ModSeq == 0 || len(p.Flags) == 0 {
		p.Forget()
		p.Select()
		return m.command("SELECT %s", m.box)
	}
	var known imap.UIDSet
	for uid := range p.Flags {
		known.AddNum(uid)
	}
	was := m.validity
	p.Select()
	if err := m.command("SELECT %s (QRESYNC (%d %d %s))", m.box, was, p.ModSeq, known); err != nil {
		return err
	}
	if m.validity != was {
		p.Complain("SELECT", "another UIDVALIDITY")
	}
	p.Resynced()
	return m.fault
}

// learn asks for what it has not been told of messages that it counts.
func (m *mirror) learn() error {
	for {
		first := slices.Index(m.picture.UIDs, 0) + 1
		if first == 0 {
			return nil
		}
		if err := m.command("FETCH %d:* (UID FLAGS)", first); err != nil {
			return err
		}
		// Of those that are gone, which it was not told then, it learns nothing else.
		if err := m.command("NOOP"); err != nil {
			return err
		}
	}
}

// idle waits until there is something to learn.
func (m *mirror) idle() error {
	tag, err := m.send("IDLE", true)
	for began := false; err == nil; {
		var line string
		if line, err = m.line(!began); err != nil {
			break
		}
		began = began || strings.HasPrefix(line, "+")
		err = m.hear(line)
		complete := !slices.Contains(m.picture.UIDs, 0)
		m.idling = began && complete
		if err == nil && began && !complete {
			if err = m.write("DONE"); err == nil {
				err = m.answer(tag)
			}
			break
		}
	}
	return err
}

// command sends a command and hears what comes up to the tagged response, which must be OK.
func (m *mirror) command(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	tag, err := m.send(text, !strings.HasPrefix(text, "FETCH"))
	if err != nil {
		return err
	}
	return m.answer(tag)
}

// send begins a command, during which expunges may be told or not.
func (m *mirror) send(command string, removing bool) (string, error) {
	m.tags++
	m.picture.Removing = removing
	tag := "m" + strconv.Itoa(m.tags)
	return tag, m.write(tag + " " + command)
}

func (m *mirror) answer(tag string) error {
	for {
		line, err := m.line(true)
		if err != nil {
			return err
		}
		rest, ok := strings.CutPrefix(line, tag+" ")
		if !ok {
			if err := m.hear(line); err != nil {
				return err
			}
			continue
		}
		m.picture.Answered(line)
		if !strings.HasPrefix(rest, "OK") {
			return fmt.Errorf("refused: %s", rest)
		}
		return m.fault
	}
}

func (m *mirror) hear(line string) error {
	if _, code, ok := strings.Cut(line, "[UIDVALIDITY "); ok {
		number, _, _ := strings.Cut(code, "]")
		m.validity, _ = strconv.ParseUint(number, 10, 32)
	}
	m.picture.Hear(line)
	return m.fault
}

func (m *mirror) write(line string) error {
	m.keep(line)
	m.nc.SetWriteDeadline(time.Now().Add(patience))
	_, err := m.nc.Write([]byte(line + "\r\n"))
	return err
}

// line reads the next line, with the mutex released meanwhile; a server that has something to do must say one in time.
func (m *mirror) line(busy bool) (string, error) {
	limit := time.Time{}
	if busy {
		limit = time.Now().Add(patience)
	}
	m.nc.SetReadDeadline(limit)
	m.mu.Unlock()
	line, err := m.r.ReadString('\n')
	m.mu.Lock()
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	m.keep(line)
	return line, nil
}

func (m *mirror) keep(line string) {
	const kept = 60
	if len(m.trace) == kept {
		m.trace = m.trace[1:]
	}
	m.trace = append(m.trace, line)
}
