// Package testhost runs servers as child processes on the loopback interface:
// free addresses, a certificate, start, readiness, stop, and what they logged.
package testhost

import (
	"context"
	"fmt"
	"net"
	"time"
)

// FreeAddr returns a loopback address that nobody listens on. Another process
// could take it before the server does; the server then fails to start, and
// says so.
func FreeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// await returns when network address addr accepts connections, or with the
// cause when ctx ends first.
func await(ctx context.Context, network, addr string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var d net.Dialer
		c, err := d.DialContext(ctx, network, addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nothing listens on %s: %w", addr, context.Cause(ctx))
		case <-tick.C:
		}
	}
}
