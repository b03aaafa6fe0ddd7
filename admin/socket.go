package admin

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// Listen makes the control socket at path with mode 0600. One that is there
// already is replaced: the caller must hold the lock of the data folder, so
// that no server can be using it.
func Listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		// On Linux the file that bind makes has the mode of the socket, so
		// there is no moment when others could connect.
		if e := c.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), 0o600) }); e != nil {
			return e
		}
		return err
	}}
	ln, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}
