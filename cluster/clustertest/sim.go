package clustertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/starling-mail/starling/imapserver/imaptest"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/memory"
)

// A Result is what came of a seed.
type Result struct {
	Failures []string
	Sum      string // of all that went through the network and to the clients, with its times
	Log      string // if it was wanted
	Plan     string
}

// Run runs the simulation that seed stands for, with a log for people if verbose.
func Run(t *testing.T, seed uint64, verbose bool) (r Result) {
	t.Helper()
	cryptotest.SetGlobalRandom(t, seed)
	// The collector would change in which order goroutines go on.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	runtime.GC()
	synctest.Test(t, func(t *testing.T) {
		s := &sim{plan: newPlan(seed), log: newLog(verbose), taken: make(map[time.Duration]bool)}
		s.run()
		r = Result{Failures: s.failures, Sum: s.log.Sum(), Log: s.log.String(), Plan: s.plan.String()}
	})
	return r
}

// Replay runs a seed again, with a log for people. No two things happen at one moment, but one may wake several goroutines of a node, and when the
// machine is busy Go's scheduler may interrupt one that it has not interrupted before. Then it is tried again, so that the log is of the run with
// that sum.
func Replay(t *testing.T, seed uint64, sum string) (r Result) {
	t.Helper()
	for range 20 {
		if r = Run(t, seed, true); r.Sum == sum {
			break
		}
	}
	return r
}

// A sim is one simulation in progress.
type sim struct {
	plan    *plan
	log     *Log
	network *Network
	world   *memory.World
	truth   *truth
	users   []*user
	nodes   []*node
	clients []*client
	work    sync.WaitGroup // faults in progress

	stage   atomic.Int32
	slow    atomic.Int64 // the store's latency, if it is not the plan's
	chaosMu sync.Mutex

	mu       sync.Mutex
	failures []string
	taken    map[time.Duration]bool // moments at which a call of the store ends
}

// The stages of a simulation.
const (
	chaos   int32 = iota
	quiet         // nobody changes anything any more
	closing       // nobody connects any more
)

func (s *sim) quiet() bool { return s.stage.Load() >= quiet }
func (s *sim) ended() bool { return s.stage.Load() >= closing }

// fail notes that something is wrong.
func (s *sim) fail(who, format string, args ...any) {
	text := who + ": " + fmt.Sprintf(format, args...)
	s.log.add(who, "FAILURE %s", text)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.failures) < 10 {
		s.failures = append(s.failures, text)
	}
}

func (s *sim) setLatency(d time.Duration) func() {
	s.log.add("db", "takes up to %v", d)
	s.slow.Store(int64(d))
	return func() { s.slow.Store(0) }
}

func (s *sim) run() {
	if err := s.furnish(); err != nil {
		s.fail("sim", "%v", err)
		return
	}
	r := newRandom(s.plan.seed, "runner")
	for i := range s.plan.nodes {
		n := newNode(s, i+1)
		s.nodes = append(s.nodes, n)
	}
	for _, n := range s.nodes {
		time.Sleep(between(r, 0, 50*time.Millisecond))
		n.start()
	}
	s.populate(r)
	time.Sleep(between(r, 0, time.Second))
	s.schedule(r)
	s.settle()
	s.close()
}

// furnish makes users and mailboxes.
func (s *sim) furnish() (err error) {
	p := s.plan
	s.network = NewNetwork(p.seed, p.quality, p.gossipEvery, p.givenUp, s.log)
	s.world = memory.New(memory.Options{Seed: p.seed})
	ctx, store := context.Background(), s.world.Open(memory.Node{})
	if s.truth, err = newTruth(store); err != nil {
		return err
	}
	for i := range p.users {
		u := &user{name: fmt.Sprintf("user%d", i+1)}
		var more []mailstore.NewMailbox
		for k := range p.mailboxes - 1 {
			more = append(more, mailstore.NewMailbox{Name: fmt.Sprintf("Box%d", k+1)})
		}
		added, err := store.AddUser(ctx, mailbox.User{Name: u.name}, more)
		if err != nil {
			return err
		}
		infos, err := store.List(ctx, added.Account)
		if err != nil {
			return err
		}
		for _, info := range infos {
			b := &box{name: info.Name, id: info.ID, truth: s.truth.follow(info)}
			u.boxes = append(u.boxes, b)
			for range 5 {
				if err := deliver(store, b); err != nil {
					return err
				}
			}
		}
		s.users = append(s.users, u)
	}
	return nil
}

// deliver adds a message to a mailbox, as LMTP does.
func deliver(store *memory.Store, b *box) error {
	d, err := store.Receive(context.Background(), strings.NewReader("Subject: delivered\r\n\r\n"), 1<<20)
	if err != nil {
		return err
	}
	defer d.Discard()
	_, err = store.Append(context.Background(), b.id, []mailstore.Incoming{{Draft: d}})
	return err
}

