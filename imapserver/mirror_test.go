package imapserver_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver"
	"github.com/starling-mail/starling/imapserver/imaptest"
	"github.com/starling-mail/starling/mailstore"
)

// A mirror is a client with a Picture of INBOX, which does what it likes.
type mirror struct {
	*client
	imaptest.Picture
	name     string
	validity uint32 // UIDVALIDITY of INBOX
	rnd      *rand.Rand

	trace  []string // what was said, for complaints
	idling bool
}

func (m *mirror) fail(line, why string) {
	m.t.Helper()
	m.t.Logf("%s has heard:\n%s", m.name, strings.Join(m.trace[max(0, len(m.trace)-60):], "\n"))
	m.t.Errorf("%s: %s: %s (counts %d: %v)", m.name, line, why, len(m.UIDs), m.UIDs)
}

// hear takes one untagged response in.
func (m *mirror) hear(line string) {
	m.trace = append(m.trace, line)
	m.Hear(line)
}

// command sends one command and hears its responses, up to the tagged one.
func (m *mirror) command(format string, args ...any) string {
	command := fmt.Sprintf(format, args...)
	m.Removing = !strings.HasPrefix(command, "FETCH") && !strings.HasPrefix(command, "STORE") && !strings.HasPrefix(command, "SEARCH")
	m.tags++
	tag := "m" + strconv.Itoa(m.tags)
	m.trace = append(m.trace, tag+" "+command)
	m.send(tag + " " + command + "\r\n")
	return m.listen(tag)
}

func (m *mirror) listen(tag string) string {
	for {
		line := m.line()
		rest, ok := strings.CutPrefix(line, tag+" ")
		if !ok {
			m.hear(line)
			continue
		}
		if strings.HasPrefix(rest, "BAD") {
			m.fail(rest, "BAD")
		}
		m.Answered(rest)
		return rest
	}
}

// open selects INBOX; a client with QRESYNC goes on from what it knows.
func (m *mirror) open() {
	m.Select()
	known := slices.Sorted(maps.Keys(m.Flags))
	if !m.QResync || len(known) == 0 || m.ModSeq == 0 {
		m.Forget()
		m.command("SELECT INBOX")
		m.learn()
		return
	}
	set := make([]string, len(known))
	for i, uid := range known {
		set[i] = strconv.Itoa(int(uid))
	}
	m.command("SELECT INBOX (QRESYNC (%d %d %s))", m.validity, m.ModSeq, strings.Join(set, ","))
	m.Resynced() // what it knows must be all but what is new: then the numbers follow
	m.learn()
}

// learn asks for what it has not been told of messages that it counts.
func (m *mirror) learn() {
	if slices.Contains(m.UIDs, 0) {
		m.command("FETCH 1:* (UID FLAGS)") // by number: expunges go on being withheld
	}
}

// act does something at random.
func (m *mirror) act() {
	if m.idling {
		m.idling = false
		m.send("DONE\r\n")
		m.listen("i")
		return
	}
	any := 1
	if len(m.UIDs) > 0 {
		any = 1 + m.rnd.IntN(len(m.UIDs))
	}
	flag := []string{`\Seen`, `\Flagged`, "word", `\Answered`}[m.rnd.IntN(4)]
	sign := []string{"+", "-", ""}[m.rnd.IntN(3)]
	silent := []string{"", ".SILENT"}[m.rnd.IntN(2)]
	switch n := len(m.UIDs); {
	case n > 60:
		m.command(`STORE 1:%d +FLAGS (\Deleted)`, n-20)
		m.command("EXPUNGE")
		return
	case n == 0:
		m.command("APPEND INBOX {12+}\r\nSubject: x\r\n")
		m.learn()
		return
	}
	switch m.rnd.IntN(14) {
	case 0, 1:
		m.command("APPEND INBOX (%s) {12+}\r\nSubject: x\r\n", flag)
	case 2:
		m.command("FETCH %d:* (UID FLAGS)", any)
	case 3:
		m.command("UID FETCH 1:* (FLAGS)")
	case 4, 5:
		m.command("STORE %d %sFLAGS%s (%s)", any, sign, silent, flag)
		if silent != "" { // it knows what it has done, but not what it was done to
			m.command("FETCH %d (UID FLAGS)", any)
		}
	case 6:
		m.command(`STORE %d +FLAGS (\Deleted)`, any)
	case 7:
		m.command("EXPUNGE")
	case 8:
		m.command("SEARCH %d:* UNSEEN", any)
	case 9:
		m.command("UID SEARCH 1:* SEEN")
	case 10:
		m.command("COPY %d INBOX", any)
	case 11:
		m.command("MOVE %d Other", any)
	case 12:
		m.command("NOOP")
	case 13:
		m.send("i IDLE\r\n")
		for {
			line := m.line()
			if strings.HasPrefix(line, "+") {
				break
			}
			m.hear(line)
		}
		m.idling, m.Removing = true, true
	}
}

