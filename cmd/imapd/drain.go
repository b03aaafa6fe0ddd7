package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/starling-mail/starling/admin"
	"github.com/starling-mail/starling/config"
	"github.com/starling-mail/starling/imapserver"
	"github.com/starling-mail/starling/mailbox"
)

// A drainer takes the clients off a server, and lets them in again. Listeners for IMAP
// are closed and opened again: load balancers that know nothing but connections
// must see that too. Those for LMTP stay, and answer 421.
type drainer struct {
	server   *server
	draining atomic.Bool

	ctx  context.Context // of server.run
	fail context.CancelCauseFunc

	mu     sync.Mutex
	close  func()             // closes the listeners for IMAP; nil: they are closed
	cancel context.CancelFunc // ends the Drain under way; nil: there is none
	done   chan struct{}      // closed at its end
	ended  bool
}

// begin serves the listeners for IMAP that s has opened.
func (d *drainer) begin(ctx context.Context, fail context.CancelCauseFunc, s *server) {
	d.server, d.ctx, d.fail = s, ctx, fail
	var list []listener
	for _, l := range s.listeners {
		if l.Protocol != config.ProtocolLMTP {
			list = append(list, l)
		}
	}
	d.serve(list)
}

// end closes what is open, for good, and waits.
func (d *drainer) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = true
	if d.close != nil {
		d.close()
		d.close = nil
	}
}

// serve serves listeners for IMAP until close.
func (d *drainer) serve(list []listener) {
	ctx, cancel := context.WithCancel(d.ctx)
	var serving sync.WaitGroup
	for _, l := range list {
		serving.Go(func() {
			if err := d.server.serveClients(ctx, l); err != nil {
				d.fail(err)
			}
		})
		d.server.log.Info().Str("protocol", l.Protocol).Str("address", l.Address).Msg("listening")
	}
	d.close = func() {
		cancel()
		serving.Wait()
	}
}

// DrainDefaults implements admin.Runner.
func (d *drainer) DrainDefaults() admin.Drain {
	c := d.server.config.Load().Server
	return admin.Drain{Delay: c.DrainDelay, Group: c.DrainGroup, Every: c.DrainEvery}
}

// Drain implements admin.Runner.
func (d *drainer) Drain(ctx context.Context, how admin.Drain, report func(admin.DrainStep)) error {
	ctx, finish, err := d.start(ctx)
	if err != nil {
		return err
	}
	defer finish()
	log := d.server.log
	log.Info().Dur("delay", how.Delay).Int("group", how.Group).Dur("every", how.Every).Msg("draining")
	d.announce(true)
	report(admin.DrainStep{Phase: admin.DrainDelay, Left: d.clients()})
	select {
	case <-time.After(how.Delay):
	case <-ctx.Done():
		return interrupted(ctx)
	}
	d.refuse()
	err = d.server.imap.Drain(ctx, imapserver.DrainOptions{Group: how.Group, Every: how.Every}, func(left int) {
		report(admin.DrainStep{Phase: admin.DrainBye, Left: left})
	})
	if err != nil {
		return interrupted(ctx)
	}
	log.Info().Msg("drained")
	report(admin.DrainStep{Phase: admin.Drained})
	return nil
}

// start notes that a Drain is under way, until finish.
func (d *drainer) start(ctx context.Context) (_ context.Context, finish func(), err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.ended:
		return nil, nil, &mailbox.Error{Kind: mailbox.Unavailable, Op: "drain", Text: "the server is stopping"}
	case d.cancel != nil:
		return nil, nil, &mailbox.Error{Kind: mailbox.InUse, Op: "drain", Text: "the node is being drained already"}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	d.cancel, d.done = cancel, done
	d.draining.Store(true)
	return ctx, func() {
		cancel()
		d.mu.Lock()
		d.cancel = nil
		d.mu.Unlock()
		close(done)
	}, nil
}

func interrupted(ctx context.Context) error {
	return &mailbox.Error{Kind: mailbox.Unavailable, Op: "drain", Text: "it was interrupted; the clients that are left stay, and nobody new is sent here", Err: context.Cause(ctx)}
}

// refuse takes no more connections and mail.
func (d *drainer) refuse() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.close != nil {
		d.close()
		d.close = nil
	}
	d.server.lmtp.Drain(true)
}

// Admit implements admin.Runner.
func (d *drainer) Admit(ctx context.Context) error {
	const op = "admit clients"
	d.mu.Lock()
	for d.cancel != nil {
		d.cancel()
		done := d.done
		d.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
			return &mailbox.Error{Kind: mailbox.Unavailable, Op: op, Err: context.Cause(ctx)}
		}
		d.mu.Lock()
	}
	defer d.mu.Unlock()
	if d.ended {
		return &mailbox.Error{Kind: mailbox.Unavailable, Op: op, Text: "the server is stopping"}
	}
	if d.close == nil {
		list, err := d.reopen(ctx)
		if err != nil {
			return &mailbox.Error{Kind: mailbox.Unavailable, Op: op, Text: "not all addresses can be listened on: " + err.Error(), Err: err}
		}
		d.serve(list)
	}
	d.server.lmtp.Drain(false)
	if d.draining.Swap(false) {
		d.server.log.Info().Msg("clients are admitted again")
		d.announce(false)
	}
	return nil
}

// reopen opens the listeners for IMAP, or none.
func (d *drainer) reopen(ctx context.Context) (list []listener, err error) {
	var faults []error
	for _, l := range d.server.listeners {
		if l.Protocol == config.ProtocolLMTP {
			continue
		}
		ln, err := listenOn(ctx, l.Listen)
		if err != nil {
			faults = append(faults, listenFault(l.Listen, err))
			continue
		}
		list = append(list, listener{ln, l.Listen})
	}
	if len(faults) > 0 {
		for _, l := range list {
			faults = append(faults, l.Listener.Close())
		}
		return nil, errors.Join(faults...)
	}
	return list, nil
}

// announce tells the cluster.
func (d *drainer) announce(draining bool) {
	if d.server.member == nil {
		return
	}
	if err := d.server.member.Drain(draining); err != nil {
		d.server.log.Warn().Err(err).Msg("the other nodes may not know yet")
	}
}

// clients is how many there are.
func (d *drainer) clients() int {
	s := d.server.imap.Stats()
	return int(s.NotAuthenticated + s.Authenticated + s.Selected + s.Idle)
}

// Stop implements admin.Runner.
func (d *drainer) Stop() { d.fail(context.Canceled) }

// running is the server as admin.Runner.
type running struct {
	*drainer
	*keyring
}

var _ admin.Runner = (*running)(nil)
