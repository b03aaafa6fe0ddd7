package testhost

import "syscall"

// procAttr has a server begin a group of its own, so that a terminal's Ctrl-C reaches it only through us, and end with the process that started
// it, however that ends.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
