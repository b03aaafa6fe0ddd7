package clustertest

import (
	"math/rand/v2"
	"time"
)

// A fault is something that goes wrong for a while: it begins, and the function that it returns ends it.
type fault func(s *sim, r *rand.Rand) (end func())

// anyFault draws one of all that can go wrong.
func anyFault(r *rand.Rand) fault {
	return pick[fault](r, oneWay, partition, partition3, flap, breakStreams, freeze, slowStore, noStore, noStoreForOne, forgetful,
		kill, kill, restart, restartAll)
}

func (s *sim) one(r *rand.Rand) *node { return s.nodes[r.IntN(len(s.nodes))] }

// two draws two nodes.
func (s *sim) two(r *rand.Rand) (a, b *node) {
	i := r.IntN(len(s.nodes))
	j := r.IntN(len(s.nodes) - 1)
	if j >= i {
		j++
	}
	return s.nodes[i], s.nodes[j]
}

// oneWay lets nothing pass from one node to another.
func oneWay(s *sim, r *rand.Rand) func() {
	a, b := s.two(r)
	s.cut(a, b, true)
	return func() { s.cut(a, b, false) }
}

func (s *sim) cut(a, b *node, on bool) {
	s.log.add("net", "%s to %s cut: %v", a.name, b.name, on)
	s.network.Cut(a.name, b.name, on)
}

// separate lets nothing pass between nodes of different parts.
func (s *sim) separate(parts []int, on bool) {
	for i, a := range s.nodes {
		for j, b := range s.nodes {
			if parts[i] != parts[j] {
				s.cut(a, b, on)
			}
		}
	}
}

func (s *sim) partition(r *rand.Rand, parts int) func() {
	of := make([]int, len(s.nodes))
	for i := range of {
		of[i] = r.IntN(parts)
	}
	s.separate(of, true)
	return func() { s.separate(of, false) }
}

func partition(s *sim, r *rand.Rand) func()  { return s.partition(r, 2) }
func partition3(s *sim, r *rand.Rand) func() { return s.partition(r, 3) }

// flap cuts a link again and again.
func flap(s *sim, r *rand.Rand) func() {
	a, b := s.two(r)
	over := false
	var turn func(on bool)
	turn = func(on bool) {
		s.chaosMu.Lock()
		defer s.chaosMu.Unlock()
		if over {
			return
		}
		s.cut(a, b, on)
		s.cut(b, a, on)
		if on {
			s.network.Break(a.name, b.name)
		}
		time.AfterFunc(between(r, 10*time.Millisecond, 200*time.Millisecond), func() { turn(!on) })
	}
	turn(true)
	return func() {
		s.chaosMu.Lock()
		defer s.chaosMu.Unlock()
		over = true
		s.cut(a, b, false)
		s.cut(b, a, false)
	}
}

// breakStreams resets the streams between two nodes.
func breakStreams(s *sim, r *rand.Rand) func() {
	a, b := s.two(r)
	s.log.add("net", "streams between %s and %s break", a.name, b.name)
	s.network.Break(a.name, b.name)
	return func() {}
}

func freeze(s *sim, r *rand.Rand) func() {
	n := s.one(r)
	n.freeze(true)
	return func() { n.freeze(false) }
}

// slowStore is a store that takes its time.
func slowStore(s *sim, r *rand.Rand) func() {
	return s.setLatency(between(r, 50*time.Millisecond, 400*time.Millisecond))
}

func noStore(s *sim, _ *rand.Rand) func() {
	for _, n := range s.nodes {
		n.reach(false)
	}
	return func() {
		for _, n := range s.nodes {
			n.reach(true)
		}
	}
}

func noStoreForOne(s *sim, r *rand.Rand) func() {
	n := s.one(r)
	n.reach(false)
	return func() { n.reach(true) }
}

// reach says whether a node can reach the store.
func (n *node) reach(on bool) {
	n.sim.log.add(n.name, "reaches the store: %v", on)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.unavailable = !on
}

func forgetful(s *sim, r *rand.Rand) func() {
	n := s.one(r)
	s.log.add(n.name, "will have its cursor refused")
	n.mu.Lock()
	defer n.mu.Unlock()
	n.forgetful = true
	return func() {}
}

// kill ends a node, which another instance follows.
func kill(s *sim, r *rand.Rand) func() {
	n, silently := s.one(r), r.IntN(2) == 0
	s.work.Go(func() { n.kill(silently) })
	return func() { s.work.Go(n.restart) }
}

// restart stops a node in order, and starts it again.
func restart(s *sim, r *rand.Rand) func() {
	n := s.one(r)
	s.work.Go(n.stop)
	return func() { s.work.Go(n.restart) }
}

func restartAll(s *sim, _ *rand.Rand) func() {
	for _, n := range s.nodes {
		s.work.Go(func() { n.kill(false) })
	}
	return func() {
		for _, n := range s.nodes {
			s.work.Go(n.restart)
		}
	}
}
