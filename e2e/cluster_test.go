//go:build unix

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/starling-mail/starling/e2e/node"
)

// startCluster starts nodes over one throw-away PostgreSQL, each with loopback
// addresses of its own, and returns when all have streams to all.
func startCluster(t *testing.T, size int, repair string) []*node.Node {
	t.Helper()
	return startNodes(t, size, repair, onPostgres(t))
}

// onPostgres describes a store in a throw-away PostgreSQL.
func onPostgres(t *testing.T) node.Settings {
	t.Helper()
	return node.Settings{"store": {"kind": "postgres", "postgres": map[string]any{
		"dsn": startPostgres(t).URL("postgres"), "connections": 4, "blobs": filepath.Join(t.TempDir(), "blobs"),
	}}}
}

// startNodes is startCluster with a store that the settings describe.
func startNodes(t *testing.T, size int, repair string, settings node.Settings) []*node.Node {
	t.Helper()
	p := plan{repair: repair, spots: loopback(t, size), settings: settings}
	return p.start(t)
}

// awaitStreams waits until a node has streams to and from so many others, and
// no members besides.
func awaitStreams(t *testing.T, n *node.Node, others int) {
	t.Helper()
	var out string
	within(t, 30*time.Second, "streams between the nodes", func() bool {
		var err error
		if out, err = n.Run(t.Context(), "", "cluster", "members"); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		return strings.Count(out, "out+in") == others && len(lines) == others+3 // heading, this node, last line
	})
}

// within calls f until it returns true, for so long.
func within(t *testing.T, limit time.Duration, what string, f func() bool) {
	t.Helper()
	end := time.After(limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("after %v still in vain: %s", limit, what)
		}
	}
}

// next reads the next line that says what changed.
func (l *line) next(t *testing.T, limit time.Duration) string {
	t.Helper()
	l.SetReadDeadline(time.Now().Add(limit))
	for {
		text, err := l.r.ReadString('\n')
		if err != nil {
			t.Fatalf("waiting for a change: %v", err)
		}
		if text = strings.TrimSpace(text); !strings.HasSuffix(text, "RECENT") && !strings.HasPrefix(text, "* OK") {
			return text
		}
	}
}

// expect reads the next change, which must begin with one text and contain the other.
func (l *line) expect(t *testing.T, limit time.Duration, prefix, part string) {
	t.Helper()
	if got := l.next(t, limit); !strings.HasPrefix(got, prefix) || !strings.Contains(got, part) {
		t.Fatalf("told %q, want %q ... %q", got, prefix, part)
	}
}

func addFlag(t *testing.T, c *imapclient.Client, uid imap.UID, f imap.Flag) {
	t.Helper()
	if err := c.Store(imap.UIDSetNum(uid), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{f}}, nil).Close(); err != nil {
		t.Fatalf("STORE: %v", err)
	}
}

func expunge(t *testing.T, c *imapclient.Client, uid imap.UID) {
	t.Helper()
	silent := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}
	if err := c.Store(imap.UIDSetNum(uid), silent, nil).Close(); err != nil {
		t.Fatalf("STORE: %v", err)
	}
	if err := c.UIDExpunge(imap.UIDSetNum(uid)).Close(); err != nil {
		t.Fatalf("EXPUNGE: %v", err)
	}
}

func uidsOf(t *testing.T, c *imapclient.Client) []imap.UID {
	t.Helper()
	data, err := c.UIDSearch(&imap.SearchCriteria{}, nil).Wait()
	if err != nil {
		t.Fatalf("SEARCH: %v", err)
	}
	return data.AllUIDs()
}

// TestCluster: what clients do on two nodes, a client that idles on the third
// is told, with the right numbers (P1, P4). The feed is hardly ever read here: what
// the nodes tell each other must do. In interest mode they tell only what is listened to.
func TestCluster(t *testing.T) {
	for _, mode := range []string{"broadcast", "interest"} {
		t.Run(mode, func(t *testing.T) { cluster(t, mode) })
	}
}

