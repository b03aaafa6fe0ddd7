package main

import (
	"context"
	"errors"
	"os"

	"github.com/starling-mail/starling/e2e/node"
)

// starlingColumn is imapd as `serve` runs it, with limits that let a few users
// from one address have all the connections.
func starlingColumn(binary string, s sizes) contender {
	settings := node.Settings{
		"server": {"log_level": "warn"},
		"imap": {
			"plaintext_auth":  "loopback",
			"max_connections": 4 * (max(s.idle, s.listen) + 1000),
			"max_per_user":    4 * (max(s.idle, s.listen) + 1000),
			"max_per_address": 4 * (max(s.idle, s.listen) + 1000),
		},
	}
	start := func(ctx context.Context, g group) (*server, error) {
		if g.idle() {
			// The memory that a hash takes for an instant would stay with the
			// process for minutes, and sessions would seem to cost nothing.
			settings["auth"] = map[string]any{"argon2_memory": "8KiB", "argon2_time": 1}
		} else {
			delete(settings, "auth")
		}
		dir, err := os.MkdirTemp("", "starling")
		if err != nil {
			return nil, err
		}
		n, err := node.New(binary, dir, settings)
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
		err = n.Start(ctx)
		if err == nil {
			err = n.AddUsers(ctx, userNames(s.users), password)
		}
		closeNode := func() error { return errors.Join(n.Close(), os.RemoveAll(dir)) }
		if err != nil {
			return nil, errors.Join(err, closeNode())
		}
		return &server{imap: n.IMAP, imaps: n.IMAPS, pid: n.PID(), log: n.Log, close: closeNode}, nil
	}
	return contender{name: "Starling", in: all, start: start}
}
