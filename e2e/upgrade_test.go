//go:build unix

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/starling-mail/starling/e2e/node"
	"github.com/starling-mail/starling/e2e/testhost"
)

// TestClusterUpgrade: a node of a later version, whose events have a field more and a kind that is new, runs with two of this one; then
// all become that version, one after the other, under load. What is not known is passed over and counted, all clients stay right, and nothing that was
// acknowledged is lost (P8, P9). The later version writes MessagePack first, then JSON.
func TestClusterUpgrade(t *testing.T) {
	t.Parallel()
	const repair = 2 * time.Second
	next := buildNext(t)
	db := startPostgres(t)
	p := plan{repair: repair.String(), settings: stormSettings(t, db.URL("postgres")), spots: loopback(t, 3)}
	var monitors []string
	for i := range p.spots {
		addr, err := testhost.FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		monitors = append(monitors, addr)
		p.spots[i].settings = node.Settings{"admin": {"listen": addr}}
	}
	p.spots[2].binary = next
	s := newStorm(t, p.start(t), db, repair)

	s.blow(t)
	subscribe(t, s.nodes[2])
	s.more(t, 300)
	s.calm(t)
	s.settle(t, time.Now())
	for i := range 2 {
		passedOver(t, monitors[i], "n3")
	}

	s.blow(t)
	for i, n := range s.nodes {
		readsFeed(t, n)
		if err := n.Close(); err != nil {
			t.Errorf("stop: %v", err)
		}
		n.Binary = next
		useJSON(t, n)
		if err := n.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, n := range s.nodes {
			awaitStreams(t, n, 2)
		}
		s.more(t, 100)
		if i == 0 {
			subscribe(t, n)
			passedOver(t, monitors[1], "n1")
		}
	}
	s.calm(t)
	s.settle(t, time.Now())
	t.Log("so far:", s.ledger)
}

// buildNext builds a later version of imapd, as far as other nodes can tell.
func buildNext(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "imapd-next")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "starling_nextversion", "-o", path, "github.com/starling-mail/starling/cmd/imapd")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// subscribe does what later versions tell the others by an event of a new kind.
func subscribe(t *testing.T, n *node.Node) {
	t.Helper()
	c := login(t, n, nil)
	defer c.Close()
	if err := c.Subscribe(fmt.Sprint("box ", time.Now().UnixNano())).Wait(); err != nil {
		t.Fatalf("SUBSCRIBE: %v", err)
	}
}

// passedOver waits until a node has counted what it does not know in the events of another one.
func passedOver(t *testing.T, monitor, peer string) {
	t.Helper()
	within(t, 20*time.Second, "unknown events and fields of "+peer+" are counted", func() bool {
		_, metrics := fetch(t, "http://"+monitor+"/metrics")
		for _, name := range []string{"unknown", "trailing"} {
			m := regexp.MustCompile(`(?m)^starling_lane_` + name + `_total\{peer="` + peer + `"\} (\d+)`).FindStringSubmatch(metrics)
			if m == nil {
				return false
			}
			if n, err := strconv.Atoi(m[1]); err != nil || n == 0 {
				return false
			}
		}
		return true
	})
}

// readsFeed checks that a node can read what the others, of whatever version, wrote into the store's feed.
func readsFeed(t *testing.T, n *node.Node) {
	t.Helper()
	if log := n.Log(); strings.Contains(log, "cannot read the feed") {
		t.Error("a node could not read the feed of another version")
	}
}

// useJSON has a node write JSON from its next start on.
func useJSON(t *testing.T, n *node.Node) {
	t.Helper()
	b, err := os.ReadFile(n.ConfigFile)
	if err != nil {
		t.Fatal(err)
	}
	before, after, found := strings.Cut(string(b), "[cluster]\n")
	if !found {
		t.Fatalf("no [cluster] in\n%s", b)
	}
	if err := os.WriteFile(n.ConfigFile, []byte(before+"[cluster]\ncodec = 'json'\n"+after), 0o600); err != nil {
		t.Fatal(err)
	}
}
