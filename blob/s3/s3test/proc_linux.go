package s3test

import "syscall"

// procAttr has the server end with the process that started it, however that
// ends.
func procAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