func cluster(t *testing.T, mode string) {
	const soon = 10 * time.Second // a busy machine's notion of it
	p := plan{repair: "1h", spots: loopback(t, 3), settings: onPostgres(t), cluster: map[string]any{"mode": mode}}
	nodes := p.start(t)
	one, three := login(t, nodes[0], nil), login(t, nodes[2], nil)
	open(t, one, "INBOX")
	open(t, three, "INBOX")
	watcher := idling(t, nodes[1], true)

	first := store(t, one, "INBOX", mail("first")).UID
	watcher.expect(t, soon, "* 1 EXISTS", "")
	second := store(t, three, "INBOX", mail("second")).UID
	watcher.expect(t, soon, "* 2 EXISTS", "")
	third := store(t, one, "INBOX", mail("third")).UID
	watcher.expect(t, soon, "* 3 EXISTS", "")
	addFlag(t, three, second, imap.FlagFlagged)
	watcher.expect(t, soon, "* 2 FETCH", `\Flagged`)
	expunge(t, one, first)
	watcher.expect(t, soon, "* 1 FETCH", `\Deleted`)
	watcher.expect(t, soon, "* 1 EXPUNGE", "")
	addFlag(t, three, third, imap.FlagAnswered)
	watcher.expect(t, soon, "* 2 FETCH", `\Answered`)
	expunge(t, three, third)
	watcher.expect(t, soon, "* 2 FETCH", `\Deleted`)
	watcher.expect(t, soon, "* 2 EXPUNGE", "")

	// Both at once.
	both := func(f func(i int, c *imapclient.Client)) {
		var wg sync.WaitGroup
		for i, c := range []*imapclient.Client{one, three} {
			wg.Go(func() { f(i, c) })
		}
		wg.Wait()
	}
	const each = 20
	both(func(i int, c *imapclient.Client) {
		for k := range each {
			store(t, c, "INBOX", mail(fmt.Sprintf("%d of %d", k, i)))
		}
	})
	for last := 1; last < 1+2*each; {
		var n int
		if text := watcher.next(t, soon); !scan(text, "* %d EXISTS", &n) || n <= last {
			t.Fatalf("told %q after %d messages", text, last)
		}
		last = n
	}
	// The third node may be told a moment later than the second was.
	var told []imap.UID
	within(t, soon, "all messages on the third node", func() bool {
		told = uidsOf(t, three)
		return len(told) == 1+2*each
	})
	all := slices.Clone(told)
	gone := 0
	for k := range all {
		if k%4 < 2 {
			gone++
		}
	}
	both(func(i int, c *imapclient.Client) {
		for k := i; k < len(all); k += 4 { // two of each four
			expunge(t, c, all[k])
		}
	})
	var want []imap.UID
	within(t, soon, "all expunges on the first node", func() bool {
		want = uidsOf(t, one)
		return len(want) == len(all)-gone
	})
	for len(told) > len(want) {
		var n int
		text := watcher.next(t, soon)
		if scan(text, "* %d EXPUNGE", &n) {
			if n < 1 || n > len(told) {
				t.Fatalf("told %q of %d messages", text, len(told))
			}
			told = slices.Delete(told, n-1, n)
		} else if !scan(text, "* %d FETCH", &n) || n < 1 || n > len(told) {
			t.Fatalf("told %q of %d messages", text, len(told))
		}
	}
	if !slices.Equal(told, want) {
		t.Errorf("by what it was told, the client has\n%v, but there are\n%v", told, want)
	}

	t.Run("password", func(t *testing.T) {
		if _, err := nodes[0].Run(t.Context(), "another horse\n", "user", "passwd", user, "--password-stdin"); err != nil {
			t.Fatal(err)
		}
		within(t, 2*time.Second, "the old password is refused", func() bool {
			c := dial(t, nodes[2], nil)
			defer c.Close()
			refused, ok := errors.AsType[*imap.Error](c.Login(user, password).Wait())
			return ok && refused.Code == imap.ResponseCodeAuthenticationFailed
		})
		if err := dial(t, nodes[2], nil).Login(user, "another horse").Wait(); err != nil {
			t.Errorf("the new password: %v", err)
		}
	})
}

