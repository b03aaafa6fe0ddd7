package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"

	"github.com/starling-mail/starling/config"
)

// listenOn opens one listener.
func listenOn(ctx context.Context, l config.Listen) (net.Listener, error) {
	network, address := l.Network()
	var lc net.ListenConfig
	if network != "unix" {
		return lc.Listen(ctx, network, address)
	}
	mode, err := l.Mode()
	if err != nil {
		return nil, err
	}
	if err := removeStale(ctx, address); err != nil {
		return nil, err
	}
	ln, err := lc.Listen(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(address, mode); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// removeStale removes a socket that nobody listens on, such as one left by a
// process that was killed.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode()&fs.ModeSocket == 0 {
		return nil // listening will say what is wrong
	}
	if err != nil {
		return err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		conn.Close()
		return nil
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return os.Remove(path)
	}
	return err
}

// listenFault says what can be done about a listener that cannot be opened.
func listenFault(l config.Listen, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s (%s): another program listens there; stop it or give [[listen]] another address", l.Address, l.Protocol)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s (%s): not permitted; ports below 1024 need root or CAP_NET_BIND_SERVICE", l.Address, l.Protocol)
	}
	return fmt.Errorf("%s (%s): %w", l.Address, l.Protocol, err)
}

// notify tells systemd how the service is (sd_notify(3)), where it asks for it.
func notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	conn, err := net.Dial("unixgram", path)
	if err != nil {
		return // systemd will find that it was not told
	}
	defer conn.Close()
	conn.Write([]byte(state))
}
