//go:build unix

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/starling-mail/starling/e2e/node"
)

// TestClusterRestart: all nodes die at once under load and come back; then another process takes the name of a node, while that is
// there and after it. Clients are right all the time, and what was acknowledged is there.
func TestClusterRestart(t *testing.T) {
	t.Parallel()
	const repair = 2 * time.Second
	db := startPostgres(t)
	p := plan{repair: repair.String(), settings: stormSettings(t, db.URL("postgres")), spots: loopback(t, 3)}
	s := newStorm(t, p.start(t), db, repair)

	s.blow(t)
	s.more(t, 100)
	for _, n := range s.nodes {
		n.Kill()
	}
	for _, n := range s.nodes {
		if err := n.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.more(t, 100)
	s.calm(t)
	s.settle(t, time.Now())
	for _, n := range s.nodes {
		awaitStreams(t, n, 2)
	}

	p.spots = append(p.spots, spot{name: "n3", gossip: freeOn(t, 5), stream: freeOn(t, 5)})
	other := p.node(t, 3)
	serve(t, other)
	s.watch(t, other, "another node 3")
	within(t, 30*time.Second, "somebody sees two nodes of one name", func() bool {
		return strings.Contains(s.nodes[0].Log()+s.nodes[1].Log()+s.nodes[2].Log()+other.Log(), "two nodes have one name")
	})
	// It is no member, but it has the database.
	s.blow(t)
	s.more(t, 100)
	s.calm(t)
	s.settle(t, time.Now())

	gone := s.nodes[2]
	s.nodes = []*node.Node{s.nodes[0], s.nodes[1], other}
	s.watchers = append(s.watchers[:8:8], s.watchers[12:]...) // not the four of the node that ends
	gone.Kill()
	for _, n := range s.nodes {
		awaitStreams(t, n, 2)
	}
	s.blow(t)
	s.more(t, 100)
	s.calm(t)
	s.settle(t, time.Now())
	t.Log("so far:", s.ledger)
}