// TestClusterKeys: a key is exchanged for another by the file and SIGHUP, and the
// nodes stay together.
func TestClusterKeys(t *testing.T) {
	nodes := startCluster(t, 2, "1h")
	file := keysFile(t, nodes[0])
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	next := run(t, binary, "cluster", "keys", "new")
	for i, keys := range []string{string(old) + next, next + string(old), next} {
		if err := os.WriteFile(file, []byte(keys), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			if err := n.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			within(t, 10*time.Second, "the keys are exchanged", func() bool {
				return strings.Count(n.Log(), "the cluster's keys were exchanged") == i+1
			})
		}
	}
	watcher := idling(t, nodes[1], true)
	for _, n := range nodes {
		awaitStreams(t, n, 1)
	}
	store(t, login(t, nodes[0], nil), "INBOX", mail("with the new key"))
	watcher.expect(t, 10*time.Second, "* 1 EXISTS", "")
}

// keysFile is where a node's configuration says that the keys are.
func keysFile(t *testing.T, n *node.Node) string {
	t.Helper()
	b, err := os.ReadFile(n.ConfigFile)
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Cluster struct {
			KeysFile string `toml:"keys_file"`
		} `toml:"cluster"`
	}
	if err := toml.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	return c.Cluster.KeysFile
}

// scan reports whether text begins as format says, and takes the number there.
func scan(text, format string, n *int) bool {
	_, err := fmt.Sscanf(text, format, n)
	return err == nil
}

// TestClusterCrash: what a node acknowledged before kill -9, the others learn
// within the repair interval (P2, P4), as well as what a command did that no server
// was told of; the node joins again, and large bodies are everybody's.
func TestClusterCrash(t *testing.T) {
	const repair = 2 * time.Second
	const limit = repair + time.Second // for the machine's other work
	nodes := startCluster(t, 3, repair.String())
	one := login(t, nodes[0], nil)
	watcher := idling(t, nodes[1], true)

	store(t, one, "INBOX", mail("acknowledged"))
	acknowledged := time.Now()
	nodes[0].Kill()
	watcher.expect(t, limit, "* 1 EXISTS", "")
	t.Logf("told %v after the acknowledgement", time.Since(acknowledged).Round(time.Millisecond))

	// No node publishes this one: it is in the feed alone.
	if _, err := nodes[0].Run(t.Context(), mail("by the feed"), "deliver", user); err != nil {
		t.Fatal(err)
	}
	delivered := time.Now()
	watcher.expect(t, limit, "* 2 EXISTS", "")
	t.Logf("told %v after the delivery", time.Since(delivered).Round(time.Millisecond))

	if err := nodes[0].Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		awaitStreams(t, n, 2)
	}
	one = login(t, nodes[0], nil)
	large := mail("large") + strings.Repeat("A line of a large message.\r\n", 8<<10)
	uid := store(t, one, "INBOX", large).UID
	watcher.expect(t, limit, "* 3 EXISTS", "")
	three := login(t, nodes[2], nil)
	open(t, three, "INBOX")
	list, err := three.Fetch(imap.UIDSetNum(uid), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{Peek: true}}}).Collect()
	if err != nil || len(list) != 1 || string(list[0].BodySection[0].Bytes) != large {
		t.Errorf("the large message on another node: %d messages, %v", len(list), err)
	}

	// A node that is stopped says good-bye, and is no member any more.
	if err := nodes[2].Close(); err != nil {
		t.Errorf("stop: %v", err)
	}
	awaitStreams(t, nodes[1], 1)
}

// TestClusterNeedsPostgres: a cluster over the embedded store is refused, with the
// reason.
func TestClusterNeedsPostgres(t *testing.T) {
	file := write(t, t.TempDir(), "config.toml", "[cluster]\nenabled = true\n")
	out, err := exec.CommandContext(t.Context(), binary, "serve", "-c", file).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "config.toml:2: cluster.enabled: needs store.kind") {
		t.Errorf("%v\n%s", err, out)
	}
}
