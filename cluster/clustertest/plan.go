package clustertest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/starling-mail/starling/cluster"
	"github.com/starling-mail/starling/eventbus/codec"
)

// A plan is the arrangement that a seed stands for.
type plan struct {
	seed             uint64
	calm             bool // nothing goes wrong: then all is told at once
	nodes            int
	workers, idlers  int
	lanes            cluster.Lanes
	interest         bool
	linger           time.Duration // of interest
	codecs           []codec.Codec // of the nodes, in turn
	quality          Quality
	gossipEvery      time.Duration
	givenUp          time.Duration
	rejoin           time.Duration
	repairInterval   time.Duration
	queue, busQueue  int
	budget           int64
	latency          time.Duration // of the store, at most, as a rule
	think            time.Duration // of workers
	chaos            time.Duration // how long things happen
	faults           int
	users, mailboxes int
}

func newPlan(seed uint64) *plan {
	r := newRandom(seed, "plan")
	p := &plan{
		seed:           seed,
		calm:           r.IntN(6) == 0,
		nodes:          pick(r, 3, 3, 3, 5, 5, 9),
		lanes:          pick(r, cluster.Streams, cluster.Broadcasts, cluster.Streams|cluster.Broadcasts, cluster.Streams|cluster.Broadcasts),
		codecs:         pick(r, []codec.Codec{codec.MessagePack}, []codec.Codec{codec.JSON}, []codec.Codec{codec.MessagePack, codec.JSON}),
		gossipEvery:    between(r, 20*time.Millisecond, 80*time.Millisecond),
		givenUp:        between(r, time.Second, 3*time.Second),
		rejoin:         between(r, 500*time.Millisecond, 2*time.Second),
		repairInterval: 2 * time.Second,
		queue:          pick(r, 4, 64, 1024),
		busQueue:       pick(r, 16, 1024),
		budget:         pick(r, int64(1), 64<<20),
		latency:        pick(r, 0, 0, 2*time.Millisecond, 20*time.Millisecond, 60*time.Millisecond),
		think:          pick(r, 20*time.Millisecond, 100*time.Millisecond, 300*time.Millisecond),
		chaos:          between(r, 2*time.Second, pick[time.Duration](r, 5, 5, 5, 5, 5, 5, 5, 25)*time.Second),
		users:          pick(r, 1, 2),
		mailboxes:      pick(r, 1, 2, 2, 8),
	}
	p.quality = Quality{MinDelay: 50 * time.Microsecond, MaxDelay: pick(r, time.Millisecond, 20*time.Millisecond), LateDelay: 500 * time.Millisecond}
	p.interest, p.linger = p.lanes != cluster.Broadcasts && r.IntN(2) == 0, between(r, 50*time.Millisecond, 2*time.Second)
	p.workers, p.idlers = 2+r.IntN(3), 2+r.IntN(4)
	if !p.calm {
		p.faults = r.IntN(8)
		p.quality.Drop, p.quality.Repeat, p.quality.Late = pick(r, 0, 0.1, 0.5), pick(r, 0, 0.3), pick(r, 0, 0.3)
	}
	return p
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// String describes the arrangement.
func (p *plan) String() string {
	lanes := map[cluster.Lanes]string{cluster.Streams: "streams", cluster.Broadcasts: "broadcasts", cluster.Streams | cluster.Broadcasts: "both lanes"}[p.lanes]
	return fmt.Sprintf("seed %d: calm %v, %d nodes, %d workers and %d others on %d mailboxes of %d users, %s, interest %v, %v, %d faults in %v; %+v; store %v, think %v, gossip %v, given up %v, queues %d/%d",
		p.seed, p.calm, p.nodes, p.workers, p.idlers, p.mailboxes, p.users, lanes, p.interest, p.codecs, p.faults, p.chaos, p.quality, p.latency, p.think, p.gossipEvery, p.givenUp, p.queue, p.busQueue)
}

// settling is how long it may take after the last change, when the network is whole, until everybody was told.
func (p *plan) settling() time.Duration {
	if !p.calm {
		return p.repairInterval
	}
	wait := 10*p.quality.MaxDelay + 30*p.latency + 250*time.Millisecond
	if p.lanes == cluster.Broadcasts {
		wait += 12 * p.gossipEvery // nearly always enough for nine nodes
	}
	return wait
}
