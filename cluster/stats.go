package cluster

import (
	"cmp"
	"slices"
	"time"
)

// Stats are figures of a node since it was started.
type Stats struct {
	Joined    bool // see Node.Joined
	Members   int
	Malformed uint64 // members whose metadata were not understood
	Conflicts uint64 // times that another node was seen with a member's name

	Refused  uint64 // streams refused in either direction: no key, another cluster, another instance
	TooLarge uint64 // frames over the limit, which ended their streams
	Unsent   uint64 // events too large for a frame, counted for each receiver
	Losses   uint64 // times that events from others were found missing, or might be

	Repairs  uint64        // times that the feed was read
	Repaired uint64        // events that came from the feed alone
	Reloads  uint64        // times that the feed did not reach back and everybody had to start again
	FeedAge  time.Duration // since the feed was last read to its end; 0 without a feed

	Gossiped     uint64 // broadcasts that came
	GossipTold   uint64 // events that came by gossip first
	GossipMissed uint64 // broadcasts that there was no room for, in either direction, or that could not be read
	GossipQueued int    // broadcasts that wait

	Peers []PeerStats // sorted by name
}

// PeerStats are figures of what goes to and comes from one other node.
type PeerStats struct {
	Name string

	Connected bool          // this node's stream to it is open
	Connects  uint64        // times it was opened
	Codec     string        // that is sent in
	RoundTrip time.Duration // of the last heartbeat
	Queued    int           // events that wait
	Sent      uint64        // events
	NextSent  uint64        // number of the next event to be sent
	Dropped   uint64        // events that there was no room for
	Withheld  uint64        // events that nobody there listens to

	Receiving   bool   // its stream to this node is open
	Selective   bool   // it has said what it listens to, and is sent only that
	Received    uint64 // events
	Next        uint64 // number of the next event to come
	Losses      uint64 // times that events were found missing, or might be
	Repeated    uint64 // frames that repeated what had come
	Unknown     uint64 // events of kinds that this version does not know
	Trailing    uint64 // events with fields that this version does not know
	Undecodable uint64 // frames that could not be read
}

// Stats returns the figures as they are now.
func (n *Node) Stats() Stats {
	n.members.mu.Lock()
	s := Stats{Members: len(n.members.byName), Malformed: n.members.malformed, Conflicts: n.members.conflicts}
	n.members.mu.Unlock()
	s.Joined = n.joined.Load()
	s.Refused, s.TooLarge, s.Unsent, s.Losses = n.stats.refused.Load(), n.stats.tooLarge.Load(), n.stats.unsent.Load(), n.stats.losses.Load()
	if r := n.repair; r != nil {
		s.Repairs, s.Repaired, s.Reloads, s.FeedAge = r.reads.Load(), r.events.Load(), r.reloads.Load(), r.age()
	}
	if l := n.lane; l != nil {
		s.GossipQueued, s.GossipMissed = l.queue.figures()
		s.Gossiped, s.GossipTold, s.GossipMissed = l.received.Load(), l.told.Load(), s.GossipMissed+l.missed.Load()+l.undecodable.Load()
	}
	byName := make(map[string]*PeerStats)
	of := func(name string) *PeerStats {
		if byName[name] == nil {
			byName[name] = &PeerStats{Name: name}
		}
		return byName[name]
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	for name, p := range n.peers {
		f := of(name)
		f.Connected, f.Connects, f.Codec, f.RoundTrip = p.connected.Load(), p.connects.Load(), p.codec.String(), time.Duration(p.roundTrip.Load())
		f.Sent, f.Withheld = p.sent.Load(), p.withheld.Load()
		f.Queued, f.Dropped = p.queue.figures()
		f.NextSent = p.queue.number()
	}
	for name, p := range n.senders {
		f := of(name)
		f.Receiving, f.Next, f.Selective = p.open.Load() > 0, p.next.Load(), p.heard.Load() != nil
		f.Received, f.Losses, f.Repeated, f.Unknown, f.Trailing, f.Undecodable =
			p.received.Load(), p.lost.Load(), p.repeated.Load(), p.unknown.Load(), p.trailing.Load(), p.undecodable.Load()
	}
	for _, f := range byName {
		s.Peers = append(s.Peers, *f)
	}
	slices.SortFunc(s.Peers, func(a, b PeerStats) int { return cmp.Compare(a.Name, b.Name) })
	return s
}
