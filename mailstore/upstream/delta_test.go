package upstream_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"pgregory.net/rapid"

	"github.com/starling-mail/starling/e2e/dovecot"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/upstream"
	"github.com/starling-mail/starling/mailstore/upstream/conn"
)

var box = upstream.Box{ID: mailbox.ID{1}, Account: mailbox.AccountID{2}, Line: 3}

// A picture is a mailbox as somebody knows it.
type picture struct {
	modseq  mailbox.ModSeq
	highest imap.UID // that was ever seen
	live    map[imap.UID]mailbox.Flags
}

func (p picture) clone() picture {
	p.live = maps.Clone(p.live)
	return p
}

// apply takes a Change as a tracker does.
func (p *picture) apply(c *mailbox.Change) error {
	if c.Prev > p.modseq || c.Truncated {
		return fmt.Errorf("change from %d does not follow %d", c.Prev, p.modseq)
	}
	if c.ModSeq <= p.modseq {
		return nil
	}
	for _, uid := range nums(c.Added) {
		if _, there := p.live[uid]; uid <= p.highest && !there {
			return fmt.Errorf("UID %d was used twice", uid)
		}
		if uid > p.highest {
			p.live[uid], p.highest = mailbox.Flags{}, uid
		}
	}
	p.highest = max(p.highest, c.Counts.UIDNext-1)
	for _, f := range c.Flags {
		for _, uid := range nums(f.UIDs) {
			if _, there := p.live[uid]; !there {
				return fmt.Errorf("flags of UID %d, which is not there", uid)
			}
			p.live[uid] = f.Flags
		}
	}
	for _, uid := range nums(c.Expunged) {
		delete(p.live, uid)
	}
	p.modseq = c.ModSeq
	return nil
}

func nums(set imap.UIDSet) []imap.UID {
	list, _ := set.Nums()
	return list
}

// A server is a mailbox with QRESYNC, and what it was at each mod-sequence.
type server struct {
	now     picture
	changed map[imap.UID]mailbox.ModSeq
	gone    map[imap.UID]mailbox.ModSeq
	past    []picture // of each mod-sequence
}

func newServer() *server {
	s := &server{now: picture{modseq: 1, live: map[imap.UID]mailbox.Flags{}}, changed: map[imap.UID]mailbox.ModSeq{}, gone: map[imap.UID]mailbox.ModSeq{}}
	s.past = append(s.past, s.now.clone())
	return s
}

var flagSets = []mailbox.Flags{{}, mailbox.NewFlags(imap.FlagSeen), mailbox.NewFlags(imap.FlagSeen, "x"), mailbox.NewFlags("y", imap.FlagDeleted)}

// step does something to the mailbox.
func (s *server) step(t *rapid.T) {
	s.now.modseq += mailbox.ModSeq(rapid.IntRange(1, 3).Draw(t, "gap"))
	live := slices.Sorted(maps.Keys(s.now.live))
	switch what := rapid.IntRange(0, 9).Draw(t, "what"); {
	case what < 4 || len(live) == 0:
		for range rapid.IntRange(1, 3).Draw(t, "new") {
			s.now.highest += imap.UID(rapid.IntRange(1, 3).Draw(t, "uid gap"))
			s.now.live[s.now.highest] = rapid.SampledFrom(flagSets).Draw(t, "flags")
			s.changed[s.now.highest] = s.now.modseq
		}
	case what < 7:
		uid := rapid.SampledFrom(live).Draw(t, "flagged")
		s.now.live[uid], s.changed[uid] = rapid.SampledFrom(flagSets).Draw(t, "flags"), s.now.modseq
	default:
		uid := rapid.SampledFrom(live).Draw(t, "gone")
		delete(s.now.live, uid)
		s.gone[uid] = s.now.modseq
	}
	s.past = append(s.past, s.now.clone())
}

