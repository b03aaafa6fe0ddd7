//go:build unix

package e2e

import (
	"errors"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/starling-mail/starling/e2e/netns"
	"github.com/starling-mail/starling/e2e/node"
	"github.com/starling-mail/starling/e2e/relay"
)

// A calamity happens to a network of three under load. It returns when the network is whole again.
type calamity struct {
	name     string
	interest bool // in that mode too, although time is short: what nodes have told each other to listen to is void after it
	happen   func(t *testing.T, s *storm, net *netns.Network)
}

var calamities = []calamity{
	{"loss", false, func(t *testing.T, s *storm, net *netns.Network) {
		lose(t, net, func(int, int) int { return 30 })
		s.more(t, 500)
	}},
	{"two parts", true, func(t *testing.T, s *storm, net *netns.Network) {
		lose(t, net, parts(1, 2, 2))
		alone(t, s.nodes[0])
		s.more(t, 200)
	}},
	{"one way", false, func(t *testing.T, s *storm, net *netns.Network) {
		lose(t, net, func(from, to int) int {
			if from == 0 && to == 1 {
				return 100
			}
			return 0
		})
		broken(t, s.nodes[0], 1)
		s.more(t, 200)
	}},
	{"three parts", false, func(t *testing.T, s *storm, net *netns.Network) {
		lose(t, net, parts(1, 2, 3))
		for _, n := range s.nodes {
			alone(t, n)
		}
		s.more(t, 200)
		// Parted as they are, they have the database.
		s.calm(t)
		s.told(t, time.Now())
		s.blow(t)
	}},
	{"flapping", true, func(t *testing.T, s *storm, net *netns.Network) {
		for range 6 {
			lose(t, net, parts(1, 2, 1))
			s.more(t, 20+rand.IntN(100))
			lose(t, net, nil)
			s.more(t, 20+rand.IntN(100))
		}
	}},
	{"kill", true, func(t *testing.T, s *storm, net *netns.Network) {
		s.nodes[2].Kill()
		s.more(t, 200)
		if err := s.nodes[2].Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.more(t, 100)
	}},
}

// lose has packets get lost; see netns.Network.Lose.
func lose(t *testing.T, net *netns.Network, percent func(from, to int) int) {
	t.Helper()
	if err := net.Lose(percent); err != nil {
		t.Fatal(err)
	}
}

// parts parts a network: machines with the same number stay together.
func parts(of ...int) func(from, to int) int {
	return func(from, to int) int {
		if of[from] != of[to] {
			return 100
		}
		return 0
	}
}

// alone waits until a node has noticed that it cannot reach any other.
func alone(t *testing.T, n *node.Node) { broken(t, n, 2) }

// broken waits until so many of the streams between a node and the two others are not both open.
func broken(t *testing.T, n *node.Node, links int) {
	t.Helper()
	within(t, 30*time.Second, "streams break", func() bool {
		out, err := n.Run(t.Context(), "", "cluster", "members")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(out, "out+in") <= 2-links
	})
}

// TestClusterFaults: three nodes on machines of their own, between which packets get lost, and nodes that are killed, all under load
// from all nodes on the same mailboxes. After each calamity every client that idles, on every node, has exactly what the store has, and all that was
// acknowledged is there (P1, P2, P4).
func TestClusterFaults(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"broadcast", "interest"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			testFaults(t, mode)
		})
	}
}

func testFaults(t *testing.T, mode string) {
	const repair = 2 * time.Second
	net, err := netns.New(3)
	if errors.Is(err, netns.ErrMissing) && (!strict() || os.Getuid() != 0 && os.Getenv("CI") != "true") {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := net.Close(); err != nil {
			t.Errorf("network: %v", err)
		}
	})
	// The namespaces are of networks alone: a socket in a folder is reached from each.
	folder, err := os.MkdirTemp("", "starling-socket")
	if err == nil {
		t.Cleanup(func() { os.RemoveAll(folder) })
		err = os.Chmod(folder, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	db := startPostgres(t, "unix_socket_directories="+folder)
	dsn, err := url.Parse(db.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	dsn.RawQuery = url.Values{"host": {folder}, "port": {dsn.Port()}}.Encode()
	dsn.Host = ""
	p := plan{repair: repair.String(), settings: stormSettings(t, dsn.String()), cluster: map[string]any{"mode": mode}}
	for _, m := range net.Machines {
		p.spots = append(p.spots, spot{place: &node.Place{Addr: m.Addr, Enter: m.Enter()}, gossip: m.Addr + ":7946", stream: m.Addr + ":7947"})
	}
	s := newStorm(t, p.start(t), db, repair)

	for began := time.Now(); ; {
		for _, c := range calamities {
			if mode == "interest" && !c.interest && soak() == 0 {
				continue
			}
			if !t.Run(c.name, func(t *testing.T) {
				s.blow(t)
				s.more(t, 50)
				c.happen(t, s, net)
				s.calm(t) // first: what is told after must be told without another change
				lose(t, net, nil)
				s.settle(t, time.Now())
				for _, n := range s.nodes {
					awaitStreams(t, n, 2)
				}
				t.Log("so far:", s.ledger)
			}) {
				return
			}
		}
		if time.Since(began) > soak() {
			return
		}
	}
}

// TestClusterLateNetwork: all that nodes say to each other takes 20 ms, packets overtake each other, and some come twice.
func TestClusterLateNetwork(t *testing.T) {
	t.Parallel()
	for name, cluster := range map[string]map[string]any{
		"both lanes":   nil,
		"interest":     {"mode": "interest"},
		"gossip alone": {"lanes": []string{"broadcast"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testLateNetwork(t, cluster)
		})
	}
}

func testLateNetwork(t *testing.T, cluster map[string]any) {
	const repair = 2 * time.Second
	faults := relay.Faults{Delay: 20 * time.Millisecond, Reorder: 0.3, Duplicate: 0.2}
	db := startPostgres(t)
	p := plan{repair: repair.String(), settings: stormSettings(t, db.URL("postgres")), spots: loopback(t, 3), cluster: cluster}
	for i := range p.spots {
		s := &p.spots[i]
		s.viaGossip, s.viaStream = through(t, s.gossip, faults), through(t, s.stream, faults)
	}
	s := newStorm(t, p.start(t), db, repair)
	for began := time.Now(); ; {
		s.blow(t)
		s.more(t, 700)
		s.calm(t)
		s.settle(t, time.Now())
		if t.Failed() || time.Since(began) > soak() {
			break
		}
	}
	t.Log("so far:", s.ledger)
}

// through makes a relay to an address and returns the relay's.
func through(t *testing.T, to string, f relay.Faults) string {
	t.Helper()
	r, err := relay.Listen("127.0.0.9", to, f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r.Addr()
}
