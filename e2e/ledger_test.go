//go:build unix

package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/emersion/go-imap/v2"
)

// A ledger remembers what servers have acknowledged about each message, and what they may have done without having said so.
type ledger struct {
	mu      sync.Mutex
	letters map[string]*letter // by what Message-ID begins with
	sent    int
	counts  map[string]int // acknowledged operations, by name
}

// A letter is one message.
type letter struct {
	id    string
	in    []string           // the mailboxes that it may be in now: one, if that is sure; "" is none
	uid   imap.UID           // 0: not told
	has   map[imap.Flag]bool // what it has; the rest of ledgerFlags it has not
	maybe map[imap.Flag]bool // flags that it may have or not
	busy  bool               // somebody changes it, or nobody knows what became of that
}

// ledgerFlags are those that it answers for.
var ledgerFlags = []imap.Flag{imap.FlagFlagged, imap.FlagAnswered, "$ledger"}

func newLedger() *ledger {
	return &ledger{letters: map[string]*letter{}, counts: map[string]int{}}
}

// add begins a letter that is about to be sent to a mailbox.
func (l *ledger) add(box string) *letter {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	m := &letter{
		id: fmt.Sprintf("letter-%d", l.sent), in: []string{"", box}, busy: true,
		has: map[imap.Flag]bool{}, maybe: map[imap.Flag]bool{},
	}
	l.letters[m.id] = m
	return m
}

// take picks a letter that surely is in a mailbox, for its taker alone; nil if there is none.
func (l *ledger) take(box string) *letter {
	l.mu.Lock()
	defer l.mu.Unlock()
	var free []*letter
	for _, m := range l.letters {
		if !m.busy && m.uid != 0 && m.in[0] == box {
			free = append(free, m)
		}
	}
	if len(free) == 0 {
		return nil
	}
	m := free[rand.IntN(len(free))]
	m.busy = true
	return m
}

// write notes what is to be known about a letter from now on.
func (l *ledger) write(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// done gives a letter back after an operation that was acknowledged.
func (l *ledger) done(m *letter, operation string) {
	l.write(func() {
		m.busy = false
		l.counts[operation]++
	})
}

// acknowledged is how many operations were.
func (l *ledger) acknowledged() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.counts {
		n += c
	}
	return n
}

// size is how many letters may be in a mailbox.
func (l *ledger) size(box string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.letters {
		if slices.Contains(m.in, box) {
			n++
		}
	}
	return n
}

func (l *ledger) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []string
	for _, name := range slices.Sorted(maps.Keys(l.counts)) {
		list = append(list, fmt.Sprintf("%d %s", l.counts[name], name))
	}
	return strings.Join(list, ", ")
}

// A found letter is one that a mailbox has.
type found struct {
	box   string
	uid   imap.UID
	flags []imap.Flag
}

// audit compares the ledger with what there is, and returns what is wrong. Nothing may change meanwhile. What was in doubt is
// settled after it.
func (l *ledger) audit(there map[string][]found) (faults []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fail := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for id := range there {
		if l.letters[id] == nil {
			fail("%s: nobody sent it", id)
		}
	}
	for id, m := range l.letters {
		at := there[id]
		if len(at) > 1 {
			fail("%s is there %d times: %v", id, len(at), at)
		}
		if len(at) == 0 {
			if !slices.Contains(m.in, "") {
				fail("%s is lost: it should be in %q as UID %d", id, m.in, m.uid)
			}
			delete(l.letters, id)
			continue
		}
		f := at[0]
		if !slices.Contains(m.in, f.box) {
			fail("%s is in %s, should be in %q", id, f.box, m.in)
		}
		if m.uid != 0 && len(m.in) == 1 && m.uid != f.uid {
			fail("%s is UID %d of %s, should be %d", id, f.uid, f.box, m.uid)
		}
		for _, flag := range ledgerFlags {
			has := slices.Contains(f.flags, flag)
			if !m.maybe[flag] && has != m.has[flag] {
				fail("%s: %s is %v, should be %v", id, flag, has, m.has[flag])
			}
			m.has[flag] = has
		}
		clear(m.maybe)
		m.in, m.uid, m.busy = []string{f.box}, f.uid, false
	}
	slices.Sort(faults)
	return faults
}