// settle ends a round: whoever idles stops, some come back after a break, all learn what is new.
func (m *mirror) settle(h *host, addr string) {
	if m.idling {
		m.act()
	}
	if m.rnd.IntN(2) == 0 {
		m.learn()
		m.Close()
		m.client = h.login(addr)
		m.begin()
	}
	m.command("NOOP")
	m.learn()
}

func (m *mirror) begin() {
	if m.QResync {
		m.command("ENABLE QRESYNC")
	}
	m.open()
}

// TestMirrors lets clients change one mailbox at the same time, and break off and come back. In
// the pauses each must believe what the store says (P1; RFC 7162 §3.2, §6).
func TestMirrors(t *testing.T) {
	rounds, steps := 12, 25
	if testing.Short() {
		rounds = 3
	}
	h := newHost(t, imapserver.DefaultSettings())
	h.deliver(5, 100)
	addr := h.listen(imapserver.ListenerOptions{})
	if _, err := h.store.Create(t.Context(), h.user.Account, "Other", nil); err != nil {
		t.Fatal(err)
	}
	inbox, err := h.store.Lookup(t.Context(), h.user.Account, "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Log("seed", seed)
	mirrors := make([]*mirror, 6)
	for i := range mirrors {
		m := &mirror{name: strconv.Itoa(i), validity: inbox.UIDValidity, rnd: rand.New(rand.NewPCG(seed, uint64(i))), client: h.login(addr)}
		m.QResync, m.Complain = i%2 == 0, m.fail
		m.begin()
		mirrors[i] = m
	}
	for range rounds {
		each(mirrors, func(m *mirror) {
			for range steps {
				m.act()
			}
		})
		each(mirrors, func(m *mirror) { m.settle(h, addr) })
		for _, m := range mirrors {
			m.command("NOOP")
			m.learn()
		}
		var page mailstore.Page
		if err := h.store.Page(t.Context(), inbox.ID, imap.UIDSet{{Start: 1, Stop: 1<<32 - 1}}, mailstore.FieldFlags, 1<<20, &page); err != nil {
			t.Fatal(err)
		}
		for _, m := range mirrors {
			m.compare(page.Rows)
		}
		if t.Failed() {
			return
		}
	}
}

// each calls f for all mirrors at once.
func each(mirrors []*mirror, f func(*mirror)) {
	var all sync.WaitGroup
	for _, m := range mirrors {
		all.Go(func() { f(m) })
	}
	all.Wait()
}

// compare compares the picture with the truth.
func (m *mirror) compare(rows []mailstore.Row) {
	if len(rows) != len(m.UIDs) {
		m.fail("in a pause", fmt.Sprintf("there are %d messages", len(rows)))
		return
	}
	for i, r := range rows {
		flags := string(r.Flags.Append(nil))
		if m.UIDs[i] != r.UID || m.Flags[r.UID] != flags {
			m.fail("in a pause", fmt.Sprintf("%d is UID %d with (%s), not UID %d with (%s)", i+1, r.UID, flags, m.UIDs[i], m.Flags[r.UID]))
			return
		}
	}
}
