package admin

import (
	"context"
	"time"

	"github.com/starling-mail/starling/mailbox"
)

// A Cluster is what a node knows about its cluster. Counts begin with the
// node's start. Durations are nanoseconds in JSON.
type Cluster struct {
	Joined   bool          `json:"joined"`   // the node has found others, or need not
	Losses   uint64        `json:"losses"`   // times that events from others were missing, or might be
	Repairs  uint64        `json:"repairs"`  // times that the store's feed was read
	Repaired uint64        `json:"repaired"` // events that came from the feed alone
	Reloads  uint64        `json:"reloads"`  // times that the feed did not reach back, and all was loaded again
	FeedAge  time.Duration `json:"feed_age"` // since the feed was read to its end

	Refused   uint64     `json:"refused"`    // streams: no key, another cluster, another instance
	Conflicts uint64     `json:"conflicts"`  // times that another node was seen with a member's name
	Unsent    uint64     `json:"unsent"`     // events too large to be sent, counted for each receiver
	BusQueued int64      `json:"bus_queued"` // events that wait for listeners on this node
	Gossip    Broadcasts `json:"gossip"`

	Members []Member `json:"members"` // sorted by name
}

// Broadcasts are figures of the events that go by gossip.
type Broadcasts struct {
	Received uint64 `json:"received"`
	First    uint64 `json:"first"`   // events that no stream had brought before
	Dropped  uint64 `json:"dropped"` // for want of room, or because they could not be read
	Queued   int    `json:"queued"`  // that wait to be sent
}

// A Member is one node of a cluster, and what goes to and comes from it.
type Member struct {
	Name     string   `json:"name"`
	Self     bool     `json:"self,omitempty"` // the node that tells; what follows Keys is empty
	Instance string   `json:"instance"`       // tells this process from others of the name: 16 hexadecimal digits
	Gossip   string   `json:"gossip"`         // host:port
	Stream   string   `json:"stream"`         // host:port
	Version  string   `json:"version"`
	Draining bool     `json:"draining"` // it takes no new clients
	Keys     []string `json:"keys"`     // fingerprints of those that it has, the one in use first

	// To it.
	Sending   bool          `json:"sending"`    // the stream is open
	Connects  uint64        `json:"connects"`   // times that it was opened
	Codec     string        `json:"codec"`      // that is sent in
	RoundTrip time.Duration `json:"round_trip"` // of the last heartbeat; 0: there was none yet
	Queued    int           `json:"queued"`     // events that wait for it
	Sent      uint64        `json:"sent"`       // events
	NextSent  uint64        `json:"next_sent"`  // number of the next event to be sent
	Dropped   uint64        `json:"dropped"`    // events that there was no room for
	Withheld  uint64        `json:"withheld"`   // events that nobody there listens to

	// From it.
	Receiving    bool   `json:"receiving"`     // the stream is open
	Selective    bool   `json:"selective"`     // it has said what it listens to
	Received     uint64 `json:"received"`      // events
	NextReceived uint64 `json:"next_received"` // number of the next event to come
	Losses       uint64 `json:"losses"`        // times that events were missing, or might be
	Repeated     uint64 `json:"repeated"`      // frames that repeated what had come
	Unknown      uint64 `json:"unknown"`       // events of kinds that this version does not know
	Trailing     uint64 `json:"trailing"`      // events with fields that this version does not know
	Undecodable  uint64 `json:"undecodable"`   // frames that could not be read
}

// Cluster implements Control.
func (s *Service) Cluster(context.Context) (Cluster, error) {
	if s.Members == nil {
		return Cluster{}, &mailbox.Error{Kind: mailbox.Cannot, Op: "ask for the cluster", Text: "no server runs here that is in a cluster"}
	}
	return s.Members(), nil
}

// Cluster implements Control.
func (c *Client) Cluster(ctx context.Context) (out Cluster, err error) {
	return out, c.ask(ctx, "GET", "cluster", none{}, &out)
}
