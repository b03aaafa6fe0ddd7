//go:build unix && !linux

package pgtest

import "syscall"

// procAttr keeps a terminal's Ctrl-C from the server: who uses it ends first.
func procAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
