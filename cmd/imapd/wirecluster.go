package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/admin"
	"github.com/starling-mail/starling/cluster"
	"github.com/starling-mail/starling/config"
	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/eventbus/codec"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// join makes this node a member of its cluster, if it is to be one. It comes
// before the first mailbox is opened: what others changed before is in the store, what they change
// from now on is told.
func (n *node) join(ctx context.Context, c *config.Config) error {
	if !c.Cluster.Enabled {
		return nil
	}
	member, err := newMember(c, n.bus, feed{n.store}, n.log)
	if err != nil {
		return err
	}
	disconnect := n.bus.Connect(member)
	if err := member.Start(ctx); err != nil {
		disconnect()
		return err
	}
	n.member = member
	n.admin.Members = n.cluster
	return nil
}

// newMember makes the node that the configuration describes; it does nothing yet.
func newMember(c *config.Config, r eventbus.Receiver, f cluster.Feed, log zerolog.Logger) (*cluster.Node, error) {
	l := &c.Cluster
	name, nameErr := nodeName(c)
	keys, keysErr := clusterKeys(c)
	encoding, codecErr := codec.Parse(l.Codec)
	if err := errors.Join(nameErr, keysErr, codecErr); err != nil {
		return nil, err
	}
	others := l.Join
	if l.JoinFile != "" {
		others = append(others[:len(others):len(others)], "file:"+l.JoinFile)
	}
	return cluster.New(cluster.Options{
		Name:            name,
		Cluster:         l.ClusterName,
		Keys:            keys,
		Version:         version,
		Gossip:          l.Gossip,
		Stream:          l.Stream,
		AdvertiseGossip: l.AdvertiseGossip,
		AdvertiseStream: l.AdvertiseStream,
		Join:            others,
		Profile:         cluster.Profile(l.Profile),
		Codec:           encoding,
		Lanes:           lanes(l),
		Interest:        l.Mode == config.ModeInterest,
		InterestLinger:  l.InterestLinger,
		AnnounceWait:    l.AnnounceWait,
		QueueLimit:      l.QueueLimit,
		Receiver:        r,
		Feed:            f,
		RepairInterval:  l.RepairInterval,
		Log:             log,
	})
}

func lanes(l *config.Cluster) (lanes cluster.Lanes) {
	if slices.Contains(l.Lanes, config.LaneStreams) {
		lanes |= cluster.Streams
	}
	if slices.Contains(l.Lanes, config.LaneBroadcast) {
		lanes |= cluster.Broadcasts
	}
	return lanes
}

// checkCluster finds what is wrong with the cluster's part of a configuration.
func checkCluster(c *config.Config) error {
	if !c.Cluster.Enabled {
		return nil
	}
	_, err := newMember(c, eventbus.New(eventbus.Options{}), nil, zerolog.Nop())
	return err
}

// nodeName is this node's name in its cluster.
func nodeName(c *config.Config) (string, error) {
	name := c.Cluster.Name
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return "", fmt.Errorf("cluster.name is empty and the system has none: %w", err)
		}
		name = strings.ToLower(host)
	}
	if err := cluster.CheckName(name); err != nil {
		return "", fmt.Errorf("cluster.name: %w", err)
	}
	return name, nil
}

func clusterKeys(c *config.Config) ([]cluster.Key, error) {
	b, err := os.ReadFile(c.Cluster.KeysFile)
	if err != nil {
		return nil, fmt.Errorf("cluster.keys_file: %w", err)
	}
	keys, err := cluster.ParseKeys(b)
	if err != nil {
		return nil, fmt.Errorf("cluster.keys_file: %s: %w", c.Cluster.KeysFile, err)
	}
	return keys, nil
}

// A feed is the store's, as the cluster takes it.
type feed struct{ store mailstore.Feed }

// End implements cluster.Feed.
func (f feed) End(ctx context.Context) (string, error) {
	c, err := f.store.FeedEnd(ctx)
	return string(c), err
}

// Read implements cluster.Feed.
func (f feed) Read(ctx context.Context, after string, limit int) ([]mailbox.Event, string, error) {
	events, c, err := f.store.ReadFeed(ctx, mailstore.Cursor(after), limit)
	return events, string(c), err
}

// cluster describes the cluster as this node sees it.
func (n *node) cluster() admin.Cluster {
	stats := n.member.Stats()
	peers := make(map[string]cluster.PeerStats)
	for _, p := range stats.Peers {
		peers[p.Name] = p
	}
	out := admin.Cluster{
		Joined: stats.Joined, Losses: stats.Losses, Repairs: stats.Repairs, Repaired: stats.Repaired, Reloads: stats.Reloads, FeedAge: stats.FeedAge,
		Refused: stats.Refused, Conflicts: stats.Conflicts, Unsent: stats.Unsent, BusQueued: n.bus.Stats().Queued,
		Gossip: admin.Broadcasts{Received: stats.Gossiped, First: stats.GossipTold, Dropped: stats.GossipMissed, Queued: stats.GossipQueued},
	}
	for _, m := range n.member.Members() {
		p := peers[m.Name]
		keys := make([]string, len(m.Keys))
		for i, k := range m.Keys {
			keys[i] = k.String()
		}
		out.Members = append(out.Members, admin.Member{
			Name: m.Name, Self: m.Self, Instance: fmt.Sprintf("%016x", m.Instance), Gossip: m.Gossip.String(), Stream: m.Stream,
			Version: m.Version, Draining: m.Draining, Keys: keys,

			Sending: p.Connected, Connects: p.Connects, Codec: p.Codec, RoundTrip: p.RoundTrip, Queued: p.Queued,
			Sent: p.Sent, NextSent: p.NextSent, Dropped: p.Dropped, Withheld: p.Withheld,

			Receiving: p.Receiving, Selective: p.Selective, Received: p.Received, NextReceived: p.Next, Losses: p.Losses,
			Repeated: p.Repeated, Unknown: p.Unknown, Trailing: p.Trailing, Undecodable: p.Undecodable,
		})
	}
	return out
}
