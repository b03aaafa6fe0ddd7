package sqlite

import (
	"errors"
	"os"
	"syscall"

	"github.com/starling-mail/starling/mailbox"
)

// lock takes the data folder for this process until the file is closed. The
// system releases it when the process ends, however it ends.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, &mailbox.Error{Kind: mailbox.InUse, Op: "open store", Text: "another process has the data folder open", Err: err}
		}
		return nil, err
	}
	return f, nil
}
