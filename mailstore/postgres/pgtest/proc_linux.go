package pgtest

import "syscall"

// procAttr has the server end with the process that started it, however that
// ends, and keeps a terminal's Ctrl-C from it: who uses it ends first.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT, Setpgid: true}
}
