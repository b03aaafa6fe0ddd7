package probe

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Options say what to probe. All times must be positive, except Interval.
type Options struct {
	Nodes          []Node // two or more
	User, Password string // the same on all nodes

	// Mailbox is made for the probe, and deleted after it; a probe refuses one that
	// exists. Empty: one with a random name.
	Mailbox string

	Count      int           // rounds: each node changes, and each other one is waited for; 0: until ctx ends
	Interval   time.Duration // from the end of a round to the next
	Timeout    time.Duration // for connecting, and for each answer of a server
	Wait       time.Duration // for being told of a change; then it is missing
	MaxLatency time.Duration // what is told later is late
	Poll       time.Duration // how often a server without IDLE is asked

	TLS *tls.Config // nil: the system's authorities, and the nodes' own names

	// Each is called with each sample as it comes, Round after each round, if they are
	// set; by the goroutine of Run, which waits for them.
	Each  func(Sample)
	Round func()
}

// DefaultOptions returns Options without nodes and user.
func DefaultOptions() Options {
	return Options{
		Count: 5, Interval: time.Second, Timeout: 10 * time.Second,
		Wait: 10 * time.Second, MaxLatency: 5 * time.Second, Poll: time.Second,
	}
}

// Run probes until it has done its rounds, ctx has ended or a connection fails. The report has
// what was measured until then. An error says that the probe could not be made or could
// not go on, not that something was told late; that ctx has ended is none once something was measured. Everything that Run
// has made on the servers is gone when it returns, or the error says what is not.
func Run(ctx context.Context, o Options) (Report, error) {
	if len(o.Nodes) < 2 {
		return Report{}, errors.New("a probe needs two nodes")
	}
	p := &prober{o: o, box: o.Mailbox}
	if p.box == "" {
		p.box = "imapd-probe-" + strings.ToLower(rand.Text()[:10])
	}
	err := p.open(ctx)
	rounds := 0
	for err == nil && (o.Count == 0 || rounds < o.Count) {
		if rounds > 0 {
			err = sleep(ctx, o.Interval)
		}
		if err == nil {
			err = p.round(ctx)
		}
		if err == nil {
			rounds++
			if o.Round != nil {
				o.Round()
			}
		}
	}
	if ctx.Err() != nil { // what fails now fails for that
		err = nil
		if len(p.samples.list) == 0 {
			err = fmt.Errorf("ended before anything was measured: %w", context.Cause(ctx))
		}
	}
	// The end of ctx is no reason to leave anything behind.
	err = errors.Join(err, p.close(context.WithoutCancel(ctx)))
	return Report{Rounds: rounds, Figures: p.samples.figures()}, err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A prober is a running probe.
type prober struct {
	o       Options
	box     string
	made    bool // the mailbox is there, and ours
	conns   []*conn
	samples collection
}

// open logs in everywhere and opens the mailbox.
func (p *prober) open(ctx context.Context) error {
	for _, n := range p.o.Nodes {
		c, err := dial(ctx, &p.o, n)
		if err != nil {
			return err
		}
		p.conns = append(p.conns, c)
	}
	if err := p.conns[0].create(p.box); err != nil {
		return err
	}
	p.made = true
	for _, c := range p.conns {
		if err := p.selectBox(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// selectBox opens the mailbox, which a node may not know of yet.
func (p *prober) selectBox(ctx context.Context, c *conn) error {
	end := time.Now().Add(p.o.Wait)
	for {
		err := c.selectBox(p.box)
		if _, refused := errors.AsType[*refusal](err); !refused || time.Now().After(end) {
			return err
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// round measures from each node to each other one.
func (p *prober) round(ctx context.Context) error {
	for _, from := range p.conns {
		for _, to := range p.conns {
			if from == to {
				continue
			}
			x := exchange{p: p, from: from, to: to, mail: probeMail{"<" + strings.ToLower(rand.Text()) + "@" + domain + ">"}}
			if err := x.run(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *prober) add(s Sample) {
	p.samples.add(s)
	if p.o.Each != nil {
		p.o.Each(s)
	}
}

// close deletes the mailbox and ends the connections.
func (p *prober) close(ctx context.Context) (err error) {
	if p.made {
		err = p.remove(ctx)
	}
	for _, c := range p.conns {
		c.logout()
	}
	return err
}

// remove deletes the mailbox on the first node that does it, over a new
// connection where the old one is gone.
func (p *prober) remove(ctx context.Context) error {
	for _, c := range p.conns {
		c.unselect() // it may be gone; and some servers do not delete what is selected
	}
	for _, c := range p.conns {
		if c.delete(p.box) == nil {
			return nil
		}
	}
	var errs []error
	for _, n := range p.o.Nodes {
		c, err := dial(ctx, &p.o, n)
		if err == nil {
			err = c.delete(p.box)
			c.logout()
		}
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("the mailbox %s of %s is left behind: %w", p.box, p.o.User, errors.Join(errs...))
}
