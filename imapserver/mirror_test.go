package imapserver_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver"
	"github.com/starling-mail/starling/mailstore"
)

// A mirror is a client that believes every word: its picture of the mailbox comes from what it
// was told and nothing else. It complains when what it is told cannot be.
type mirror struct {
	*client
	name     string
	qresync  bool
	validity uint32 // UIDVALIDITY of INBOX
	rnd      *rand.Rand

	uids  []imap.UID          // by number; 0: not told yet
	flags map[imap.UID]string // as told
	// What the client would ask from after a break (RFC 7162 §6).
	modSeq, seen, said uint64

	trace   []string // what was said, for complaints
	numbers bool     // the command in progress must not tell an EXPUNGE
	idling  bool
}

var (
	mirrorUID    = regexp.MustCompile(`[( ]UID (\d+)`)
	mirrorFlags  = regexp.MustCompile(`[( ]FLAGS \(([^)]*)\)`)
	mirrorModSeq = regexp.MustCompile(`MODSEQ \(?(\d+)`)
	mirrorCode   = regexp.MustCompile(`\[HIGHESTMODSEQ (\d+)\]`)
)

func (m *mirror) fail(line, why string) {
	m.t.Helper()
	m.t.Logf("%s has heard:\n%s", m.name, strings.Join(m.trace[max(0, len(m.trace)-60):], "\n"))
	m.t.Errorf("%s: %s: %s (counts %d: %v)", m.name, line, why, len(m.uids), m.uids)
}

// hear takes one untagged response in.
func (m *mirror) hear(line string) {
	m.trace = append(m.trace, line)
	if code := mirrorCode.FindStringSubmatch(line); code != nil {
		m.said, _ = strconv.ParseUint(code[1], 10, 64)
	}
	var n int
	var what string
	if set, ok := strings.CutPrefix(line, "* VANISHED "); ok {
		set, earlier := strings.CutPrefix(set, "(EARLIER) ")
		m.vanished(line, set, earlier)
		return
	}
	if _, err := fmt.Sscanf(line, "* %d %s", &n, &what); err != nil {
		return
	}
	switch {
	case what == "EXISTS" && n < len(m.uids):
		m.fail(line, "fewer than it counts")
	case what == "EXISTS":
		m.uids = append(m.uids, make([]imap.UID, n-len(m.uids))...)
	case what == "EXPUNGE" && (n < 1 || n > len(m.uids)):
		m.fail(line, "no such message")
	case what == "EXPUNGE":
		if m.numbers || m.qresync {
			m.fail(line, "not now")
		}
		delete(m.flags, m.uids[n-1])
		m.uids = slices.Delete(m.uids, n-1, n)
	case what == "FETCH" && (n < 1 || n > len(m.uids)):
		m.fail(line, "no such message")
	case what == "FETCH":
		m.fetched(n, line)
	}
}

func (m *mirror) fetched(n int, line string) {
	if u := mirrorUID.FindStringSubmatch(line); u != nil {
		uid64, _ := strconv.ParseUint(u[1], 10, 32)
		uid := imap.UID(uid64)
		if old := m.uids[n-1]; old != 0 && old != uid {
			m.fail(line, "another UID than before")
		}
		m.uids[n-1] = uid
	}
	if f := mirrorFlags.FindStringSubmatch(line); f != nil && m.uids[n-1] != 0 {
		m.flags[m.uids[n-1]] = strings.TrimSpace(strings.Replace(f[1], `\Recent`, "", 1))
	}
	if s := mirrorModSeq.FindStringSubmatch(line); s != nil {
		seq, _ := strconv.ParseUint(s[1], 10, 64)
		m.seen = max(m.seen, seq)
	}
}

// vanished takes UIDs out. Without EARLIER each must be one that the client counts.
func (m *mirror) vanished(line, set string, earlier bool) {
	if !m.qresync || m.numbers && !earlier {
		m.fail(line, "not now")
	}
	for r := range strings.SplitSeq(set, ",") {
		from, to, _ := strings.Cut(r, ":")
		lo, _ := strconv.Atoi(from)
		hi := lo
		if to != "" {
			hi, _ = strconv.Atoi(to)
		}
		for uid := lo; uid <= hi; uid++ {
			delete(m.flags, imap.UID(uid))
			if earlier {
				continue
			}
			i := m.place(imap.UID(uid))
			if i < 0 {
				m.fail(line, "a UID that it does not count")
				return
			}
			m.uids = slices.Delete(m.uids, i, i+1)
		}
	}
}

