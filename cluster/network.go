package cluster

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// A Network is what connects a Node to the others. The one that nodes use (see wires) gossips by memberlist and opens streams by TLS over
// TCP; a simulation brings its own.
//
// Close comes after everything else and waits until no method of the Delegate is running.
type Network interface {
	// Listen begins to take streams and returns the address, host:port, that others are told for them; they are held back until Gossip was
	// called. It is called first, and not at all by a node without streams.
	Listen(ctx context.Context) (address string, err error)
	// Gossip makes the node a member, for now of a cluster of its own. What happens is told to d until Close. ctx bounds
	// the beginning only.
	Gossip(ctx context.Context, d Delegate) error
	// Join tells whoever gossips at an address of this node, and the other way round.
	Join(at netip.AddrPort) error
	// Update tells the others what Delegate.Meta returns now.
	Update(timeout time.Duration) error
	// Leave tells the others that this node goes.
	Leave(timeout time.Duration) error
	// Dial opens a stream to a member. Who is at its other end has shown that it is one of the cluster's nodes, of that name.
	Dial(ctx context.Context, to Member) (Stream, error)
	// SetKeys exchanges the cluster's keys; see Node.SetKeys. It returns how many streams were closed.
	SetKeys(keys []Key) (closed int, err error)
	// Close ends gossip and takes no more streams.
	Close() error
}

// A Stream is an open connection to another node that has shown who it is. Close may be called by anyone, several times.
type Stream interface {
	net.Conn
	// CloseWrite says that nothing more will be written; reading goes on.
	CloseWrite() error
}

// A Delegate is a Node as its Network sees it. All methods but Serve return at once and keep nothing that they are given.
type Delegate interface {
	// Meta returns what the others are told of this node: at most 512 bytes, for their Delegate.Present.
	Meta() []byte
	// Present says that a node, maybe this one, has become a member or has other Meta.
	Present(name string, gossip netip.AddrPort, meta []byte)
	// Gone says that a node is a member no longer.
	Gone(name string)
	// Conflict says that a node was seen, at another address, that has a member's name.
	Conflict(name string, gossip, other netip.AddrPort)
	// Gossiped takes what another node's Broadcasts returned. It may come twice, late, out of order, or not at all.
	Gossiped(b []byte)
	// Broadcasts returns what is to be sent in one packet: each takes overhead bytes besides its own, all together at most limit.
	Broadcasts(overhead, limit int) [][]byte
	// Serve serves a stream that another node has opened, and that has shown that its name is this, until it ends.
	Serve(name string, s Stream)
}

// A delegate is a Node's Delegate.
type delegate struct{ *Node }

var _ Delegate = delegate{}

func (d delegate) Meta() []byte { return d.about.Load().append(nil) }

func (d delegate) Present(name string, gossip netip.AddrPort, meta []byte) {
	d.members.present(name, gossip, meta)
}

func (d delegate) Gone(name string) { d.members.gone(name) }

func (d delegate) Conflict(name string, gossip, other netip.AddrPort) {
	d.members.conflict(name, gossip, other)
}

func (d delegate) Gossiped(b []byte) {
	if d.lane != nil {
		d.lane.gossiped(b)
	}
}

func (d delegate) Broadcasts(overhead, limit int) [][]byte {
	if d.lane == nil {
		return nil
	}
	return d.lane.queue.take(overhead, limit)
}

func (d delegate) Serve(name string, s Stream) { d.serve(name, s) }
