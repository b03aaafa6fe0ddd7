package clustertest

import (
	"context"
	"errors"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/starling-mail/starling/cluster"
)

// What a packet of gossip holds, as memberlist has it.
const (
	packetRoom     = 1350
	packetOverhead = 3
	packetFanout   = 3 // members that each round of gossip goes to
	beatEvery      = 8 // rounds of gossip between two of membership
)

// An Endpoint is a node's place in a Network; it implements cluster.Network. Membership is by heartbeats that are passed on: who is not heard
// of is given up, and comes back when it is.
type Endpoint struct {
	net     *Network
	name    string
	address netip.AddrPort
	rnd     *rand.Rand

	// Guarded by Network.mu.
	generation uint64 // of all endpoints
	delegate   cluster.Delegate
	listens    bool
	dead       bool // killed
	closed     bool
	frozen     bool
	held       []func() // packets that came while it was frozen
	table      map[string]*entry
	round      int

	calls sync.WaitGroup // of the delegate
}

var _ cluster.Network = (*Endpoint)(nil)

// An entry is what an Endpoint knows about a node.
type entry struct {
	generation, beat uint64
	address          netip.AddrPort
	meta             []byte
	left             bool

	heard   time.Time // when beat last rose
	present bool      // the delegate was told so
}

// newer says whether e is later than o.
func (e *entry) newer(o *entry) bool {
	return e.generation > o.generation || e.generation == o.generation && e.beat > o.beat
}

// Endpoint returns a new place for a node, in place of one of that name before, which must have been closed or killed.
func (n *Network) Endpoint(name string, number int) *Endpoint {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.generation++
	return &Endpoint{
		net: n, name: name, address: addressOf(number), generation: n.generation, table: make(map[string]*entry),
		rnd: n.random("endpoint " + name),
	}
}

// Listen implements cluster.Network.
func (e *Endpoint) Listen(context.Context) (string, error) {
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	e.listens = true
	return netip.AddrPortFrom(e.address.Addr(), e.address.Port()+1).String(), nil
}

// Gossip implements cluster.Network.
func (e *Endpoint) Gossip(_ context.Context, d cluster.Delegate) error {
	n := e.net
	n.mu.Lock()
	e.delegate = d
	n.ends[e.name] = e
	own := &entry{generation: e.generation, address: e.address, meta: d.Meta(), present: true}
	e.table[e.name] = own
	wait := between(e.rnd, 0, n.gossipEvery)
	n.mu.Unlock()
	d.Present(e.name, e.address, own.meta)
	e.after(wait, e.gossip)
	return nil
}

// after calls f after some time, unless the endpoint is closed by then. f may call the delegate.
func (e *Endpoint) after(d time.Duration, f func()) {
	time.AfterFunc(d, func() {
		if e.enter() {
			defer e.calls.Done()
			f()
		}
	})
}

func (e *Endpoint) enter() bool {
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	if e.closed {
		return false
	}
	e.calls.Add(1)
	return true
}

// gossip is one round.
func (e *Endpoint) gossip() {
	n := e.net
	n.mu.Lock()
	if e.dead {
		n.mu.Unlock()
		return
	}
	wait := between(e.rnd, n.gossipEvery*9/10, n.gossipEvery*11/10)
	if e.frozen {
		n.mu.Unlock()
		e.after(wait, e.gossip)
		return
	}
	e.round++
	members := e.names(true)
	targets := e.some(members, packetFanout)
	beat := e.round%beatEvery == 0
	var beats []string
	if beat {
		e.table[e.name].beat++
		// Who was given up is asked now and then.
		if beats = e.some(members, 2); e.rnd.IntN(3) == 0 {
			beats = append(beats, e.some(e.names(false), 1)...)
		}
	}
	n.mu.Unlock()
	if beat {
		e.give()
	}
	for _, to := range targets {
		frames := e.delegate.Broadcasts(packetOverhead, packetRoom)
		if len(frames) == 0 {
			break
		}
		e.packet(to, frames, false)
	}
	for _, to := range beats {
		e.packet(to, nil, true)
	}
	e.after(wait, e.gossip)
}

// names returns the other nodes that are members, or that are none, sorted. The caller holds mu.
func (e *Endpoint) names(present bool) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(e.table)) {
		if name != e.name && e.table[name].present == present {
			list = append(list, name)
		}
	}
	return list
}

// some draws up to k of a list. The caller holds mu.
func (e *Endpoint) some(list []string, k int) []string {
	list = slices.Clone(list)
	e.rnd.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:min(k, len(list))]
}

// give gives up who was not heard of.
func (e *Endpoint) give() {
	n := e.net
	n.mu.Lock()
	var gone []string
	for _, name := range e.names(true) {
		if m := e.table[name]; time.Since(m.heard) > n.givenUp {
			m.present = false
			gone = append(gone, name)
		}
	}
	n.mu.Unlock()
	for _, name := range gone {
		n.log.add(e.name, "gives up %s", name)
		e.delegate.Gone(name)
	}
}

// packet sends one packet: frames, or what is known about the members.
func (e *Endpoint) packet(to string, frames [][]byte, table bool) {
	n := e.net
	n.mu.Lock()
	defer n.mu.Unlock()
	about := e.table[to]
	r := n.random("gossip " + e.name + " " + to)
	copies := 1
	if r.Float64() < n.quality.Repeat {
		copies = 2
	}
	known := e.known(table)
	for range copies {
		delay := between(r, n.quality.MinDelay, n.quality.MaxDelay)
		if r.Float64() < n.quality.Late {
			delay = between(r, n.quality.MaxDelay, n.quality.LateDelay)
		}
		if r.Float64() < n.quality.Drop {
			continue
		}
		time.AfterFunc(delay, func() { n.arrive(e, about.address, frames, known) })
	}
}

