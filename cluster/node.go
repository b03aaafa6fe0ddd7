package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/eventbus/codec"
	"github.com/starling-mail/starling/mailbox"
)

// A Node is this process as a member of its cluster. It implements eventbus.Transport.
type Node struct {
	o        Options
	times    times
	log      zerolog.Logger
	instance uint64
	born     time.Time
	id       *identity
	members  *members
	about    *delegate
	links    links
	letters  letters
	recent   *recent
	repair   *repair // nil without a feed
	lane     *lane   // nil without broadcasts
	joined   atomic.Bool
	stats    struct{ refused, tooLarge, unsent, losses atomic.Uint64 }

	// Set by Start.
	list     *memberlist.Memberlist
	keyring  *memberlist.Keyring
	listener net.Listener
	cancel   context.CancelFunc
	work     sync.WaitGroup
	keys     sync.Mutex // held while keys are exchanged

	mu      sync.RWMutex
	peers   map[string]*peer // by name; the map is replaced, never changed
	senders map[string]*sender
	closing bool
}

// New returns a node that does nothing yet: Start comes next, and Close in the end. The error lists all faults of o.
func New(o Options) (*Node, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	id, err := newIdentity(o.Name, o.Cluster, o.Keys)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	log := o.Log.With().Str("node", o.Name).Logger()
	n := &Node{
		o: o, times: timesOf[o.Profile], log: log, instance: randomNumber(), born: time.Now(), id: id,
		members: newMembers(o.Name, log), about: new(delegate), recent: newRecent(recentLife * o.RepairInterval), senders: make(map[string]*sender),
	}
	if o.Lanes.has(Broadcasts) {
		n.lane = newLane(n)
	}
	n.about.lane = n.lane
	if o.Feed != nil {
		n.repair = newRepair(o.Feed, o.Receiver, n.recent, o.RepairInterval/2, log)
	}
	return n, nil
}

// Start binds the addresses and begins to join; it does not wait for others. The feed is read from its end as it is now: so Start
// comes before the first mailbox is opened. ctx bounds Start only.
func (n *Node) Start(ctx context.Context) (err error) {
	running, cancel := context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			cancel()
			n.work.Wait()
			err = fmt.Errorf("cluster: %w", err)
		}
	}()
	n.cancel = cancel
	if n.repair != nil {
		if err := n.repair.begin(ctx); err != nil {
			return err
		}
	}
	if n.o.Lanes.has(Streams) {
		if n.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", n.o.Stream); err != nil {
			return err
		}
	}
	if err := n.gossip(running); err != nil {
		if n.listener != nil {
			err = errors.Join(err, n.listener.Close())
		}
		return err
	}
	if n.listener != nil {
		n.work.Go(func() { n.accept(running) })
	}
	if n.lane != nil {
		n.work.Go(func() { n.lane.run(running) })
	}
	n.work.Go(func() { n.follow(running) })
	n.work.Go(func() { n.join(running) })
	if n.repair != nil {
		n.work.Go(func() { n.repair.run(running) })
	}
	return nil
}

// gossip starts memberlist.
func (n *Node) gossip(ctx context.Context) error {
	n.about.meta.Store(&meta{instance: n.instance, codecs: []codec.Codec{codec.MessagePack, codec.JSON}, version: n.o.Version, stream: n.streamAddress()})
	var err error
	n.keyring, err = memberlist.NewKeyring(nil, n.o.Keys[0][:])
	if err != nil {
		return err
	}
	for _, k := range n.o.Keys[1:] {
		if err := n.keyring.AddKey(k[:]); err != nil {
			return err
		}
	}
	logger := newGossipLogger(n.log)
	t, err := newGossipTransport(ctx, &n.o, logger)
	if err != nil {
		return err
	}
	config := gossipConfig(&n.o, n.keyring, t, logger)
	config.Delegate, config.Events, config.Conflict = n.about, n.members, n.members
	if n.list, err = memberlist.Create(config); err != nil {
		return errors.Join(err, t.Shutdown())
	}
	return nil
}

// streamAddress is what the others are told; empty without streams.
func (n *Node) streamAddress() string {
	if n.listener == nil {
		return ""
	}
	if n.o.AdvertiseStream != "" {
		return n.o.AdvertiseStream
	}
	return n.listener.Addr().String()
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
	if n.list == nil {
		return errNotStarted
	}
	m := *n.about.meta.Load()
	m.draining = on
	n.about.meta.Store(&m)
	return n.list.UpdateNode(n.times.timeout)
}

// SetKeys exchanges the cluster's keys: the first is used from now on, all are accepted. Streams that rest on others are
// closed and opened again. Everybody must have a key before anybody uses it, and must use another before it is taken out.
func (n *Node) SetKeys(keys []Key) error {
	n.keys.Lock()
	defer n.keys.Unlock()
	if n.keyring == nil {
		return errNotStarted
	}
	if err := n.id.setKeys(keys); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	for _, k := range keys {
		if err := n.keyring.AddKey(k[:]); err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
	}
	if err := n.keyring.UseKey(keys[0][:]); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	for _, old := range n.keyring.GetKeys() {
		if !slices.Contains(keys, Key(old)) {
			if err := n.keyring.RemoveKey(old); err != nil {
				return fmt.Errorf("cluster: %w", err)
			}
		}
	}
	closed := n.links.closeWithout(n.id)
	n.log.Info().Int("keys", len(keys)).Int("closed", closed).Msg("the cluster's keys were exchanged")
	return nil
}

// Send implements eventbus.Transport: it queues events for each other member, and for gossip.
func (n *Node) Send(events []mailbox.Event) {
	n.recent.quick(events)
	if n.lane != nil {
		n.lane.send(events)
	}
	n.mu.RLock()
	peers := n.peers
	n.mu.RUnlock()
	if len(peers) == 0 {
		return
	}
	written := make(map[codec.Codec][][]byte, 2)
	for _, p := range peers {
		list, ok := written[p.codec]
		if !ok {
			list = encode(p.codec, events)
			written[p.codec] = list
		}
		if list == nil {
			n.stats.unsent.Add(uint64(len(events)))
			p.queue.skip(len(events))
			continue
		}
		p.queue.put(list)
	}
}

// encode writes events one by one; nil if one of them cannot be sent.
func encode(c codec.Codec, events []mailbox.Event) [][]byte {
	list := make([][]byte, 0, len(events))
	for i := range events {
		b, err := c.AppendEvent(nil, &events[i])
		if err != nil {
			return nil
		}
		list = append(list, b)
	}
	return list
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
	for _, m := range n.members.all() {
		if m.Self || m.Stream == "" || n.listener == nil {
			continue
		}
		if p := n.peers[m.Name]; p != nil && p.member.Instance == m.Instance && p.member.Stream == m.Stream {
			now[m.Name] = p
			continue
		}
		p := newPeer(n, m)
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
	n.peers = now
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
	if n.list == nil {
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
		if err = n.list.Leave(leaveTime); err != nil {
			n.log.Info().Err(err).Msg("nobody was told that this node leaves")
		}
	}
	n.cancel()
	err = n.list.Shutdown()
	n.work.Wait()
	return err
}

// leaveTime is how long it may take to tell the others that this node leaves.
const leaveTime = time.Second
