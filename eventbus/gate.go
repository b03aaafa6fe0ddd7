package eventbus

import "sync"

// A gate counts the work in progress, and lets no more in once it is shut.
type gate struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // made by shut, closed when n falls to 0
}

// enter begins a piece of work from outside, unless the gate is shut.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.idle != nil {
		return false
	}
	g.n++
	return true
}

// fork begins a piece of work that one already in progress gave rise to; that is possible even when the gate is shut.
func (g *gate) fork() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n++
}

// leave ends a piece of work.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n--; g.n == 0 && g.idle != nil {
		close(g.idle)
	}
}

// shut lets nothing more in and returns a channel that is closed when all work has ended.
func (g *gate) shut() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.idle == nil {
		g.idle = make(chan struct{})
		if g.n == 0 {
			close(g.idle)
		}
	}
	return g.idle
}