// known copies the table, if it is wanted. The caller holds mu.
func (e *Endpoint) known(wanted bool) map[string]entry {
	if !wanted {
		return nil
	}
	known := make(map[string]entry, len(e.table))
	for name, m := range e.table {
		known[name] = *m
	}
	return known
}

// arrive gives a packet to whoever is at an address.
func (n *Network) arrive(from *Endpoint, address netip.AddrPort, frames [][]byte, known map[string]entry) {
	n.mu.Lock()
	to := n.at(address)
	if to == nil || to.closed || from.dead || n.cut[[2]string{from.name, to.name}] {
		n.mu.Unlock()
		return
	}
	if to.frozen {
		const room = 64 // in the socket's buffer
		if len(to.held) < room {
			to.held = append(to.held, func() { n.arrive(from, address, frames, known) })
		}
		n.mu.Unlock()
		return
	}
	to.calls.Add(1)
	n.mu.Unlock()
	defer to.calls.Done()
	for _, f := range frames {
		n.log.sum("gossip "+from.name+" "+to.name, f)
		if n.log.verbose {
			h := fnv.New64a()
			h.Write(f)
			n.log.add("net", "gossip %s to %s: %d bytes %x", from.name, to.name, len(f), h.Sum64())
		}
		to.delegate.Gossiped(f)
	}
	to.merge(known)
}

// merge takes in what another one knows.
func (e *Endpoint) merge(known map[string]entry) {
	for _, name := range slices.Sorted(maps.Keys(known)) {
		theirs := known[name]
		if name == e.name {
			continue
		}
		e.net.mu.Lock()
		mine := e.table[name]
		if mine != nil && !theirs.newer(mine) {
			e.net.mu.Unlock()
			continue
		}
		was, changed := false, true
		if mine != nil {
			was, changed = mine.present, mine.generation != theirs.generation || string(mine.meta) != string(theirs.meta)
		}
		is := !theirs.left
		theirs.heard, theirs.present = time.Now(), is
		e.table[name] = &theirs
		e.net.mu.Unlock()
		switch {
		case is && (!was || changed):
			e.net.log.add(e.name, "has member %s", name)
			e.delegate.Present(name, theirs.address, theirs.meta)
		case was && !is:
			e.net.log.add(e.name, "hears that %s leaves", name)
			e.delegate.Gone(name)
		}
	}
}

var errUnreachable = errors.New("clustertest: no answer")

// roundTrip asks whoever is at an address, and waits as long as so many questions and answers take, or longer if there is none.
func (e *Endpoint) roundTrip(ctx context.Context, at netip.AddrPort, trips int, patience time.Duration) (*Endpoint, error) {
	n := e.net
	n.mu.Lock()
	r := n.random("ask " + e.name + " " + at.String())
	var wait time.Duration
	for range trips {
		wait += between(r, 2*n.quality.MinDelay, 2*n.quality.MaxDelay)
	}
	to := n.at(at)
	reachable := to != nil && n.passable(e, to) && n.passable(to, e)
	n.mu.Unlock()
	if to != nil && !reachable {
		wait = patience
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case to == nil:
		return nil, syscall.ECONNREFUSED
	case !reachable || !n.passable(e, to) || !n.passable(to, e):
		return nil, errUnreachable
	}
	return to, nil
}

// Join implements cluster.Network.
func (e *Endpoint) Join(at netip.AddrPort) error {
	n := e.net
	to, err := e.roundTrip(context.Background(), at, 1, time.Second)
	if err != nil {
		return err
	}
	if !to.enter() {
		return syscall.ECONNREFUSED
	}
	defer to.calls.Done()
	n.mu.Lock()
	e.table[e.name].beat++
	to.table[to.name].beat++
	mine, theirs := e.known(true), to.known(true)
	n.mu.Unlock()
	to.merge(mine)
	time.Sleep(time.Microsecond) // not both at one moment
	e.merge(theirs)
	return nil
}

// Update implements cluster.Network.
func (e *Endpoint) Update(time.Duration) error {
	meta := e.delegate.Meta()
	e.net.mu.Lock()
	own := e.table[e.name]
	own.beat++
	own.meta = meta
	e.net.mu.Unlock()
	e.delegate.Present(e.name, e.address, meta)
	return nil
}

// Leave implements cluster.Network.
func (e *Endpoint) Leave(time.Duration) error {
	e.net.mu.Lock()
	own := e.table[e.name]
	own.beat++
	own.left = true
	members := e.names(true)
	e.net.mu.Unlock()
	for _, to := range members {
		e.packet(to, nil, true)
	}
	return nil
}

// SetKeys implements cluster.Network; there are none here.
func (e *Endpoint) SetKeys([]cluster.Key) (int, error) { return 0, errors.ErrUnsupported }

// Close implements cluster.Network.
func (e *Endpoint) Close() error {
	e.net.mu.Lock()
	e.closed = true
	if e.net.ends[e.name] == e {
		delete(e.net.ends, e.name)
	}
	e.net.mu.Unlock()
	e.calls.Wait()
	return nil
}

// Dial implements cluster.Network.
func (e *Endpoint) Dial(ctx context.Context, m cluster.Member) (cluster.Stream, error) {
	n := e.net
	to, err := e.roundTrip(ctx, m.Gossip, 2, time.Hour)
	if err != nil {
		return nil, err
	}
	if to.name != m.Name || !to.listens || !to.enter() {
		return nil, syscall.ECONNREFUSED
	}
	n.mu.Lock()
	s := n.newStream(e, to)
	n.mu.Unlock()
	go func() {
		defer to.calls.Done()
		defer s.b.Close()
		to.delegate.Serve(e.name, s.b)
	}()
	return s.a, nil
}
