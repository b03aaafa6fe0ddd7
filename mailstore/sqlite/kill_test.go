package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"go.uber.org/goleak"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// killDir in the environment makes the test binary the child of TestKill.
const killDir = "STARLING_TEST_KILL_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		if err := killedChild(dir, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// TestKill is promise P2: a child appends, flags, moves and expunges with many
// goroutines and reports each step before it begins and after its acknowledgement; it is
// killed at a random moment, many times. What was acknowledged must be there, no UID may
// ever stand for another message, and all figures must be right.
func TestKill(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	dir := t.TempDir()
	k := &killed{mails: make(map[string]*fate), uids: make(map[string]string)}
	s := open(t, Options{Dir: dir, Inline: 2000})
	a, inbox := account(t, s, "ada")
	other, err := s.Create(t.Context(), a, "other", nil)
	if err != nil {
		t.Fatal(err)
	}
	boxes := []mailbox.ID{inbox, other.ID}
	for round := range rounds {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		k.run(t, dir, round)
		s = open(t, Options{Dir: dir, Inline: 2000})
		k.verify(t, s, a, boxes)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	t.Logf("%d messages, %d acknowledged steps", len(k.mails), k.acknowledged)
}

// killed is what the parent knows from the child's reports.
type killed struct {
	mails        map[string]*fate  // by token
	uids         map[string]string // "box uid" -> token, for ever
	acknowledged int
}

// The fate of a message: where it is and how, as acknowledged; and what was
// begun and not acknowledged.
type fate struct {
	box, uid string // "" while it is nowhere
	seen     bool
	begun    string // "", or the step
	to       string // the mailbox of an append or move that was begun
}

// run starts a child on the data folder and kills it.
func (k *killed) run(t *testing.T, dir string, round int) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killDir+"="+dir, fmt.Sprintf("STARLING_TEST_KILL_ROUND=%d", round))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() { // "ready"
		t.Fatal("the child said nothing")
	}
	kill := time.AfterFunc(time.Duration(rand.IntN(400_000))*time.Microsecond, func() { cmd.Process.Kill() })
	defer kill.Stop()
	for lines.Scan() {
		k.note(t, strings.Fields(lines.Text()))
	}
	cmd.Wait()
}

// note takes a report: "begin STEP TOKEN BOX" or "done STEP TOKEN BOX UID". The
// last line may be cut off by the kill.
func (k *killed) note(t *testing.T, f []string) {
	switch {
	case len(f) == 4 && f[0] == "begin":
		m := k.mails[f[2]]
		if m == nil {
			m = &fate{}
			k.mails[f[2]] = m
		}
		m.begun, m.to = f[1], f[3]
	case len(f) == 6 && f[0] == "done" && f[5] == ".":
		m := k.mails[f[2]]
		m.begun = ""
		k.acknowledged++
		switch f[1] {
		case "append", "move":
			m.box, m.uid = f[3], f[4]
			k.announce(t, m.box, m.uid, f[2])
		case "flag":
			m.seen = true
		case "expunge":
			m.box, m.uid = "", ""
		}
	}
}

// announce notes that a UID was told for a message.
func (k *killed) announce(t *testing.T, box, uid, token string) {
	key := box + " " + uid
	if old, ok := k.uids[key]; ok && old != token {
		t.Errorf("UID %s was %s and is now %s", key, old, token)
	}
	k.uids[key] = token
}

