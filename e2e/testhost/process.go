package testhost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// startTimeout is how long a server may take until it listens. It is long
// because a loaded machine is slow, not because servers are.
const startTimeout = 60 * time.Second

// A Process is a server that runs as a child of this process.
type Process struct {
	cmd    *exec.Cmd
	log    log
	done   chan struct{} // closed when the process has ended
	killed atomic.Bool   // by Kill
}

// Endpoint is an address to dial: network is "tcp" or "unix".
type Endpoint struct{ Network, Addr string }

// Start runs a command and returns when it listens on every endpoint. When it
// ends before that, or takes too long, the error has what it printed.
//
// Whoever starts a process ends it, by Stop, Kill or Wait.
func Start(ctx context.Context, listens []Endpoint, name string, args ...string) (*Process, error) {
	p := &Process{cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.SysProcAttr = procAttr()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.done)
		p.cmd.Wait() // the state is read from cmd.ProcessState
	}()

	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, errors.New("not listening in time"))
	defer cancel()
	ready, ended := context.WithCancelCause(ctx)
	defer ended(nil)
	go func() {
		select {
		case <-p.done:
			ended(fmt.Errorf("it ended: %v", p.cmd.ProcessState))
		case <-ready.Done():
		}
	}()
	for _, e := range listens {
		if err := await(ready, e.Network, e.Addr); err != nil {
			p.Kill()
			return nil, fmt.Errorf("%s: %w\n%s", name, err, p.Log())
		}
	}
	return p, nil
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Log is what the process has printed so far, both streams.
func (p *Process) Log() string { return p.log.String() }

// Signal sends sig; that the process has ended already is no error.
func (p *Process) Signal(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// Kill ends the process at once (SIGKILL) and waits for its end.
func (p *Process) Kill() {
	p.killed.Store(true)
	p.Signal(os.Kill)
	<-p.done
}

// Wait waits for the process to end by itself, at most for limit, and returns
// its exit code. Beyond the limit it is killed, which is an error.
func (p *Process) Wait(limit time.Duration) (int, error) {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-t.C:
		p.Kill()
		return -1, fmt.Errorf("process %d still ran after %v and was killed\n%s", p.PID(), limit, p.Log())
	}
}

// Stop asks the process to end (SIGTERM) and waits for it as Wait does. Another code than 0 is an error, unless Kill was called
// before.
func (p *Process) Stop(limit time.Duration) error {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	killed := p.killed.Load()
	code, err := p.Wait(limit)
	if err == nil && code != 0 && !killed {
		err = fmt.Errorf("process %d ended with code %d\n%s", p.PID(), code, p.Log())
	}
	return err
}

// log is a buffer that may be read while it is written.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
