package clustertest

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/auth"
	"github.com/starling-mail/starling/cluster"
	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/imapserver"
	"github.com/starling-mail/starling/imapserver/imaptest"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/memory"
	"github.com/starling-mail/starling/tracker"
)

// A node is one whole node: everything that cmd/imapd puts together, but for the network and the store. It may be started, stopped and killed
// several times; each time it is another instance.
type node struct {
	sim    *sim
	name   string
	number int
	rnd    *rand.Rand // of whoever starts it

	mu          sync.Mutex
	cond        *sync.Cond // of mu
	up          *instance  // nil while it is down
	frozen      bool
	stopped     int       // calls of the store that were stopped by that
	unavailable bool      // the store cannot be reached
	refused     time.Time // when the store was last found so
	forgetful   bool      // the feed refuses the next cursor
	busy        bool      // it is being started, or stopped in order
}

// An instance is a node's life from start to end.
type instance struct {
	node     *node
	dead     chan struct{} // closed when it is killed
	store    *memory.Store
	bus      *eventbus.Bus
	member   *cluster.Node
	endpoint *Endpoint
	trackers *tracker.Set
	server   *imapserver.Server
	listener *imaptest.Listener
	served   chan error
	unlink   func()
	last     time.Time       // when something was published; of publish, which is called in order
	workers  map[string]bool // that were ever connected; guarded by node.mu
}

func newNode(s *sim, number int) *node {
	n := &node{sim: s, name: fmt.Sprintf("n%d", number), number: number}
	n.rnd = newRandom(s.plan.seed, "node "+n.name)
	n.cond = sync.NewCond(&n.mu)
	return n
}

// start starts an instance.
func (n *node) start() {
	s := n.sim
	i := &instance{node: n, dead: make(chan struct{}), listener: imaptest.NewListener(), served: make(chan error, 1), workers: make(map[string]bool)}
	log := s.zerolog(n.name)
	i.bus = eventbus.New(eventbus.Options{QueueLimit: s.plan.busQueue, Log: log})
	i.store = s.world.Open(memory.Node{Publish: i.publish, Hook: i.hook})
	i.endpoint = s.network.Endpoint(n.name, n.number)
	o := cluster.Options{
		Name: n.name, Cluster: "sim", Keys: []cluster.Key{{1}}, Version: "sim",
		Gossip: addressOf(n.number).String(), Stream: addressOf(n.number).String(),
		RejoinInterval: s.plan.rejoin, Lanes: s.plan.lanes, Interest: s.plan.interest, InterestLinger: s.plan.linger, Codec: s.plan.codecs[(n.number-1)%len(s.plan.codecs)], QueueLimit: s.plan.queue,
		Receiver: i.bus, Feed: feed{i}, RepairInterval: s.plan.repairInterval, Network: i.endpoint, Log: log,
	}
	for other := 1; other <= s.plan.nodes; other++ {
		o.Join = append(o.Join, addressOf(other).String())
	}
	var err error
	if i.member, err = cluster.New(o); err != nil {
		s.fail(n.name, "cluster.New: %v", err)
		return
	}
	i.unlink = i.bus.Connect(i.member)
	// A store that cannot be reached now may be in a moment; imapd would be started again.
	if err = i.member.Start(context.Background()); err != nil {
		s.log.add(n.name, "cannot start: %v", err)
		i.unlink()
		s.endBus(i.bus)
		time.Sleep(between(n.rnd, 100*time.Millisecond, 200*time.Millisecond))
		if !s.ended() {
			n.start()
		}
		return
	}
	i.trackers = tracker.New(tracker.Options{Store: i.store, Bus: i.bus, Budget: s.plan.budget, Log: log})
	settings := imapserver.DefaultSettings()
	i.server, err = imapserver.New(imapserver.Options{Store: i.store, Trackers: i.trackers, Auth: everybody{i.store}, Settings: settings, Log: log})
	if err != nil {
		s.fail(n.name, "imapserver.New: %v", err)
		return
	}
	go func() {
		i.served <- i.server.Serve(context.Background(), i.listener, imapserver.ListenerOptions{PlaintextAuth: imapserver.PlaintextAlways})
	}()
	s.log.add(n.name, "starts")
	n.mu.Lock()
	n.up = i
	n.mu.Unlock()
}

// alone says whether not more than one worker was ever connected.
func (i *instance) alone() bool {
	i.node.mu.Lock()
	defer i.node.mu.Unlock()
	return len(i.workers) <= 1
}

// held says whether the store could not be reached at some time since: then news may be told later than they should be.
func (i *instance) held(since time.Time) bool {
	i.node.mu.Lock()
	defer i.node.mu.Unlock()
	return !i.node.refused.Before(since)
}

// publish gives the node's bus what the node has committed.
func (i *instance) publish(events []mailbox.Event) {
	// What waited for the one before follows a moment later: no two things should happen at one moment.
	if now := time.Now(); !now.After(i.last) {
		time.Sleep(i.last.Sub(now) + time.Microsecond)
	}
	i.last = time.Now()
	i.node.sim.truth.published(i.node.name, events)
	i.bus.Publish(events)
}

// instance returns the one that is up, or nil.
func (n *node) instance() *instance {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.up
}

// take takes the instance that is up, which is down then; nil if none is.
func (n *node) take(busy bool) *instance {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := n.up
	n.up = nil
	n.busy = n.busy || busy && i != nil
	return i
}

// rest says that the node is no longer busy.
func (n *node) rest() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.busy = false
	n.cond.Broadcast()
}

