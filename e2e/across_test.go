//go:build unix

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	idle "github.com/emersion/go-imap-idle"
	client1 "github.com/emersion/go-imap/client"
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/starling-mail/starling/e2e/node"
)

// Sightings are what a client was told, and when.
type sightings struct {
	name string
	mu   sync.Mutex
	all  []sighting
}

type sighting struct {
	at   time.Time
	what string // "EXISTS", "EXPUNGE", or "FETCH" with the flags
}

func (s *sightings) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, sighting{time.Now(), what})
}

// await waits until the client was told something that contains all the words, since a time, and logs how long that took. The target is
// a second; what the test asks for allows for a machine that has other work to do.
func (s *sightings) await(t *testing.T, since time.Time, what string, words ...string) {
	t.Helper()
	within(t, 20*time.Second, s.name+" is told of "+what, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		i := slices.IndexFunc(s.all, func(one sighting) bool {
			return !one.at.Before(since) && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(one.what, w) })
		})
		if i >= 0 {
			t.Logf("%s: %s told %v", what, s.name, s.all[i].at.Sub(since).Round(10*time.Microsecond))
		}
		return i >= 0
	})
}

// watch1 has go-imap v1's client with go-imap-idle wait in INBOX.
func watch1(t *testing.T, n *node.Node, name string) *sightings {
	t.Helper()
	s := &sightings{name: name}
	c, err := client1.DialTLS(n.IMAPS, trust(t, n))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Login(user, password); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Select("INBOX", false); err != nil {
		t.Fatal(err)
	}
	updates, stop, stopped := make(chan client1.Update), make(chan struct{}), make(chan error, 1)
	c.Updates = updates
	go func() { stopped <- idle.NewClient(c).IdleWithFallback(stop, 0) }()
	go func() {
		for u := range updates {
			switch u := u.(type) {
			case *client1.MailboxUpdate:
				s.note("EXISTS")
			case *client1.ExpungeUpdate:
				s.note("EXPUNGE")
			case *client1.MessageUpdate:
				s.note(fmt.Sprint("FETCH ", u.Message.Flags))
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		if err := <-stopped; err != nil {
			t.Errorf("%s: %v", name, err)
		}
		c.Terminate()
		<-c.LoggedOut() // nothing is sent to updates any more
		close(updates)
	})
	return s
}

// watch2 has go-imap v2's client wait in INBOX.
func watch2(t *testing.T, n *node.Node, name string) *sightings {
	t.Helper()
	s := &sightings{name: name}
	c := login(t, n, &imapclient.UnilateralDataHandler{
		Expunge: func(uint32) { s.note("EXPUNGE") },
		Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil {
				s.note("EXISTS")
			}
		},
		Fetch: func(m *imapclient.FetchMessageData) {
			if data, err := m.Collect(); err == nil {
				s.note(fmt.Sprint("FETCH ", data.Flags))
			}
		},
	})
	open(t, c, "INBOX")
	waiting, err := c.Idle()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := waiting.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
	return s
}

// TestClusterClients: what happens on one node real clients on the others are told, and what they do reaches the others: the
// feed is hardly ever read here.
func TestClusterClients(t *testing.T) {
	t.Parallel()
	need(t, "mbsync", "python3", "thunderbird")
	nodes := startCluster(t, 3, "1h")
	watchers := []*sightings{
		watch1(t, nodes[1], "go-imap v1 on node 2"), watch2(t, nodes[1], "go-imap v2 on node 2"),
		watch1(t, nodes[2], "go-imap v1 on node 3"), watch2(t, nodes[2], "go-imap v2 on node 3"),
	}
	all := func(t *testing.T, since time.Time, what string, words ...string) {
		t.Helper()
		for _, w := range watchers {
			w.await(t, since, what, words...)
		}
	}

	t.Run("go-imap", func(t *testing.T) {
		lmtp, err := dialLMTP(nodes[0].LMTP)
		if err != nil {
			t.Fatal(err)
		}
		defer lmtp.Close()
		one, three := login(t, nodes[0], nil), login(t, nodes[2], nil)
		since := time.Now()
		if err := lmtp.deliver(mail("by LMTP")); err != nil {
			t.Fatal(err)
		}
		all(t, since, "a delivery on node 1", "EXISTS")
		open(t, three, "INBOX")
		since = time.Now()
		addFlag(t, three, 1, imap.FlagFlagged)
		all(t, since, "a flag set on node 3", "FETCH", `\Flagged`)
		open(t, one, "INBOX")
		since = time.Now()
		expunge(t, one, 1)
		all(t, since, "an expunge on node 1", "EXPUNGE")
	})

	t.Run("mbsync", func(t *testing.T) {
		n := nodes[1]
		dir := t.TempDir()
		local := filepath.Join(dir, "mail")
		if err := os.Mkdir(local, 0o700); err != nil {
			t.Fatal(err)
		}
		rc := write(t, dir, "mbsyncrc", fmt.Sprintf(mbsyncrc, port(n.IMAPS), user, password, n.CertFile, local))
		sync := func() map[string]string {
			run(t, "mbsync", "-c", rc, "all")
			return maildirFlags(t, local)
		}
		one := login(t, nodes[0], nil)
		open(t, one, "INBOX")
		since := time.Now()
		uid := store(t, one, "INBOX", mail("on node 1")).UID
		all(t, since, "a message appended on node 1", "EXISTS")
		if have := sync(); len(have) != 1 || have["on node 1"] != "" {
			t.Errorf("after a message came on node 1, mbsync on node 2 has %q", have)
		}
		since = time.Now()
		addFlag(t, one, uid, imap.FlagAnswered)
		all(t, since, "a flag set on node 1", "FETCH", `\Answered`)
		if have := sync(); have["on node 1"] != "R" {
			t.Errorf("after a flag was set on node 1, mbsync on node 2 has %q", have)
		}

		write(t, filepath.Join(local, "INBOX", "cur"), "1.new.local:2,", strings.ReplaceAll(mail("in the Maildir"), "\r\n", "\n"))
		since = time.Now()
		sync()
		all(t, since, "a message from mbsync on node 2", "EXISTS")
		renameMaildir(t, local, "on node 1", "FR")
		since = time.Now()
		sync()
		all(t, since, "a flag from mbsync on node 2", "FETCH", `\Flagged`)
		removeMaildir(t, local, "on node 1")
		removeMaildir(t, local, "in the Maildir")
		since = time.Now()
		sync()
		all(t, since, "an expunge by mbsync on node 2", "EXPUNGE")
	})

	t.Run("Thunderbird", func(t *testing.T) {
		one, two, three := nodes[0], nodes[1], nodes[2]
		out := run(t, "python3", "thunderbird/tb.py", "--user", user, "--password", password, "--imap", two.IMAP,
			"lmtp", one.LMTP, "seen", three.IMAP, "expunge", one.IMAP, "lmtp", one.LMTP, "read", "delete")
		t.Log(out)
		all(t, began(t, out, "read"), "a message read in Thunderbird on node 2", "FETCH", `\Seen`)
		all(t, began(t, out, "delete"), "a message deleted in Thunderbird on node 2", "EXPUNGE")
	})
}

// began returns when a step of tb.py began, by what that printed.
func began(t *testing.T, out, step string) time.Time {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + step + `: began ([\d.]+),`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no step %s in:\n%s", step, out)
	}
	seconds, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.UnixMicro(int64(seconds * 1e6))
}