// place returns where uid is. It may be one that the client counts but has not asked for: then it is one
// of those between the UIDs that it knows, and does not matter which.
func (m *mirror) place(uid imap.UID) int {
	for i, u := range m.uids {
		if u == uid {
			return i
		}
		if u > uid {
			if i > 0 && m.uids[i-1] == 0 {
				return i - 1
			}
			return -1
		}
	}
	if n := len(m.uids); n > 0 && m.uids[n-1] == 0 {
		return n - 1
	}
	return -1
}

// command sends one command and hears its responses, up to the tagged one.
func (m *mirror) command(format string, args ...any) string {
	command := fmt.Sprintf(format, args...)
	m.numbers = strings.HasPrefix(command, "FETCH") || strings.HasPrefix(command, "STORE") || strings.HasPrefix(command, "SEARCH")
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
		if code := mirrorCode.FindStringSubmatch(rest); code != nil {
			m.said, _ = strconv.ParseUint(code[1], 10, 64)
		}
		if m.said > 0 {
			m.modSeq = m.said
		} else {
			m.modSeq = max(m.modSeq, m.seen)
		}
		m.said, m.seen, m.numbers = 0, 0, false
		return rest
	}
}

// open selects INBOX; a client with QRESYNC goes on from what it knows.
func (m *mirror) open() {
	m.uids = nil
	known := slices.Sorted(maps.Keys(m.flags))
	if !m.qresync || len(known) == 0 || m.modSeq == 0 {
		m.flags = map[imap.UID]string{}
		m.command("SELECT INBOX")
		m.learn()
		return
	}
	set := make([]string, len(known))
	for i, uid := range known {
		set[i] = strconv.Itoa(int(uid))
	}
	m.command("SELECT INBOX (QRESYNC (%d %d %s))", m.validity, m.modSeq, strings.Join(set, ","))
	// What it knows must be all but what is new: then the numbers follow.
	left := slices.Sorted(maps.Keys(m.flags))
	if len(left) > len(m.uids) {
		m.fail("QRESYNC", fmt.Sprintf("it should still have %v", left))
		return
	}
	for i, uid := range left {
		if m.uids[i] != 0 && m.uids[i] != uid {
			m.fail("QRESYNC", fmt.Sprintf("%d should be UID %d of %v", i+1, uid, left))
		}
		m.uids[i] = uid
	}
	m.learn()
}

// learn asks for what it has not been told of messages that it counts.
func (m *mirror) learn() {
	if slices.Contains(m.uids, 0) {
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
	if len(m.uids) > 0 {
		any = 1 + m.rnd.IntN(len(m.uids))
	}
	flag := []string{`\Seen`, `\Flagged`, "word", `\Answered`}[m.rnd.IntN(4)]
	sign := []string{"+", "-", ""}[m.rnd.IntN(3)]
	silent := []string{"", ".SILENT"}[m.rnd.IntN(2)]
	switch n := len(m.uids); {
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
		m.idling = true
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
	if m.qresync {
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
		m := &mirror{name: strconv.Itoa(i), qresync: i%2 == 0, validity: inbox.UIDValidity, rnd: rand.New(rand.NewPCG(seed, uint64(i))), client: h.login(addr)}
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
	if len(rows) != len(m.uids) {
		m.fail("in a pause", fmt.Sprintf("there are %d messages", len(rows)))
		return
	}
	for i, r := range rows {
		flags := string(r.Flags.Append(nil))
		if m.uids[i] != r.UID || m.flags[r.UID] != flags {
			m.fail("in a pause", fmt.Sprintf("%d is UID %d with (%s), not UID %d with (%s)", i+1, r.UID, flags, m.uids[i], m.flags[r.UID]))
			return
		}
	}
}