// race delivers a message to a mailbox that somebody is about to open, by way of any node.
func (s *sim) race(r *rand.Rand, b *box) {
	i := s.one(r).instance()
	if s.ended() || i == nil {
		return
	}
	latency := max(s.plan.latency, 5*time.Millisecond)
	time.AfterFunc(between(r, 0, 3*latency), func() {
		if s.ended() {
			return
		}
		s.work.Go(func() {
			if err := deliver(i.store, b); err != nil {
				s.log.add(i.node.name, "does not deliver: %v", err)
			}
		})
	})
}

// populate lets the clients connect.
func (s *sim) populate(r *rand.Rand) {
	for i := range s.plan.workers + s.plan.idlers {
		c := &client{
			sim: s, user: s.users[i%len(s.users)], worker: i < s.plan.workers, qresync: r.IntN(3) == 0, pictures: make(map[string]*picture),
		}
		c.name = fmt.Sprintf("i%d", i+1)
		if c.worker {
			c.name = fmt.Sprintf("w%d", i+1)
		}
		c.rnd = newRandom(s.plan.seed, c.name)
		s.clients = append(s.clients, c)
		c.mu.Lock()
		c.later(between(r, 0, 100*time.Millisecond), c.connect)
		c.mu.Unlock()
	}
}

// schedule lets things go wrong, and ends it all.
func (s *sim) schedule(r *rand.Rand) {
	var undo []func()
	type item struct {
		at, length time.Duration
		f          fault
		rnd        *rand.Rand
	}
	var items []item
	for i := range s.plan.faults {
		items = append(items, item{
			between(r, 0, s.plan.chaos*9/10), between(r, 50*time.Millisecond, s.plan.chaos*2/3),
			anyFault(r), newRandom(s.plan.seed, fmt.Sprint("fault ", i)),
		})
	}
	for _, it := range items {
		time.AfterFunc(it.at, func() {
			end := it.f(s, it.rnd)
			var once sync.Once
			done := func() { once.Do(end) }
			s.chaosMu.Lock()
			defer s.chaosMu.Unlock()
			undo = append(undo, done)
			time.AfterFunc(it.length, done)
		})
	}
	time.Sleep(s.plan.chaos)
	synctest.Wait()
	s.stage.Store(quiet)
	s.log.add("sim", "the network is whole, and nobody begins to change anything")
	s.chaosMu.Lock()
	all := undo
	s.chaosMu.Unlock()
	for _, f := range all {
		f()
	}
	for _, n := range s.nodes {
		s.work.Go(n.restart)
	}
	for _, c := range s.clients {
		c.mu.Lock()
		if c.worker && c.idling {
			c.soon(c.wakeUp) // to find the place where it will idle
		}
		c.mu.Unlock()
	}
}

// settle waits until everybody idles and must have been told everything, and looks.
func (s *sim) settle() {
	whole := time.Now()
	if !s.await(20*time.Second, "idle", func(c *client) bool { return c.idling }) {
		return
	}
	for since := whole; ; {
		if last := s.truth.changed(); last.After(since) {
			since = last
		}
		time.Sleep(time.Until(since.Add(s.plan.settling())))
		synctest.Wait()
		if !s.truth.changed().After(since) { // else there was a late delivery
			break
		}
	}
	s.log.add("sim", "everybody must have been told everything")
	for _, c := range s.clients {
		c.mu.Lock()
		c.sees("idling")
		c.mu.Unlock()
	}
	// What they did not ask for while they idled is asked for now.
	for _, c := range s.clients {
		c.mu.Lock()
		c.tired = true
		c.script = append(c.script, c.learn)
		c.wakeUp()
		c.mu.Unlock()
	}
	if !s.await(20*time.Second, "idle again", func(c *client) bool { return c.idling && len(c.script) == 0 }) {
		return
	}
	for _, c := range s.clients {
		c.mu.Lock()
		c.sees("in the end")
		c.mu.Unlock()
	}
}

// await waits until all clients have done something.
func (s *sim) await(patience time.Duration, what string, done func(c *client) bool) bool {
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		synctest.Wait()
		var missing *client
		for _, c := range s.clients {
			c.mu.Lock()
			if !done(c) {
				missing = c
			}
			c.mu.Unlock()
		}
		if missing == nil {
			return true
		}
		if time.Now().After(end) {
			s.fail(missing.name, "does not become %s", what)
			return false
		}
	}
}

// close ends everything.
func (s *sim) close() {
	s.stage.Store(closing)
	s.log.end()
	s.work.Wait()
	for _, n := range s.nodes {
		s.work.Go(n.stop)
	}
	s.work.Wait()
	for _, c := range s.clients {
		c.mu.Lock()
		if c.act != nil {
			c.act.Stop()
		}
		c.mu.Unlock()
	}
}

// hangUp ends the connections to an instance that is gone.
func (s *sim) hangUp(i *instance) {
	for _, c := range s.clients {
		c.mu.Lock()
		var conn *imaptest.Conn
		if c.in == i {
			conn = c.conn
		}
		c.mu.Unlock()
		if conn != nil {
			conn.HangUp()
			c.ended(conn)
		}
	}
}

func (s *sim) stick(n *node, on bool) {
	for _, c := range s.clients {
		c.stick(n, on)
	}
}
