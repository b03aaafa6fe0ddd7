package main

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options is everything that the command line says.
type options struct {
	target
	cmd     string
	roots   pidList // processes of the server, with everything below them
	n       int     // sessions (idle), listeners (latency, fanout) or connections (mix)
	conc    int
	mailbox string
	op      string
	closed  bool // the writer of -op append has no mailbox open
	every   time.Duration
	rate    float64 // operations a second of all connections together; 0: as many as there can be
	dur     time.Duration
	settle  time.Duration
	hold    time.Duration
	grace   time.Duration
	rounds  int
	fill    int
	size    int
	warm    bool
	perProc int
	part    int // first session of a child process; -1: not a child
	json    bool
	label   string
}

// addrList is a flag that may be given again, or hold commas.
type addrList []string

func (a *addrList) String() string { return strings.Join(*a, ",") }
func (a *addrList) Set(s string) error {
	*a = append(*a, strings.Split(s, ",")...)
	return nil
}

// pidList likewise.
type pidList []int

func (p *pidList) String() string { return fmt.Sprint(*p) }
func (p *pidList) Set(s string) error {
	for f := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ',' || r == ' ' }) {
		n, err := strconv.Atoi(f)
		if err != nil {
			return err
		}
		*p = append(*p, n)
	}
	return nil
}

// parseOptions reads the flags of command cmd. It exits after -h.
func parseOptions(cmd string, args []string) (*options, error) {
	o := &options{cmd: cmd, part: -1}
	f := flag.NewFlagSet("imapload "+cmd, flag.ExitOnError)
	f.Var(&o.addrs, "addr", "server `host:port`; may be given again or hold commas")
	f.StringVar(&o.user, "user", "user%d", "login name; %d becomes 1 to -users")
	f.IntVar(&o.users, "users", 1, "number of users")
	f.StringVar(&o.pass, "pass", "pass", "password of all users")
	f.BoolVar(&o.tls, "tls", false, "TLS from the start (certificate not checked)")
	f.BoolVar(&o.starttls, "starttls", false, "STARTTLS (certificate not checked)")
	f.DurationVar(&o.timeout, "timeout", 60*time.Second, "time allowed for each command")
	f.IntVar(&o.perIP, "perip", 0, "sessions per local address 127.1.x.y (0: kernel's choice, or 10000 for idle with over 20000)")
	f.Var(&o.roots, "pids", "server `PIDs`, with commas; everything below them counts too")
	f.Var(&o.roots, "pgrep-children-of", "same as -pids")
	f.StringVar(&o.mailbox, "mailbox", "INBOX", "mailbox; created where it is missing")
	f.BoolVar(&o.json, "json", false, "print one JSON line at the end")
	f.StringVar(&o.label, "label", "", "free text, put in the report")
	f.IntVar(&o.conc, "conc", 64, "connections set up at once")

	n, fill := 10, 0
	every, settle, grace := 100*time.Millisecond, time.Second, 5*time.Second
	switch cmd {
	case "idle":
		n, settle = 1000, 5*time.Second
		f.BoolVar(&o.warm, "warm", false, "open each user's mailbox once before measuring")
		f.IntVar(&o.perProc, "perproc", 0, "sessions held by one client process (0: as many as its file limit allows)")
		f.IntVar(&o.part, "part", -1, "(internal) run as a child that holds -n sessions from this one on")
		f.DurationVar(&o.hold, "hold", 0, "then hold the sessions so long, and report the server's CPU use")
	case "latency":
		fill = 100
		f.StringVar(&o.op, "op", "append", "append, store or expunge")
		f.BoolVar(&o.closed, "closed", false, "-op append without the mailbox open, as a delivery: the writer is told nothing besides its OK")
	case "fanout":
		n, every, grace = 500, time.Second, 10*time.Second
		o.op = "append"
		f.IntVar(&o.rounds, "rounds", 5, "number of APPENDs")
	case "mix":
		f.StringVar(&o.op, "op", "noop", "login, select, fetchflags, fetchenv, fetchbody, store, append, search or noop")
		f.Float64Var(&o.rate, "rate", 0, "operations a second, of all connections together (0: without pause)")
	}
	f.IntVar(&o.n, "n", n, "sessions (idle), listeners (latency, fanout) or connections (mix)")
	f.DurationVar(&o.dur, "t", 10*time.Second, "how long to measure (latency, mix)")
	f.DurationVar(&o.every, "every", every, "time between operations (latency, fanout)")
	f.DurationVar(&o.settle, "settle", settle, "wait after the sessions are up (idle, latency, fanout)")
	f.DurationVar(&o.grace, "grace", grace, "how long to wait for late notifications (latency, fanout)")
	f.IntVar(&o.fill, "fill", fill, "messages that the mailbox must hold (mix, latency -op store)")
	f.IntVar(&o.size, "size", 1024, "size of a message in bytes")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 || len(o.addrs) == 0 || o.n < 1 || o.users < 1 || o.conc < 1 || o.every <= 0 || o.rate < 0 {
		return nil, errors.New("need -addr, counts above zero and no other arguments")
	}
	if cmd == "latency" && !slices.Contains([]string{"append", "store", "expunge"}, o.op) {
		return nil, errors.New("unknown -op " + strconv.Quote(o.op))
	}
	if cmd == "mix" && o.op != "login" && mixOps[o.op] == nil {
		return nil, errors.New("unknown -op " + strconv.Quote(o.op))
	}
	return o, nil
}
