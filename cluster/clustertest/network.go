package clustertest

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// A Quality says how a link between two nodes behaves. Streams are TCP's business: they are delayed, and neither lose, repeat nor reorder.
type Quality struct {
	MinDelay, MaxDelay time.Duration
	Drop, Repeat       float64       // share of the packets of gossip
	Late               float64       // share of the packets of gossip that take up to LateDelay, and come out of order
	LateDelay          time.Duration // at most
}

// A Network connects nodes within one bubble of testing/synctest. What it does follows from its seed and from what the nodes do: every
// link draws its own numbers, so that it does not matter which of two links is used first at one moment.
type Network struct {
	seed uint64
	log  *Log

	mu          sync.Mutex
	quality     Quality
	gossipEvery time.Duration
	givenUp     time.Duration // after which silence a member is given up
	ends        map[string]*Endpoint
	cut         map[[2]string]bool // from, to: nothing gets through
	links       map[string]*rand.Rand
	streams     []*stream // all that are open, the oldest first
	generation  uint64
	serial      map[[2]string]int
}

// NewNetwork returns a network without nodes. gossipEvery is how often nodes gossip; who is not heard of for givenUp is a member no longer.
func NewNetwork(seed uint64, q Quality, gossipEvery, givenUp time.Duration, log *Log) *Network {
	return &Network{
		seed: seed, log: log, quality: q, gossipEvery: gossipEvery, givenUp: givenUp,
		ends: make(map[string]*Endpoint), cut: make(map[[2]string]bool), links: make(map[string]*rand.Rand), serial: make(map[[2]string]int),
	}
}

// random returns the numbers of what is called so. The caller holds mu.
func (n *Network) random(what string) *rand.Rand {
	r := n.links[what]
	if r == nil {
		r = newRandom(n.seed, what)
		n.links[what] = r
	}
	return r
}

// newRandom returns numbers that follow from a seed and a name.
func newRandom(seed uint64, what string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(what))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// between draws a duration. Nanoseconds count: no two things should happen at one moment.
func between(r *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(r.Int64N(int64(max(to-from, 0))+1))
}

// Cut stops, or with on false lets pass, what goes from one node to another. Packets are lost meanwhile, streams go on afterwards, unless
// their ends have given up.
func (n *Network) Cut(from, to string, on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]string{from, to}] = on
	n.releaseHeld()
}

// Break resets the streams between two nodes; what was on its way arrives in part or not at all.
func (n *Network) Break(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.random("break " + a + " " + b)
	for _, s := range append([]*stream(nil), n.streams...) {
		if s.a.name == a && s.b.name == b || s.a.name == b && s.b.name == a {
			s.reset(r)
		}
	}
}

// Freeze stops a node, or lets it go on: it neither reads nor writes meanwhile.
func (n *Network) Freeze(name string, on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if e := n.ends[name]; e != nil {
		e.frozen = on
		n.releaseHeld()
		if !on {
			packets := e.held
			e.held = nil
			for i, p := range packets {
				time.AfterFunc(time.Duration(i+1)*time.Microsecond, p)
			}
		}
	}
}

// Kill ends a node's endpoint as the end of its process does, or, silently, as the end of its machine does. Its Close comes later.
func (n *Network) Kill(name string, silently bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.ends[name]
	if e == nil {
		return
	}
	delete(n.ends, name)
	e.dead = true
	r := n.random("kill " + name)
	for _, s := range append([]*stream(nil), n.streams...) {
		switch {
		case s.a.end != e && s.b.end != e:
		case silently:
			s.vanish(e)
		default:
			s.reset(r)
		}
	}
}

// releaseHeld sends on what was held by links and nodes that are passable again. The caller holds mu.
func (n *Network) releaseHeld() {
	for _, s := range n.streams {
		s.a.release()
		s.b.release()
	}
}

// passable says whether what one sends gets to the other now. The caller holds mu.
func (n *Network) passable(from, to *Endpoint) bool {
	return !from.dead && !to.dead && !to.frozen && !n.cut[[2]string{from.name, to.name}]
}

// at returns who has an address, which may be dead. The caller holds mu.
func (n *Network) at(a netip.AddrPort) *Endpoint {
	for _, e := range n.ends {
		if e.address.Addr() == a.Addr() {
			return e
		}
	}
	return nil
}

// addressOf returns where the node with a number is.
func addressOf(number int) netip.AddrPort {
	return netip.MustParseAddrPort(fmt.Sprintf("10.0.0.%d:7946", number))
}