// stop ends the instance as SIGTERM does.
func (n *node) stop() {
	i := n.take(true)
	if i == nil {
		return
	}
	n.sim.log.add(n.name, "stops")
	i.end(10 * time.Second)
	n.rest()
}

// restart starts the node if it is down.
func (n *node) restart() {
	n.mu.Lock()
	for n.busy {
		n.cond.Wait()
	}
	down := n.up == nil
	n.busy = down
	n.mu.Unlock()
	if down {
		time.Sleep(between(n.rnd, 0, 30*time.Millisecond)) // not all at one moment
		n.start()
		n.rest()
	}
}

// kill ends the instance as SIGKILL does or, silently, the loss of the machine: from this moment on nothing of it reaches anybody.
func (n *node) kill(silently bool) {
	i := n.take(false)
	if i == nil {
		return
	}
	n.sim.log.add(n.name, "is killed (silently: %v)", silently)
	n.sim.network.Kill(n.name, silently)
	close(i.dead)
	n.cond.Broadcast()
	n.sim.hangUp(i)
	i.end(0)
}

// end ends all parts, in the order of imapd. patience 0: nothing is told to anybody.
func (i *instance) end(patience time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := i.server.Shutdown(ctx); err != nil && patience > 0 {
		i.node.sim.log.add(i.node.name, "shutdown: %v", err)
	}
	<-i.served
	i.trackers.Close()
	i.unlink()
	i.member.Close(ctx)
	i.node.sim.endBus(i.bus)
	i.store.Close()
}

func (s *sim) endBus(b *eventbus.Bus) { b.Close(context.Background()) }

// freeze stops the node's process for a while, or lets it go on.
func (n *node) freeze(on bool) {
	n.sim.log.add(n.name, "frozen: %v", on)
	n.mu.Lock()
	n.frozen = on
	n.mu.Unlock()
	n.sim.network.Freeze(n.name, on)
	n.sim.stick(n, on)
	n.cond.Broadcast()
}

// hook disturbs the calls of the store.
func (i *instance) hook(ctx context.Context, step memory.Step, op string) error {
	n := i.node
	if d := n.sim.alone(n.sim.latency(n.name, step, op)); d > 0 {
		n.sim.log.add(n.name, "%s takes %v", op, d)
		t := time.NewTimer(d)
		select {
		case <-t.C:
		case <-ctx.Done():
		case <-i.dead:
		}
		t.Stop()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.frozen && n.up == i {
		n.stopped++
		turn := time.Duration(n.stopped) * time.Microsecond
		for n.frozen && n.up == i {
			n.cond.Wait()
		}
		n.mu.Unlock()
		time.Sleep(turn)
		n.mu.Lock()
	}
	select {
	case <-i.dead:
		return errDead
	default:
	}
	if n.unavailable && step == memory.Before {
		n.refused = time.Now()
		return &mailbox.Error{Kind: mailbox.Unavailable, Op: op, Text: "no connection"}
	}
	if n.forgetful && op == "ReadFeed" && step == memory.Before {
		n.forgetful = false
		return &mailbox.Error{Kind: mailbox.NonExistent, Op: op, Text: "the feed was trimmed"}
	}
	return nil
}

var errDead = &mailbox.Error{Kind: mailbox.Unavailable, Op: "store", Text: "the node is dead"}

// latency returns how long a call of the store takes. It depends on what is asked and when, not on how many ask.
func (s *sim) latency(node string, step memory.Step, op string) time.Duration {
	if op == "ClaimRecent" {
		return 0 // who is first of those that are told at one moment is chance
	}
	limit := max(s.plan.latency, time.Duration(s.slow.Load()))
	if limit == 0 {
		return 0
	}
	h := fnv.New64a()
	fmt.Fprint(h, s.plan.seed, node, step, op, time.Since(s.log.start))
	r := newRandom(h.Sum64(), "latency")
	if r.IntN(20) == 0 {
		return between(r, 0, 5*limit)
	}
	return between(r, 0, limit)
}

// alone returns d, or a bit more, so that no other call ends at that moment: a bubble lets timers of one moment run in any order.
func (s *sim) alone(d time.Duration) time.Duration {
	if d == 0 {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Since(s.log.start)
	for s.taken[now+d] {
		d++
	}
	s.taken[now+d] = true
	return d
}

// A feed is the store's, as the cluster takes it.
type feed struct{ i *instance }

// End implements cluster.Feed.
func (f feed) End(ctx context.Context) (string, error) {
	c, err := f.i.store.FeedEnd(ctx)
	return string(c), err
}

// Read implements cluster.Feed.
func (f feed) Read(ctx context.Context, after string, limit int) ([]mailbox.Event, string, error) {
	events, c, err := f.i.store.ReadFeed(ctx, mailstore.Cursor(after), limit)
	return events, string(c), err
}

// everybody lets everybody in who is in the store.
type everybody struct{ store mailstore.Store }

// Mechanisms implements imapserver.Authenticator.
func (everybody) Mechanisms() []string { return auth.Mechanisms() }

// LoginAs implements imapserver.Authenticator.
func (a everybody) LoginAs(ctx context.Context, _ netip.Addr, c auth.Credentials) (mailbox.User, error) {
	return a.store.User(ctx, c.User)
}

func (s *sim) zerolog(node string) zerolog.Logger {
	if !s.log.verbose {
		return zerolog.Nop()
	}
	return zerolog.New(logWriter{s.log, node}).Level(zerolog.DebugLevel)
}

// A logWriter writes a node's own log into the simulation's.
type logWriter struct {
	log  *Log
	node string
}

func (w logWriter) Write(b []byte) (int, error) {
	w.log.add(w.node, "log %s", b)
	return len(b), nil
}
