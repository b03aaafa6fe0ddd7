package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/eventbus/codec"
)

// A Node is this process as a member of its cluster. It implements eventbus.Transport.
type Node struct {
	o        Options
	times    times
	log      zerolog.Logger
	instance uint64
	born     time.Time
	members  *members
	about    atomic.Pointer[meta]
	network  Network
	letters  letters
	recent   *recent
	repair   *repair   // nil without a feed
	lane     *lane     // nil without broadcasts
	interest *interest // nil where everything goes to all
	joined   atomic.Bool
	stats    struct{ refused, tooLarge, unsent, losses atomic.Uint64 }

	running context.Context // until Close
	cancel  context.CancelFunc
	started atomic.Bool
	work    sync.WaitGroup

	mu      sync.RWMutex
	peers   map[string]*peer // by name; the map is replaced, never changed
	senders map[string]*sender
	closing bool
	// streamless: some member takes no streams.
	streamless bool
}

// New returns a node that does nothing yet: Start comes next, and Close in the end. The error lists all faults of o.
func New(o Options) (*Node, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	log := o.Log.With().Str("node", o.Name).Logger()
	n := &Node{
		o: o, times: timesOf[o.Profile], log: log, instance: randomNumber(), born: time.Now(),
		members: newMembers(o.Name, log), recent: newRecent(recentLife * o.RepairInterval), network: o.Network, senders: make(map[string]*sender),
	}
	if n.network == nil {
		w, err := newWires(&n.o, log, &n.stats.refused)
		if err != nil {
			return nil, fmt.Errorf("cluster: %w", err)
		}
		n.network = w
	}
	n.running, n.cancel = context.WithCancel(context.Background())
	if o.Lanes.has(Broadcasts) {
		n.lane = newLane(n)
	}
	if o.Interest {
		n.interest = newInterest(o.InterestLinger, o.AnnounceWait)
	}
	if o.Feed != nil {
		n.repair = newRepair(o.Feed, o.Receiver, n.recent, o.RepairInterval/2, log)
		if o.Interest {
			n.repair.listened = n.interest.set.wants
		}
	}
	return n, nil
}

// Start binds the addresses and begins to join; it does not wait for others. The feed is read from its end as it is now: so Start
// comes before the first mailbox is opened. ctx bounds Start only.
func (n *Node) Start(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			n.cancel()
			err = fmt.Errorf("cluster: %w", errors.Join(err, n.network.Close()))
		}
	}()
	if n.repair != nil {
		if err := n.repair.begin(ctx); err != nil {
			return err
		}
	}
	about := &meta{instance: n.instance, codecs: []codec.Codec{codec.MessagePack, codec.JSON}, version: n.o.Version, interest: n.o.Interest, keys: fingerprints(n.o.Keys)}
	if n.o.Lanes.has(Streams) {
		if about.stream, err = n.network.Listen(ctx); err != nil {
			return err
		}
	}
	n.about.Store(about)
	if err := n.network.Gossip(ctx, delegate{n}); err != nil {
		return err
	}
	n.started.Store(true)
	if n.lane != nil {
		n.work.Go(func() { n.lane.run(n.running) })
	}
	if n.interest != nil {
		n.work.Go(func() { n.interest.run(n.running) })
	}
	n.work.Go(func() { n.follow(n.running) })
	n.work.Go(func() { n.join(n.running) })
	if n.repair != nil {
		n.work.Go(func() { n.repair.run(n.running) })
	}
	return nil
}

// GossipAddress is where this node gossips; for others to join, if it is not an unspecified address.
func (n *Node) GossipAddress() netip.AddrPort {
	for _, m := range n.members.all() {
		if m.Self {
			return m.Gossip
		}
	}
	return netip.AddrPort{}
}

// Members returns all members, this node among them, sorted by name. Who is there but cannot be reached is one for some seconds more.
func (n *Node) Members() []Member { return n.members.all() }

// Joined says whether this node has tried once to reach everybody whom it should join. That nobody was there is no reason not to serve: what
// others do is in the feed.
func (n *Node) Joined() bool { return n.joined.Load() }