// examine answers EXAMINE (QRESYNC (7 have)), with what servers may add to it.
func (s *server) examine(t *rapid.T, have mailbox.ModSeq) *conn.Select {
	a := &conn.Select{UIDValidity: 7, HighestModSeq: s.now.modseq, UIDNext: s.now.highest + 1, Exists: uint32(len(s.now.live))}
	var gone []imap.UID
	for uid := range s.now.highest {
		uid++
		_, live := s.now.live[uid]
		if s.gone[uid] > have || !live && rapid.IntRange(0, 3).Draw(t, "vanished before, or never there") == 0 {
			gone = append(gone, uid)
			if s.gone[uid] > have && rapid.IntRange(0, 3).Draw(t, "flagged before it vanished") == 0 {
				a.Changed = append(a.Changed, conn.Row{UID: uid, ModSeq: s.gone[uid], HasFlags: true})
			}
		}
	}
	a.Vanished = imap.UIDSetNum(gone...)
	for _, uid := range slices.Sorted(maps.Keys(s.now.live)) {
		row := conn.Row{UID: uid, ModSeq: s.changed[uid], Flags: s.now.live[uid], HasFlags: true}
		if row.ModSeq > have || rapid.IntRange(0, 9).Draw(t, "unchanged, told all the same") == 0 {
			if rapid.IntRange(0, 9).Draw(t, "told twice") == 0 {
				old := row
				old.Flags = flagSets[3]
				a.Changed = append(a.Changed, old)
			}
			a.Changed = append(a.Changed, row)
		}
	}
	return a
}

// TestDelta: whoever knew the mailbox at any time, and got any of the changes since, knows after the
// Delta what is there now.
func TestDelta(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newServer()
		for range rapid.IntRange(0, 25).Draw(t, "steps") {
			s.step(t)
		}
		from := rapid.IntRange(0, len(s.past)-1).Draw(t, "from")
		known := upstream.Known{UIDValidity: 7, ModSeq: s.past[from].modseq}
		if rapid.Bool().Draw(t, "UIDNEXT is known") {
			known.UIDNext = s.past[from].highest + 1
		}
		c, err := box.Delta(known, s.examine(t, known.ModSeq), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, set := range []imap.UIDSet{c.Added, c.Expunged} {
			ascending(t, set)
		}
		for _, f := range c.Flags {
			ascending(t, f.UIDs)
		}
		for _, p := range s.past[from:] {
			p = p.clone()
			if err := p.apply(c); err != nil {
				t.Fatalf("%v: %+v", err, c)
			}
			if !maps.Equal(p.live, s.now.live) || p.modseq != s.now.modseq {
				t.Fatalf("known from %d:\n got %v at %d\nwant %v at %d\n%+v", from, p.live, p.modseq, s.now.live, s.now.modseq, c)
			}
		}
		if known.UIDNext > 0 {
			for _, uid := range nums(c.Added) {
				if _, was := s.past[from].live[uid]; was {
					t.Fatalf("UID %d is not new", uid)
				}
			}
		}
	})
}

func ascending(t *rapid.T, set imap.UIDSet) {
	for i, r := range set {
		if r.Start == 0 || r.Stop < r.Start || i > 0 && r.Start <= set[i-1].Stop {
			t.Fatalf("set %v", set)
		}
	}
}

