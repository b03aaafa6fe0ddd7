package cluster

import (
	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/eventbus/codec"
	"github.com/starling-mail/starling/mailbox"
)

// Send implements eventbus.Transport: it queues events for each other member, and for gossip.
func (n *Node) Send(events []mailbox.Event) {
	n.recent.quick(events)
	n.mu.RLock()
	peers, streamless := n.peers, n.streamless
	n.mu.RUnlock()
	if n.lane != nil {
		n.lane.send(n.around(events, peers, streamless))
	}
	if len(peers) == 0 {
		return
	}
	written := make(map[codec.Codec][][]byte, 2)
	for _, p := range peers {
		wanted := p.wanted()
		if !wanted.any(events) {
			p.withheld.Add(uint64(len(events)))
			continue
		}
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
		chosen := wanted.choose(events, list)
		p.withheld.Add(uint64(len(list) - len(chosen)))
		p.queue.put(chosen)
	}
}

// around returns what goes by gossip too. That is all there is where everything goes to all. Otherwise gossip, which reaches all, would
// take away what is won by not sending; then it brings Changes only while a node that wants them cannot be reached by a stream.
func (n *Node) around(events []mailbox.Event, peers map[string]*peer, streamless bool) []mailbox.Event {
	if n.interest == nil || streamless {
		return events
	}
	var list []mailbox.Event
	for i := range events {
		if events[i].Kind != mailbox.EventChanged || parted(peers, &events[i]) {
			list = append(list, events[i])
		}
	}
	return list
}

// parted says whether a node wants e that there is no stream to.
func parted(peers map[string]*peer, e *mailbox.Event) bool {
	for _, p := range peers {
		if !p.connected.Load() && p.wanted().wants(e) {
			return true
		}
	}
	return false
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

// Watch implements eventbus.Selective.
func (n *Node) Watch(k eventbus.Key, on bool) {
	if n.interest != nil {
		n.interest.watch(k, on)
	}
}

// Announced implements eventbus.Selective.
func (n *Node) Announced() <-chan struct{} {
	if n.interest == nil {
		return nil
	}
	return n.interest.announced()
}