// errNotStarted is returned by methods that need Start.
var errNotStarted = errors.New("cluster: not started")

// now is a time in ns that no change of the clock disturbs.
func (n *Node) now() int64 { return int64(time.Since(n.born)) }

// Drain tells the others that this node is about to leave and takes no new clients, or that it does again.
func (n *Node) Drain(on bool) error {
	if !n.started.Load() {
		return errNotStarted
	}
	return n.tell(func(m *meta) { m.draining = on })
}

// tell changes what the others are told of this node.
func (n *Node) tell(change func(*meta)) error {
	for {
		old := n.about.Load()
		m := *old
		change(&m)
		if n.about.CompareAndSwap(old, &m) {
			return n.network.Update(n.times.timeout)
		}
	}
}

// SetKeys exchanges the cluster's keys: the first is used from now on, all are accepted. Streams that rest on others are
// closed and opened again. Everybody must have a key before anybody uses it, and must use another before it is taken out.
func (n *Node) SetKeys(keys []Key) error {
	if !n.started.Load() {
		return errNotStarted
	}
	closed, err := n.network.SetKeys(keys)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	n.log.Info().Int("keys", len(keys)).Int("closed", closed).Msg("the cluster's keys were exchanged")
	if err := n.tell(func(m *meta) { m.keys = fingerprints(keys) }); err != nil {
		n.log.Info().Err(err).Msg("the others do not know yet which keys this node has")
	}
	return nil
}

// follow keeps a peer for each member.
func (n *Node) follow(ctx context.Context) {
	for {
		n.reconcile(ctx)
		select {
		case <-n.members.changed:
		case <-ctx.Done():
			return
		}
	}
}

// reconcile starts and ends peers so that there is one for each other member, and for whoever else there is a stream to.
func (n *Node) reconcile(ctx context.Context) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closing {
		return
	}
	now := make(map[string]*peer)
	streamless := false
	for _, m := range n.members.all() {
		streamless = streamless || m.Stream == ""
		if m.Self || m.Stream == "" || !n.o.Lanes.has(Streams) {
			continue
		}
		if p := n.peers[m.Name]; p != nil && p.member.Instance == m.Instance && p.member.Stream == m.Stream {
			now[m.Name] = p
			continue
		}
		p := newPeer(n, m)
		p.from = n.known(m.Name)
		own, cancel := context.WithCancel(ctx)
		p.cancel = cancel
		n.work.Go(func() { p.run(own) })
		now[m.Name] = p
	}
	for name, p := range n.peers {
		// Gossip may be wrong about who is gone, on a busy machine for example. A stream that works is not.
		if now[name] == nil && p.connected.Load() {
			now[name] = p
		}
		if now[name] != p {
			p.cancel()
		}
	}
	for name, s := range n.senders {
		if now[name] == nil && s.open.Load() == 0 && len(n.senders) > maxSenders/2 {
			delete(n.senders, name)
		}
	}
	n.peers, n.streamless = now, streamless
}

// recover sees to it that what was lost is learnt.
func (n *Node) recover() {
	n.stats.losses.Add(1)
	if n.repair != nil {
		n.repair.now()
		return
	}
	n.o.Receiver.Lost()
}

// Close sends what waits for those that are reachable, tells the others that this node leaves, and ends everything. When ctx ends
// before, the rest is left unsent: it is in the feed.
func (n *Node) Close(ctx context.Context) error {
	if !n.started.Load() {
		return nil
	}
	n.mu.Lock()
	first := !n.closing
	n.closing = true
	peers := slices.Collect(maps.Values(n.peers))
	n.mu.Unlock()
	if !first {
		return nil
	}
	for _, p := range peers {
		close(p.finish)
	}
	for _, p := range peers {
		select {
		case <-p.done:
		case <-ctx.Done():
		}
	}
	var err error
	if ctx.Err() == nil {
		if err = n.network.Leave(leaveTime); err != nil {
			n.log.Info().Err(err).Msg("nobody was told that this node leaves")
		}
	}
	n.cancel()
	err = n.network.Close()
	n.work.Wait()
	return err
}

// leaveTime is how long it may take to tell the others that this node leaves.
const leaveTime = time.Second
