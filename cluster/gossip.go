package cluster

import (
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/rs/zerolog"
)

// gossipConfig returns memberlist's configuration, but for the delegates.
func gossipConfig(o *Options, keyring *memberlist.Keyring, t *gossipTransport, logger *log.Logger) *memberlist.Config {
	var c *memberlist.Config
	switch o.Profile {
	case WAN:
		c = memberlist.DefaultWANConfig()
	case Local:
		c = memberlist.DefaultLocalConfig()
		// No other machine can be slow: who is gone is seen within a few seconds.
		c.ProbeInterval, c.SuspicionMaxTimeoutMult = 500*time.Millisecond, 2
	default:
		c = memberlist.DefaultLANConfig()
	}
	c.Name = o.Name
	c.Label = "starling/" + o.Cluster // authenticated with every packet: clusters with one key do not mix
	c.Keyring = keyring
	c.Transport = t
	c.Logger = logger
	c.GossipInterval = timesOf[o.Profile].gossip
	// LZW makes what is encrypted longer and tells an attacker about it.
	c.EnableCompression = false
	// A node that comes back with another address, as containers do, need not wait until it is forgotten.
	c.DeadNodeReclaimTime = 5 * time.Second
	bound, _ := netip.ParseAddrPort(o.Gossip) // complete has checked both
	c.BindAddr, c.BindPort = bound.Addr().String(), t.GetAutoBindPort()
	c.AdvertisePort = c.BindPort
	if a, err := netip.ParseAddrPort(o.AdvertiseGossip); err == nil {
		c.AdvertiseAddr, c.AdvertisePort = a.Addr().String(), int(a.Port())
	}
	return c
}

// A gossipTransport is memberlist's own, whose connections end with a context: otherwise closing would wait for their time-outs.
type gossipTransport struct {
	*memberlist.NetTransport
	ctx context.Context
}

func newGossipTransport(ctx context.Context, o *Options, logger *log.Logger) (*gossipTransport, error) {
	bound, err := netip.ParseAddrPort(o.Gossip)
	if err != nil {
		return nil, err
	}
	config := &memberlist.NetTransportConfig{BindAddrs: []string{bound.Addr().String()}, BindPort: int(bound.Port()), Logger: logger}
	t, err := memberlist.NewNetTransport(config)
	// A port that is free for TCP need not be for UDP.
	for try := 0; err != nil && bound.Port() == 0 && try < 10; try++ {
		t, err = memberlist.NewNetTransport(config)
	}
	return &gossipTransport{t, ctx}, err
}

// DialTimeout implements memberlist.Transport.
func (t *gossipTransport) DialTimeout(address string, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout}
	c, err := d.DialContext(t.ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &gossipConn{c, context.AfterFunc(t.ctx, func() { c.Close() })}, nil
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (t *gossipTransport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(a.Addr, timeout)
}

type gossipConn struct {
	net.Conn
	release func() bool
}

func (c *gossipConn) Close() error {
	c.release()
	return c.Conn.Close()
}

// A gossipDelegate is what memberlist asks and tells about a node. It does so in its loops, partly with its own lock held: nothing here waits or
// calls it.
type gossipDelegate struct{ d Delegate }

// NodeMeta implements memberlist.Delegate.
func (g gossipDelegate) NodeMeta(limit int) []byte {
	b := g.d.Meta()
	if len(b) > limit { // memberlist would panic
		return nil
	}
	return b
}

// NotifyMsg implements memberlist.Delegate.
func (g gossipDelegate) NotifyMsg(b []byte) { g.d.Gossiped(b) }

// GetBroadcasts implements memberlist.Delegate.
func (g gossipDelegate) GetBroadcasts(overhead, limit int) [][]byte {
	return g.d.Broadcasts(overhead, limit)
}

// LocalState implements memberlist.Delegate.
func (gossipDelegate) LocalState(bool) []byte { return nil }

// MergeRemoteState implements memberlist.Delegate.
func (gossipDelegate) MergeRemoteState([]byte, bool) {}

// NotifyJoin implements memberlist.EventDelegate.
func (g gossipDelegate) NotifyJoin(n *memberlist.Node) { g.d.Present(n.Name, addressOf(n), n.Meta) }

// NotifyUpdate implements memberlist.EventDelegate.
func (g gossipDelegate) NotifyUpdate(n *memberlist.Node) { g.d.Present(n.Name, addressOf(n), n.Meta) }

// NotifyLeave implements memberlist.EventDelegate.
func (g gossipDelegate) NotifyLeave(n *memberlist.Node) { g.d.Gone(n.Name) }

// NotifyConflict implements memberlist.ConflictDelegate.
func (g gossipDelegate) NotifyConflict(existing, other *memberlist.Node) {
	g.d.Conflict(existing.Name, addressOf(existing), addressOf(other))
}

// addressOf returns where a node gossips; invalid if memberlist has been told nonsense.
func addressOf(n *memberlist.Node) netip.AddrPort {
	ip, ok := netip.AddrFromSlice(n.Addr)
	if !ok {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ip.Unmap(), n.Port)
}

// newGossipLogger returns a logger for memberlist, whose lines begin with their level. When ctx has ended, gossip is being closed: that it
// fails then is not worth a line.
func newGossipLogger(ctx context.Context, l zerolog.Logger) *log.Logger {
	return log.New(&gossipLog{ctx, l}, "", 0)
}

type gossipLog struct {
	ctx context.Context
	log zerolog.Logger
}

var _ io.Writer = (*gossipLog)(nil)

// Write logs one line.
func (g *gossipLog) Write(p []byte) (int, error) {
	const limit = 1 << 10 // a line may hold what came from the network
	line := string(bytes.TrimSpace(p[:min(len(p), limit)]))
	level := zerolog.InfoLevel
	for prefix, l := range map[string]zerolog.Level{"[DEBUG]": zerolog.DebugLevel, "[INFO]": zerolog.InfoLevel, "[WARN]": zerolog.WarnLevel, "[ERR]": zerolog.ErrorLevel, "[ERROR]": zerolog.ErrorLevel} {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			level, line = l, strings.TrimSpace(rest)
			break
		}
	}
	if g.ctx.Err() != nil {
		level = zerolog.DebugLevel
	}
	g.log.WithLevel(level).Str("from", "memberlist").Msg(strings.TrimPrefix(line, "memberlist: "))
	return len(p), nil
}
