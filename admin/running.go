package admin

import (
	"context"
	"time"

	"github.com/starling-mail/starling/mailbox"
)

// A Runner is a running server, as far as it can be told what to do.
type Runner interface {
	// DrainDefaults returns how the server is drained unless somebody says otherwise.
	DrainDefaults() Drain
	// Drain takes the clients off the server, for it to be stopped or left alone, and calls report with each step. First it says that it is
	// not ready, to load balancers and to the other nodes; after the delay it takes no more connections and mail; then it says BYE
	// to its clients, in groups. What is under way is finished. When ctx ends, the clients that are left stay, but nobody
	// new comes in. Kind InUse: a Drain is under way.
	Drain(ctx context.Context, d Drain, report func(DrainStep)) error
	// Admit ends a Drain, or undoes it: clients are welcome again.
	Admit(ctx context.Context) error
	// Stop has the server end as SIGTERM does. It does not wait.
	Stop()

	Keyring
}

// A Drain says how clients are taken off a server.
type Drain struct {
	Delay time.Duration `json:"delay"` // until connections are refused: load balancers must have seen by then that the node is not ready
	Group int           `json:"group"` // clients that are told BYE at once
	Every time.Duration `json:"every"` // between groups
}

// A DrainStep is what a Drain has done.
type DrainStep struct {
	Phase DrainPhase `json:"phase"`
	Left  int        `json:"left"` // clients
}

// A DrainPhase is what a Drain does now.
type DrainPhase string

// The phases, in their order.
const (
	DrainDelay DrainPhase = "delay" // waiting for load balancers
	DrainBye   DrainPhase = "bye"   // saying BYE
	Drained    DrainPhase = "drained"
)

// running returns the running server, or an error of kind Cannot.
func (s *Service) running(op string) (Runner, error) {
	if s.Running == nil {
		return nil, &mailbox.Error{Kind: mailbox.Cannot, Op: op, Text: "no server runs here"}
	}
	return s.Running, nil
}

// DrainDefaults implements Control.
func (s *Service) DrainDefaults(context.Context) (Drain, error) {
	r, err := s.running("drain")
	if err != nil {
		return Drain{}, err
	}
	return r.DrainDefaults(), nil
}

// Drain implements Control.
func (s *Service) Drain(ctx context.Context, d Drain, report func(DrainStep)) error {
	const op = "drain"
	r, err := s.running(op)
	if err != nil {
		return err
	}
	if d.Delay < 0 || d.Group < 1 || d.Every <= 0 {
		return &mailbox.Error{Kind: mailbox.Cannot, Op: op, Text: "the delay must not be negative, the group and the time between groups more than nothing"}
	}
	return r.Drain(ctx, d, report)
}

// Admit implements Control.
func (s *Service) Admit(ctx context.Context) error {
	r, err := s.running("admit clients")
	if err != nil {
		return err
	}
	return r.Admit(ctx)
}

// Leave implements Control.
func (s *Service) Leave(ctx context.Context, d Drain, report func(DrainStep)) error {
	if err := s.Drain(ctx, d, report); err != nil {
		return err
	}
	s.Running.Stop()
	return nil
}

// DrainDefaults implements Control.
func (c *Client) DrainDefaults(ctx context.Context) (d Drain, err error) {
	return d, c.ask(ctx, "GET", "drain", none{}, &d)
}

// Drain implements Control.
func (c *Client) Drain(ctx context.Context, d Drain, report func(DrainStep)) error {
	return c.drain(ctx, "drain", d, report)
}

// Leave implements Control.
func (c *Client) Leave(ctx context.Context, d Drain, report func(DrainStep)) error {
	return c.drain(ctx, "leave", d, report)
}

func (c *Client) drain(ctx context.Context, path string, d Drain, report func(DrainStep)) error {
	return follow(ctx, c, "POST", path, d, func(s DrainStep) bool {
		report(s)
		return true
	})
}

// Admit implements Control.
func (c *Client) Admit(ctx context.Context) error {
	return c.ask(ctx, "DELETE", "drain", none{}, &none{})
}
