package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

// sessions is a set of idle sessions, here or in child processes.
type sessions interface {
	establish() outcome
	check() outcome
	close()
}

// outcome counts how it went; it is also what a child reports, as JSON.
type outcome struct {
	Good, Bad int
	Error     string
}

func (a *outcome) add(b outcome) {
	a.Good += b.Good
	a.Bad += b.Bad
	if a.Error == "" {
		a.Error = b.Error
	}
}

// localSessions are sessions from, from+1, ... held by this process. While
// they are held they have no goroutine and no buffer.
type localSessions struct {
	o     *options
	from  int
	conns []*conn
}

func (l *localSessions) establish() outcome {
	o := l.o
	failed, err := parallel(len(l.conns), o.conc, func(i int) error {
		n := l.from + i
		c, err := o.open(n, o.addrs[n%len(o.addrs)])
		if err != nil {
			return err
		}
		if _, err = c.selectBox(o.mailbox); err == nil {
			err = c.idle()
		}
		if err != nil {
			c.close()
			return err
		}
		c.park()
		l.conns[i] = c
		return nil
	})
	return outcome{len(l.conns) - failed, failed, errText(err)}
}

// check ends IDLE in each session and expects a tagged OK.
func (l *localSessions) check() outcome {
	var alive atomic.Int64
	dead, err := parallel(len(l.conns), l.o.conc, func(i int) error {
		if l.conns[i] == nil {
			return nil
		}
		if err := l.conns[i].done(nil); err != nil {
			return err
		}
		l.conns[i].park()
		alive.Add(1)
		return nil
	})
	return outcome{int(alive.Load()), dead, errText(err)}
}

func (l *localSessions) close() {
	for _, c := range l.conns {
		if c != nil {
			c.close()
		}
	}
}

// childSessions are spread over child processes, each a run of this command
// with -part. A child establishes its sessions and reports, checks them on the
// first line from its parent and reports again, and ends with its input.
type childSessions struct {
	o    *options
	kids []child
}

type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func (s *childSessions) establish() outcome {
	kids := (s.o.n + s.o.perProc - 1) / s.o.perProc
	var sum outcome
	for k := range kids {
		from := k * s.o.perProc
		args := append(slices.Clone(os.Args[1:]),
			"-part", fmt.Sprint(from),
			"-n", fmt.Sprint(min(s.o.perProc, s.o.n-from)),
			"-perip", fmt.Sprint(s.o.perIP),
			"-conc", fmt.Sprint(max(1, s.o.conc/kids)))
		cmd := exec.Command("/proc/self/exe", args...)
		cmd.Stderr = os.Stderr
		in, _ := cmd.StdinPipe()
		out, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			sum.add(outcome{Bad: min(s.o.perProc, s.o.n-from), Error: err.Error()})
			continue
		}
		s.kids = append(s.kids, child{cmd, in, bufio.NewReader(out)})
	}
	sum.add(s.collect())
	return sum
}

func (s *childSessions) check() outcome {
	for _, k := range s.kids {
		io.WriteString(k.in, "check\n")
	}
	return s.collect()
}

func (s *childSessions) collect() outcome {
	var sum outcome
	for _, k := range s.kids {
		var one outcome
		line, err := k.out.ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(line, &one)
		}
		if err != nil {
			one = outcome{Error: "child: " + err.Error()}
		}
		sum.add(one)
	}
	return sum
}

func (s *childSessions) close() {
	for _, k := range s.kids {
		k.in.Close()
		k.cmd.Wait()
	}
}

// runPart is what a child does.
func runPart(o *options) {
	s := &localSessions{o, o.part, make([]*conn, o.n)}
	report := func(r outcome) {
		line, _ := json.Marshal(r)
		fmt.Printf("%s\n", line)
	}
	report(s.establish())
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadString('\n'); err != nil {
		return
	}
	report(s.check())
	in.ReadString('\n')
	s.close()
}

func runIdle(o *options) (*report, error) {
	if o.perIP == 0 && o.n > 20000 {
		o.perIP = 10000
	}
	if o.warm {
		parallel(min(o.users, o.n), o.conc, func(i int) error {
			c, err := o.open(i, o.addrs[i%len(o.addrs)])
			if err != nil {
				return err
			}
			defer c.close()
			c.ensureBox(o.mailbox)
			if _, err := c.selectBox(o.mailbox); err != nil {
				return err
			}
			return c.cmd("LOGOUT", nil)
		})
		time.Sleep(o.settle)
	}
	// One process may not have files enough.
	var limit syscall.Rlimit
	syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	if o.perProc == 0 {
		o.perProc = int(min(limit.Cur, 1<<30)) - 500
	}
	var all sessions = &localSessions{o, 0, make([]*conn, o.n)}
	if o.n > o.perProc {
		all = &childSessions{o: o}
	}
	defer all.close()

	before := measureMemory(o.roots)
	cpu0 := cpuSeconds(o.roots)
	start := time.Now()
	up := all.establish()
	took := time.Since(start)
	cpu1 := cpuSeconds(o.roots)
	time.Sleep(o.settle)
	after := measureMemory(o.roots)
	cpu2 := cpuSeconds(o.roots)
	time.Sleep(o.hold)
	cpu3 := cpuSeconds(o.roots)
	held := after
	if o.hold > 0 {
		held = measureMemory(o.roots)
	}
	checkStart := time.Now()
	alive := all.check()

	n := float64(up.Good)
	r := newReport("idle", o)
	r.add("sessions", up.Good)
	r.add("failed", up.Bad)
	r.add("alive", alive.Good)
	r.add("dead", alive.Bad)
	r.add("first_error", up.Error+alive.Error)
	r.add("establish_s", took.Seconds())
	r.add("establish_per_s", n/took.Seconds())
	r.add("check_s", time.Since(checkStart).Seconds())
	if len(o.roots) > 0 {
		r.add("procs_before", before.procs)
		r.add("procs_after", after.procs)
		r.add("pss_before_mib", float64(before.pss)/1024)
		r.add("pss_after_mib", float64(after.pss)/1024)
		r.add("pss_kib_per_session", float64(after.pss-before.pss)/n)
		r.add("establish_cpu_ms_per_session", (cpu1-cpu0)*1000/n)
		if o.hold > 0 {
			r.add("hold_s", o.hold.Seconds())
			r.add("held_pss_kib_per_session", float64(held.pss-before.pss)/n)
			r.add("held_cpu_s", cpu3-cpu2)
		}
	}
	// What the whole machine has less: this has the server's kernel memory in
	// it (sockets, page tables), and this client's own.
	r.add("machine_kib_per_session", float64(before.available-after.available)/n)
	return r, nil
}
