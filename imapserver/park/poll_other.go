//go:build !linux

package park

import "errors"

// A poller watches no sockets here: every Spot reads ahead.
type poller struct{}

func (*poller) add(*Spot) error         { return errors.ErrUnsupported }
func (*poller) arm(*Spot, uint32) error { return errors.ErrUnsupported }
func (*poller) remove(*Spot)            {}
func (*poller) close() error            { return nil }