// TestNoDelta: when the mailbox must be looked at as a whole, and when nothing has changed.
func TestNoDelta(t *testing.T) {
	known := upstream.Known{UIDValidity: 7, ModSeq: 10, UIDNext: 5}
	row := conn.Row{UID: 3, ModSeq: 12, HasFlags: true}
	for name, c := range map[string]struct {
		known upstream.Known
		said  conn.Select
		err   error
		trunc bool
	}{
		"another UIDVALIDITY": {known: known, said: conn.Select{UIDValidity: 8, HighestModSeq: 12}, err: upstream.ErrUIDValidity},
		"a backup":            {known: known, said: conn.Select{UIDValidity: 7, HighestModSeq: 9}, err: upstream.ErrBackwards},
		"NOMODSEQ":            {known: known, said: conn.Select{UIDValidity: 7, NoModSeq: true}, err: upstream.ErrNoModSeq},
		"no HIGHESTMODSEQ":    {known: known, said: conn.Select{UIDValidity: 7}, err: upstream.ErrNoModSeq},
		"nothing known":       {known: upstream.Known{UIDValidity: 7}, said: conn.Select{UIDValidity: 7, HighestModSeq: 9}, err: upstream.ErrNoModSeq},
		"too much":            {known: known, said: conn.Select{UIDValidity: 7, HighestModSeq: 12, Truncated: true, Changed: []conn.Row{row}}, trunc: true},
		"no UID":              {known: known, said: conn.Select{UIDValidity: 7, HighestModSeq: 12, Changed: []conn.Row{{ModSeq: 12, HasFlags: true}}}, trunc: true},
		"no flags":            {known: known, said: conn.Select{UIDValidity: 7, HighestModSeq: 12, Changed: []conn.Row{{UID: 3, ModSeq: 12}}}, trunc: true},
		"nothing new":         {known: known, said: conn.Select{UIDValidity: 7, HighestModSeq: 10, Changed: []conn.Row{row}}},
	} {
		got, err := box.Delta(c.known, &c.said, &conn.StatusData{Unseen: 4})
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		if got.Truncated != c.trunc || len(got.Added)+len(got.Flags)+len(got.Expunged) > 0 || got.Prev != 10 || got.Counts.Unseen != 4 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestDeltaOfDovecot: the same with a real server, from several points of its history.
func TestDeltaOfDovecot(t *testing.T) {
	if os.Getenv("STARLING_E2E") == "" {
		t.Skip("runs with STARLING_E2E=1")
	}
	d, err := dovecot.Start(t.Context(), dovecot.Config{Users: []string{"ada"}, Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	o := upstream.DefaultOptions(&conn.Dialer{Addr: d.IMAPS, TLS: &tls.Config{InsecureSkipVerify: true}, Limits: conn.DefaultLimits(), Timeouts: conn.DefaultTimeouts()})
	s := upstream.New(o)
	defer s.Close()
	a, err := s.Login(t.Context(), "ada", conn.SASLPlain("", "ada", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Release()
	work, look := get(t, a, upstream.Want{}), get(t, a, upstream.Want{Watch: true})
	defer work.Release()
	defer look.Release()
	do := func(l *upstream.Lease, cmds ...conn.Command) {
		t.Helper()
		if err := l.Do(t.Context(), cmds...); err != nil {
			t.Fatal(err)
		}
	}
	do(look, &conn.Enable{Caps: []imap.Cap{imap.CapQResync}})
	do(work, &conn.Select{Mailbox: "INBOX"})

	// see looks at the mailbox as a whole.
	see := func() (upstream.Known, picture) {
		var b conn.Select
		b.Mailbox, b.ReadOnly = "INBOX", true
		m := look.Fetch(t.Context(), conn.Fetch{UIDs: imap.UIDSet{{Start: 1}}, Items: "UID FLAGS MODSEQ"}, &b)
		p := picture{live: map[imap.UID]mailbox.Flags{}}
		for m.Next() {
			row := m.Row()
			p.live[row.UID] = row.Flags
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		p.modseq, p.highest = b.HighestModSeq, b.UIDNext-1
		return upstream.Known{UIDValidity: b.UIDValidity, ModSeq: b.HighestModSeq, UIDNext: b.UIDNext}, p
	}
	var known []upstream.Known
	var past []picture
	set := func(uids ...imap.UID) imap.UIDSet { return imap.UIDSetNum(uids...) }
	add := func(flags ...imap.Flag) conn.Command {
		const text = "Subject: x\r\n\r\ny\r\n"
		return &conn.Append{Mailbox: "INBOX", Messages: []conn.Message{{Flags: flags, Size: int64(len(text)), Body: strings.NewReader(text)}}}
	}
	flag := func(op imap.StoreFlagsOp, uids imap.UIDSet, flags ...imap.Flag) conn.Command {
		return &conn.Store{UIDs: uids, Op: op, Flags: flags}
	}
	for _, cmds := range [][]conn.Command{
		{add(), add(imap.FlagSeen), add("x", "y")},
		{flag(imap.StoreFlagsAdd, set(1, 3), "z")},
		{add(), flag(imap.StoreFlagsAdd, set(2), imap.FlagDeleted), &conn.Expunge{UIDs: set(2)}},
		{flag(imap.StoreFlagsSet, set(1), imap.FlagDeleted), add(imap.FlagDeleted), &conn.Noop{}, &conn.Expunge{}},
		{add(), add(), flag(imap.StoreFlagsDel, set(3), "z", "y")},
	} {
		k, p := see()
		known, past = append(known, k), append(past, p)
		do(work, cmds...)
	}
	_, now := see()
	for i, k := range known {
		if k.ModSeq == 0 {
			t.Fatalf("%+v", k)
		}
		b := conn.Select{Mailbox: "INBOX", ReadOnly: true, Since: k.Since()}
		st := conn.Status{Mailbox: "INBOX", Items: conn.StatusUnseen | conn.StatusSize}
		do(look, &b, &st)
		c, err := box.Delta(k, &b, &st.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range past[i:] {
			p = p.clone()
			if err := p.apply(c); err != nil {
				t.Fatalf("from %d: %v: %+v", i, err, c)
			}
			if !maps.Equal(p.live, now.live) {
				t.Errorf("from %d: %v, want %v", i, p.live, now.live)
			}
		}
		if int(c.Counts.Messages) != len(now.live) || c.Counts.Unseen == 0 || c.Counts.Size == 0 {
			t.Errorf("counts %+v", c.Counts)
		}
	}
}
