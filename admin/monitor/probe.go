package monitor

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errSilent is what a probe says that has not ended in time.
var errSilent = errors.New("no answer in time")

// A probe asks one question on behalf of many: it is under way at most once, and its answer is good for a while. A question that never
// ends costs one goroutine, and everybody the timeout.
type probe struct {
	question      func(context.Context) error
	timeout, life time.Duration
	ctx           context.Context // ends with close
	cancel        context.CancelFunc

	mu      sync.Mutex
	running *answer // nil: none
	last    *answer // nil: none yet
}

// An answer is one, or will be one.
type answer struct {
	done chan struct{} // closed when the rest is set
	at   time.Time
	err  error
}

func newProbe(question func(context.Context) error, timeout, life time.Duration) *probe {
	p := &probe{question: question, timeout: timeout, life: life}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// close ends the question that is under way, and waits for it until ctx ends.
func (p *probe) close(ctx context.Context) error {
	p.cancel()
	p.mu.Lock()
	running := p.running
	p.mu.Unlock()
	if running == nil {
		return nil
	}
	select {
	case <-running.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ask returns the answer, if there is one in time.
func (p *probe) ask(ctx context.Context) error {
	a := p.current()
	timer := time.NewTimer(p.timeout)
	defer timer.Stop()
	select {
	case <-a.done:
		return a.err
	case <-timer.C:
		return errSilent
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// current returns the answer that is still good, or the one to come.
func (p *probe) current() *answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running != nil {
		return p.running
	}
	if p.last != nil && time.Since(p.last.at) < p.life {
		return p.last
	}
	a := &answer{done: make(chan struct{})}
	p.running = a
	go func() {
		ctx, cancel := context.WithTimeout(p.ctx, p.timeout)
		defer cancel()
		err := p.question(ctx)
		p.mu.Lock()
		defer p.mu.Unlock()
		a.at, a.err = time.Now(), err
		p.running, p.last = nil, a
		close(a.done)
	}()
	return a
}
