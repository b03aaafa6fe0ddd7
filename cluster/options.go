package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"time"

	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/eventbus/codec"
	"github.com/starling-mail/starling/mailbox"
)

// A Profile sets the times of gossip and streams for a kind of network.
type Profile string

// The profiles, as memberlist has them.
const (
	LAN   Profile = "lan"
	WAN   Profile = "wan"
	Local Profile = "local" // all nodes on one machine
)

// Lanes are the ways that events go to other nodes.
type Lanes uint8

// The lanes.
const (
	Streams    Lanes = 1 << iota // a stream to each other node: at once and in order
	Broadcasts                   // gossip: within some gossip intervals; needs no other port and no path between each two
)

func (l Lanes) has(one Lanes) bool { return l&one != 0 }

// DefaultPort is the port of gossip (UDP and TCP) where an address has none. That of streams is the next one.
const DefaultPort = 7946

// What Options mean that leave something out.
const (
	DefaultRepairInterval = 2 * time.Second
	DefaultInterestLinger = 30 * time.Second
	DefaultAnnounceWait   = 200 * time.Millisecond
	DefaultQueueLimit     = 64 << 10
	queueBytes            = 64 << 20 // of one queue; there is one for each other node
	feedPage              = 500      // events read from the feed at once
)

// Options of a Node.
type Options struct {
	// Name tells this node from the others: at most 63 lower-case letters, digits, hyphens and dots, no IP address.
	Name string
	// Cluster tells this cluster from others, even with the same keys. The same form.
	Cluster string
	// Keys are the cluster's secrets, the one in use first (see ParseKeys).
	Keys []Key
	// Version of the program, told to the others.
	Version string

	Gossip string // address to gossip on, host:port with a numeric host; port 0: a free one
	Stream string // address to take streams on, the same form; unused without that lane
	// The others reach this node by these addresses if they are set, of the same form but with a specific host. Needed where the ones
	// above are unspecified on a machine with several, or behind address translation.
	AdvertiseGossip, AdvertiseStream string

	// Join says where other nodes may be: host:port, host, srv:name of SRV records, or file:path of a file that has
	// such lines. All are tried every RejoinInterval as long as they are not members, so that parts of a cluster that were
	// separated find each other again. None: this node waits for others.
	Join           []string
	RejoinInterval time.Duration // 0: the profile's
	Resolver       Resolver      // nil: the system's

	Lanes      Lanes       // 0: both
	Profile    Profile     // empty: LAN
	Codec      codec.Codec // to send in, to nodes that read it; 0: MessagePack
	QueueLimit int         // events that wait for one other node; 0: DefaultQueueLimit

	// Interest: this node tells the others what it listens to, and to those that have told it, it sends only that. It needs the streams. Nodes
	// of both kinds go together: who tells nothing gets everything.
	Interest bool
	// InterestLinger is how much longer a node says that it listens to something; clients that come back soon make no difference
	// then. 0: DefaultInterestLinger.
	InterestLinger time.Duration
	// AnnounceWait is how long Announced waits for other nodes at most. 0: DefaultAnnounceWait.
	AnnounceWait time.Duration

	// Receiver takes what the others published. It is usually the Bus that this node's Send is connected to.
	Receiver eventbus.Receiver

	// Feed is the store's own log of events: what the streams lost is read there. Without it, the Receiver is
	// told of every loss, and of all that happened before a node was heard of.
	Feed Feed
	// RepairInterval is within what time after a loss everything is right again: the feed is read twice as often. 0:
	// DefaultRepairInterval.
	RepairInterval time.Duration

	// Network is what connects this node to the others; nil: gossip by memberlist and streams by TLS over TCP, on the addresses above.
	Network Network

	Log zerolog.Logger
}

