package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/admin"
	"github.com/starling-mail/starling/config"
	"github.com/starling-mail/starling/mailbox"
)

// How long a subcommand waits for whoever has the data folder, which may be
// a server that is starting, one that is stopping, or another subcommand.
const (
	inUseTimeout = 10 * time.Second
	inUseRetry   = 50 * time.Millisecond
)

// control returns a way to do things: the running server's control socket, or
// the opened store where no server runs. The lock of the data folder decides, so
// the two never work at the same time.
func (a *app) control(ctx context.Context) (admin.Control, error) {
	c, err := a.config()
	if err != nil {
		return nil, err
	}
	return a.controlOf(ctx, c)
}

func (a *app) controlOf(ctx context.Context, c *config.Config) (admin.Control, error) {
	deadline := time.Now().Add(inUseTimeout)
	for {
		client, dialErr := admin.Dial(ctx, c.Server.ControlSocket)
		if dialErr == nil {
			return client, nil
		}
		log, _ := newLog(a.stderr, config.Server{LogFormat: "console", LogLevel: zerolog.LevelWarnValue})
		n, err := open(ctx, c, log)
		if err == nil {
			n.admin.Closing = func() error { return n.close(context.WithoutCancel(ctx)) }
			return n.admin, nil
		}
		if mailbox.KindOf(err) != mailbox.InUse {
			return nil, err
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%s is in use by another process, which does not answer on its control socket: %w",
				c.Server.DataDir, dialErr)
		}
		select {
		case <-time.After(inUseRetry):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// withControl runs f with a Control and closes it.
func (a *app) withControl(ctx context.Context, f func(ctx context.Context, c admin.Control) error) error {
	ctx, stop := signalContext(ctx)
	defer stop()
	c, err := a.control(ctx)
	if err != nil {
		return err
	}
	return errors.Join(f(ctx, c), c.Close())
}
