package monitor

import (
	"github.com/starling-mail/starling/cluster"
)

func collectCluster(e emitter, s cluster.Stats) {
	e.is("cluster_joined", "1 when this node has tried to reach everybody whom it should join.", s.Joined)
	e.gauge("cluster_members", "Nodes that gossip knows of now, this one included.", float64(s.Members))
	e.counter("cluster_malformed_total", "Members whose metadata were not understood.", s.Malformed)
	e.counter("cluster_conflicts_total", "Times that another node was seen with a member's name.", s.Conflicts)
	e.counter("cluster_refused_total", "Streams refused in either direction: no key, another cluster, another instance.", s.Refused)
	e.counter("cluster_too_large_total", "Frames over the limit, which ended their streams.", s.TooLarge)
	e.counter("cluster_unsent_total", "Events too large for a frame, counted for each receiver.", s.Unsent)
	e.counter("cluster_losses_total", "Times that events from others were found missing, or might be.", s.Losses)

	e.counter("feed_reads_total", "Times that the store's feed was read.", s.Repairs)
	e.counter("feed_events_total", "Events that came from the feed alone: no lane brought them.", s.Repaired)
	e.counter("feed_reloads_total", "Times that the feed did not reach back, and everything was loaded again.", s.Reloads)
	e.gauge("feed_lag_seconds", "Time since the feed was last read to its end.", s.FeedAge.Seconds())

	e.counter("gossip_received_total", "Broadcasts that came.", s.Gossiped)
	e.counter("gossip_first_total", "Events that came by gossip before a stream brought them.", s.GossipTold)
	e.counter("gossip_dropped_total", "Broadcasts that there was no room for, in either direction, or that could not be read.", s.GossipMissed)
	e.gauge("gossip_queued", "Broadcasts that wait to be sent now.", float64(s.GossipQueued))

	for _, p := range s.Peers {
		e.is("lane_sending", "1 while the stream to the peer is open.", p.Connected, "peer", p.Name)
		e.is("lane_receiving", "1 while the stream from the peer is open.", p.Receiving, "peer", p.Name)
		e.counter("lane_connects_total", "Times that the stream to the peer was opened.", p.Connects, "peer", p.Name)
		e.gauge("lane_round_trip_seconds", "Round trip of the last heartbeat on the stream to the peer; 0: there was none.", p.RoundTrip.Seconds(), "peer", p.Name)
		e.counter("lane_sent_total", "Events sent to the peer.", p.Sent, "peer", p.Name)
		e.counter("lane_received_total", "Events that the stream from the peer brought.", p.Received, "peer", p.Name)
		e.gauge("lane_queued", "Events that wait for the peer now.", float64(p.Queued), "peer", p.Name)
		e.counter("lane_dropped_total", "Events for the peer that there was no room for.", p.Dropped, "peer", p.Name)
		e.counter("lane_withheld_total", "Events not sent to the peer because nobody there listens to them.", p.Withheld, "peer", p.Name)
		e.is("lane_selective", "1 when the peer has said what it listens to, and is sent only that.", p.Selective, "peer", p.Name)
		e.counter("lane_losses_total", "Times that events from the peer were found missing, or might be.", p.Losses, "peer", p.Name)
		e.counter("lane_repeated_total", "Frames from the peer that repeated what had come.", p.Repeated, "peer", p.Name)
		e.counter("lane_unknown_total", "Events from the peer of kinds that this version does not know.", p.Unknown, "peer", p.Name)
		e.counter("lane_trailing_total", "Events from the peer with fields that this version does not know.", p.Trailing, "peer", p.Name)
		e.counter("lane_undecodable_total", "Frames from the peer that could not be read.", p.Undecodable, "peer", p.Name)
	}
}