// A Feed is what the cluster needs of a mailstore.Feed, whose Cursor is a string there.
type Feed interface {
	// End returns the cursor after the last committed event.
	End(ctx context.Context) (string, error)
	// Read returns up to limit events committed after the cursor, each mailbox's in order, and the cursor after them. An error
	// of kind mailbox.NonExistent says that the feed does not reach back so far, or is another one.
	Read(ctx context.Context, after string, limit int) ([]mailbox.Event, string, error)
}

// A Resolver looks names up in the DNS. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

var nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$`)

// CheckName says whether s may be the name of a node or a cluster.
func CheckName(s string) error {
	if !nameForm.MatchString(s) {
		return fmt.Errorf("name %q: want at most %d lower-case letters, digits, hyphens and dots, a letter or digit first and last", s, maxName)
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return fmt.Errorf("name %q: is an IP address", s)
	}
	return nil
}

// complete checks o and fills in what it leaves out.
func (o *Options) complete() error {
	var faults []error
	check := func(what string, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", what, err))
		}
	}
	check("node", CheckName(o.Name))
	check("cluster", CheckName(o.Cluster))
	check("keys", checkKeys(o.Keys))
	if o.Lanes == 0 {
		o.Lanes = Streams | Broadcasts
	}
	_, err := netip.ParseAddrPort(o.Gossip)
	check("gossip address", err)
	if o.Lanes.has(Streams) {
		_, err := netip.ParseAddrPort(o.Stream)
		check("stream address", err)
	}
	for what, address := range map[string]string{"advertised gossip address": o.AdvertiseGossip, "advertised stream address": o.AdvertiseStream} {
		if address == "" {
			continue
		}
		a, err := netip.ParseAddrPort(address)
		if err == nil && (a.Addr().IsUnspecified() || a.Port() == 0) {
			err = errors.New("nobody can reach it")
		}
		check(what, err)
	}
	if len(o.Version) > maxVersion {
		o.Version = o.Version[:maxVersion]
	}
	if o.Receiver == nil {
		faults = append(faults, errors.New("no receiver"))
	}
	if o.Profile == "" {
		o.Profile = LAN
	}
	if o.Profile != LAN && o.Profile != WAN && o.Profile != Local {
		faults = append(faults, fmt.Errorf("profile %q is none of lan, wan, local", o.Profile))
	}
	if o.Codec == 0 {
		o.Codec = codec.MessagePack
	}
	if o.Codec != codec.MessagePack && o.Codec != codec.JSON {
		faults = append(faults, fmt.Errorf("%s is unknown", o.Codec))
	}
	if o.QueueLimit <= 0 {
		o.QueueLimit = DefaultQueueLimit
	}
	if o.Interest && !o.Lanes.has(Streams) {
		faults = append(faults, errors.New("what nodes listen to is told by streams: interest needs that lane"))
	}
	if o.InterestLinger <= 0 {
		o.InterestLinger = DefaultInterestLinger
	}
	if o.AnnounceWait <= 0 {
		o.AnnounceWait = DefaultAnnounceWait
	}
	if o.RepairInterval <= 0 {
		o.RepairInterval = DefaultRepairInterval
	}
	if o.RejoinInterval <= 0 {
		o.RejoinInterval = timesOf[o.Profile].rejoin
	}
	if o.Resolver == nil {
		o.Resolver = new(net.Resolver)
	}
	return errors.Join(faults...)
}

// times are those of a profile that memberlist does not know.
type times struct {
	rejoin    time.Duration // between attempts to join who is not a member
	heartbeat time.Duration // between frames on an idle stream
	timeout   time.Duration // without a frame or an answer, the stream is broken
	gossip    time.Duration
}

var timesOf = map[Profile]times{
	LAN:   {rejoin: 10 * time.Second, heartbeat: time.Second, timeout: 5 * time.Second, gossip: 20 * time.Millisecond},
	WAN:   {rejoin: 30 * time.Second, heartbeat: 5 * time.Second, timeout: 20 * time.Second, gossip: 200 * time.Millisecond},
	Local: {rejoin: time.Second, heartbeat: time.Second, timeout: 5 * time.Second, gossip: 20 * time.Millisecond},
}
