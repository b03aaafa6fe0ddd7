package admin

import (
	"context"
	"time"

	"github.com/starling-mail/starling/mailbox"
)

// A Cluster is what a node knows about its cluster. Counts begin with the
// node's start.
type Cluster struct {
	Joined   bool          `json:"joined"`   // the node has found others, or need not
	Losses   uint64        `json:"losses"`   // times that events from others were missing, or might be
	Repairs  uint64        `json:"repairs"`  // times that the store's feed was read
	Repaired uint64        `json:"repaired"` // events that came from the feed alone
	Reloads  uint64        `json:"reloads"`  // times that the feed did not reach back, and all was loaded again
	FeedAge  time.Duration `json:"feed_age"` // since the feed was read to its end
	Members  []Member      `json:"members"`  // sorted by name
}

// A Member is one node of a cluster, and what goes to and comes from it.
type Member struct {
	Name    string `json:"name"`
	Self    bool   `json:"self,omitempty"` // the node that tells; what follows Version is empty
	Gossip  string `json:"gossip"`         // host:port
	Stream  string `json:"stream"`         // host:port
	Version string `json:"version"`

	Sending   bool          `json:"sending"`    // the stream to it is open
	Receiving bool          `json:"receiving"`  // the stream from it is open
	RoundTrip time.Duration `json:"round_trip"` // of the last heartbeat; 0: there was none yet
	Queued    int           `json:"queued"`     // events that wait for it
	Sent      uint64        `json:"sent"`       // events
	Dropped   uint64        `json:"dropped"`    // events that there was no room for
	Received  uint64        `json:"received"`   // events
	Losses    uint64        `json:"losses"`     // times that events from it were missing, or might be
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
