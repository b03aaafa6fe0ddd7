//go:build unix && !linux

package testhost

import "syscall"

// procAttr has a server begin a group of its own, so that a terminal's Ctrl-C reaches it only through us.
func procAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
