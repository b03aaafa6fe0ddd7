// Imapload measures IMAP servers from outside, over the raw protocol: idle
// sessions, notification latency, fan-out and throughput. See README.md.
package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

const usage = `usage: imapload idle|latency|fanout|mix [flags]   (imapload COMMAND -h lists the flags)`

// runs says what each command does.
var runs = map[string]func(*options) (*report, error){
	"idle":    runIdle,
	"latency": runLatency,
	"fanout":  runFanout,
	"mix":     runMix,
}

func main() {
	if len(os.Args) < 2 || runs[os.Args[1]] == nil {
		fatal(usage)
	}
	o, err := parseOptions(os.Args[1], os.Args[2:])
	if err != nil {
		fatal(err.Error() + "\n" + usage)
	}
	raiseFileLimit(uint64(o.n) + 1000)
	if o.part >= 0 {
		runPart(o)
		return
	}
	before := lookAtCPU(o.roots)
	r, err := runs[o.cmd](o)
	if err != nil {
		fatal("imapload " + o.cmd + ": " + err.Error())
	}
	if len(o.roots) > 0 {
		// A process that ends just then might be counted nowhere.
		time.Sleep(300 * time.Millisecond)
		r.add("others_cores", before.others(lookAtCPU(o.roots)))
	}
	r.print(o.json)
}

func fatal(s string) {
	fmt.Fprintln(os.Stderr, s)
	os.Exit(1)
}

// raiseFileLimit asks for need open files. Where the system refuses, the
// connections over the limit fail and are reported as failed.
func raiseFileLimit(need uint64) {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) == nil && l.Cur < need {
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: need, Max: max(need, l.Max)})
	}
}