// verify compares the store with what was acknowledged.
func (k *killed) verify(t *testing.T, s *Store, a mailbox.AccountID, boxes []mailbox.ID) {
	type place struct {
		box, uid string
		seen     bool
	}
	have := make(map[string]place)
	for _, box := range boxes {
		var p mailstore.Page
		if err := s.Page(context.Background(), box, imap.UIDSet{{Start: 1, Stop: maxUID}}, mailstore.FieldFlags|mailstore.FieldStructure, 1<<20, &p); err != nil {
			t.Fatal(err)
		}
		snap, err := s.Snapshot(context.Background(), box)
		if err != nil {
			t.Fatal(err)
		}
		for key := range k.uids {
			if b, uid, _ := strings.Cut(key, " "); b == box.String() && number32(uid) >= snap.Counts.UIDNext {
				t.Errorf("UIDNEXT is %d, %s was told", snap.Counts.UIDNext, uid)
			}
		}
		for _, r := range p.Rows {
			text := string(body(t, s, box, r.UID))
			token := text[strings.LastIndex(text, "\n")+1:]
			if _, twice := have[token]; twice {
				t.Errorf("message %s is there twice", token)
			}
			have[token] = place{box.String(), fmt.Sprint(uint32(r.UID)), r.Flags.System&mailbox.Seen != 0}
			k.announce(t, box.String(), fmt.Sprint(uint32(r.UID)), token)
		}
	}
	for token, m := range k.mails {
		p, there := have[token]
		was := m.box != "" && there && p.box == m.box && p.uid == m.uid && p.seen == m.seen
		ok := was || m.box == "" && !there
		switch m.begun { // what was begun may have happened
		case "append":
			ok = ok || there && p.box == m.to
		case "flag":
			ok = ok || there && p.box == m.box && p.uid == m.uid && p.seen
		case "move":
			ok = ok || there && p.box == m.to && p.seen == m.seen
		case "expunge":
			ok = ok || !there || p.box == m.box && p.uid == m.uid // \Deleted comes first
		}
		if !ok {
			t.Errorf("message %s: acknowledged %+v, found %+v %v", token, *m, p, there)
		}
		// The next child knows nothing of it: this is its state from now on.
		*m = fate{box: p.box, uid: p.uid, seen: p.seen}
	}
	for token := range have {
		if k.mails[token] == nil {
			t.Errorf("message %q was never begun", token)
		}
	}
	for _, f := range check(t, s, true) {
		if !strings.Contains(f.What, "blob") || !f.Mended { // a blob whose append did not come to its commit
			t.Errorf("check: %+v", f)
		}
	}
	if was, is, err := s.RecountQuota(context.Background(), a, false); err != nil || was != is {
		t.Errorf("quota %+v, counted %+v, %v", was, is, err)
	}
}

func number32(s string) imap.UID {
	var n uint32
	fmt.Sscan(s, &n)
	return imap.UID(n)
}

// killedChild works on a data folder until it is killed.
func killedChild(dir string, out io.Writer) error {
	ctx := context.Background()
	s, err := Open(ctx, Options{Dir: dir, Inline: 2000, MaintainEvery: 20 * time.Millisecond})
	if err != nil {
		return err
	}
	u, err := s.User(ctx, "ada")
	if err != nil {
		return err
	}
	list, err := s.List(ctx, u.Account)
	if err != nil {
		return err
	}
	c := &child{s: s, out: out}
	c.say("ready")
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				token := fmt.Sprintf("%s-%d-%d", os.Getenv("STARLING_TEST_KILL_ROUND"), w, n)
				if err := c.life(ctx, token, list[(w+n)%2].ID, list[(w+n+1)%2].ID, n); err != nil {
					c.say("failed %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	return nil
}

// A child reports each line in one write.
type child struct {
	s   *Store
	mu  sync.Mutex
	out io.Writer
}

func (c *child) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(c.out, format+"\n", args...)
}

// life appends a message and does things to it.
func (c *child) life(ctx context.Context, token string, box, other mailbox.ID, n int) error {
	size := []int{300, 300, 300, 6000}[n%4] // now and then a blob
	d, err := c.s.Receive(ctx, strings.NewReader(string(mail(n, size))+token), 1<<20)
	if err != nil {
		return err
	}
	c.say("begin append %s %s", token, box)
	out, err := c.s.Append(ctx, box, []mailstore.Incoming{{Draft: d}})
	d.Discard()
	if err != nil {
		return err
	}
	uid := out.Change.Added
	c.say("done append %s %s %s .", token, box, uid)
	if n%2 == 0 {
		c.say("begin flag %s %s", token, box)
		if _, err := c.s.UpdateFlags(ctx, box, uid, mailstore.FlagUpdate{Op: imap.StoreFlagsAdd, Flags: mailbox.NewFlags(imap.FlagSeen)}); err != nil {
			return err
		}
		c.say("done flag %s %s %s .", token, box, uid)
	}
	if n%3 == 0 {
		c.say("begin move %s %s", token, other)
		out, err := c.s.Move(ctx, box, other, uid)
		if err != nil {
			return err
		}
		box, uid = other, out.Dest
		c.say("done move %s %s %s .", token, box, uid)
	}
	if n%4 != 1 {
		c.say("begin expunge %s %s", token, box)
		if _, err := c.s.UpdateFlags(ctx, box, uid, mailstore.FlagUpdate{Op: imap.StoreFlagsAdd, Flags: mailbox.NewFlags(imap.FlagDeleted)}); err != nil {
			return err
		}
		if _, err := c.s.Expunge(ctx, box, uid); err != nil {
			return err
		}
		c.say("done expunge %s %s %s .", token, box, uid)
	}
	return nil
}
