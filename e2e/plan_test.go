//go:build unix

package e2e

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"testing"

	"github.com/starling-mail/starling/e2e/node"
	"github.com/starling-mail/starling/mailstore/postgres/pgtest"
)

// A plan is what a cluster is to be like.
type plan struct {
	repair   string // repair_interval
	spots    []spot
	settings node.Settings  // of all nodes: the store at least
	cluster  map[string]any // of all nodes besides, in [cluster]; with lanes there, streams are not waited for
	ownKeys  bool           // each node has a file of keys of its own
	keys     string         // the file of the cluster's key, once there is one
}

// A spot is where a node runs, and where the others find it.
type spot struct {
	name           string      // "": by its place in the plan
	place          *node.Place // nil: here
	binary         string      // "": the one under test
	gossip, stream string      // addresses to listen on
	viaGossip      string      // addresses that the others are told, if they are not those
	viaStream      string
	settings       node.Settings // of this node besides
}

// startPostgres starts a throw-away PostgreSQL for the time of the test.
func startPostgres(t *testing.T, settings ...string) *pgtest.Server {
	t.Helper()
	db, err := pgtest.Start(settings...)
	if errors.Is(err, pgtest.ErrMissing) && !strict() {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("PostgreSQL: %v", err)
		}
	})
	return db
}

// loopback returns spots on this machine.
func loopback(t *testing.T, size int) []spot {
	t.Helper()
	var spots []spot
	for i := range size {
		spots = append(spots, spot{gossip: freeOn(t, i+2), stream: freeOn(t, i+2)})
	}
	return spots
}

// freeOn returns a free address on 127.0.0.host.
func freeOn(t *testing.T, host int) string {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.%d:0", host))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start starts the nodes, with user in the store, and returns when all have streams to all.
func (p *plan) start(t *testing.T) []*node.Node {
	t.Helper()
	p.keys = write(t, t.TempDir(), "cluster.keys", run(t, binary, "cluster", "keys", "new"))
	var nodes []*node.Node
	for i := range p.spots {
		n := p.node(t, i)
		serve(t, n)
		nodes = append(nodes, n)
	}
	if err := nodes[0].AddUser(t.Context(), user, password); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		if p.cluster["lanes"] == nil {
			awaitStreams(t, n, len(nodes)-1)
		}
	}
	return nodes
}

// node prepares the node of one spot.
func (p *plan) node(t *testing.T, i int) *node.Node {
	t.Helper()
	s := p.spots[i]
	if s.name == "" {
		s.name = fmt.Sprint("n", i+1)
	}
	if s.binary == "" {
		s.binary = binary
	}
	var join []string
	for _, s := range p.spots {
		if s.viaGossip != "" {
			join = append(join, s.viaGossip)
		} else {
			join = append(join, s.gossip)
		}
	}
	keys := p.keys
	if p.ownKeys {
		key, err := os.ReadFile(keys)
		if err != nil {
			t.Fatal(err)
		}
		keys = write(t, t.TempDir(), "cluster.keys", string(key))
	}
	cluster := map[string]any{
		"enabled": true, "name": s.name, "keys_file": keys, "gossip": s.gossip, "stream": s.stream,
		"join": join, "profile": "local", "repair_interval": p.repair,
	}
	for key, value := range map[string]string{"advertise_gossip": s.viaGossip, "advertise_stream": s.viaStream} {
		if value != "" {
			cluster[key] = value
		}
	}
	maps.Copy(cluster, p.cluster)
	settings := maps.Clone(p.settings)
	settings["cluster"] = cluster
	maps.Copy(settings, s.settings)
	var n *node.Node
	var err error
	if s.place != nil {
		n, err = node.NewAt(*s.place, s.binary, t.TempDir(), settings)
	} else {
		n, err = node.New(s.binary, t.TempDir(), settings)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}
