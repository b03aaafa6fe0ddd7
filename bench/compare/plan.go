package main

import (
	"fmt"
	"strconv"
	"time"
)

// A group is what one start of a server measures.
type group string

const (
	idlePlain group = "idle, plain" // waiting sessions: no memory of other work may be there
	idleTLS   group = "idle, TLS"
	notify    group = "notify" // what a change takes to reach those who wait
	mix       group = "mix"    // throughput
)

var groups = []group{idlePlain, idleTLS, notify, mix}

func (g group) idle() bool { return g == idlePlain || g == idleTLS }

// A measurement is one run of imapload and what is read from its report.
type measurement struct {
	name    string // for -only
	group   group
	tls     bool
	args    []string // after the address, the users and the password
	figures []figure
}

// A figure is one row of the table.
type figure struct {
	label string
	key   string // in imapload's report
	lower bool   // less is better
	zero  bool   // not a result but a check: anything but zero is a fault of the server
}

// sizes are the flags that scale the plan.
type sizes struct {
	idle     int           // idle sessions
	users    int           // that they belong to
	messages int           // in the large mailbox
	listen   int           // sessions of the fan-out
	t        time.Duration // of each throughput measurement
}

// plan lists all measurements. Mailboxes have names of their own, so that no
// measurement finds what another left.
func plan(s sizes) []measurement {
	idleArgs := []string{"idle", "-n", strconv.Itoa(s.idle), "-warm", "-settle", "8s", "-conc", "32"}
	var all []measurement
	for _, g := range []group{idlePlain, idleTLS} {
		how := "plain"
		if g == idleTLS {
			how = "TLS"
		}
		all = append(all, measurement{
			name: "idle-" + how, group: g, tls: g == idleTLS, args: idleArgs,
			figures: []figure{
				{label: "idle session, " + how + ": user memory, KiB", key: "pss_kib_per_session", lower: true},
				{label: "idle session, " + how + ": of the whole machine, KiB", key: "machine_kib_per_session", lower: true},
				{label: "session set-up, " + how + " (login, select, idle), /s", key: "establish_per_s"},
				{label: fmt.Sprintf("%d idle sessions, %s: all answer DONE within, s", s.idle, how), key: "check_s", lower: true},
				{label: "idle sessions, " + how + ": failed", key: "failed", zero: true},
				{label: "idle sessions, " + how + ": dead", key: "dead", zero: true},
			},
		})
	}
	for _, op := range []struct{ name, what string }{
		{"append", "append -> EXISTS"}, {"store", "store -> FETCH"}, {"expunge", "expunge -> EXPUNGE"},
	} {
		all = append(all, measurement{
			name: "latency-" + op.name, group: notify,
			args: []string{"latency", "-op", op.name, "-n", "10", "-every", "600ms", "-t", "12s", "-fill", "100", "-mailbox", "latency-" + op.name},
			figures: []figure{
				{label: op.what + " from the writer's OK, p50 ms", key: "from_ok_ms_p50", lower: true},
				{label: op.what + " from the writer's OK, p99 ms", key: "from_ok_ms_p99", lower: true},
				{label: op.what + ": missed", key: "missed", zero: true},
				{label: op.what + ": unexplained", key: "unexplained", zero: true},
			},
		})
	}
	all = append(all, measurement{
		name: "fanout", group: notify,
		args: []string{"fanout", "-n", strconv.Itoa(s.listen), "-rounds", "5", "-mailbox", "fanout"},
		figures: []figure{
			{label: fmt.Sprintf("fan-out: last of %d idle sessions, ms", s.listen), key: "last_ms", lower: true},
			{label: "fan-out: missed", key: "missed", zero: true},
		},
	})
	big := []string{"-users", "1", "-mailbox", "large", "-fill", strconv.Itoa(s.messages)}
	run := func(op string, n int, label string, cpu bool, more ...string) {
		m := measurement{
			name: fmt.Sprintf("%s-%d", op, n), group: mix,
			args: append([]string{"mix", "-op", op, "-n", strconv.Itoa(n), "-t", s.t.String()}, more...),
			figures: []figure{
				{label: fmt.Sprintf("%s, /s (%d)", label, n), key: "ops_per_s"},
			},
		}
		if cpu {
			m.figures = append(m.figures, figure{label: label + ": server CPU ms each", key: "server_cpu_ms_per_op", lower: true})
		}
		all = append(all, m)
	}
	run("login", 8, "login", false)
	run("noop", 4, "noop", false)
	run("select", 4, fmt.Sprintf("SELECT, %d messages", s.messages), false, big...)
	run("fetchflags", 4, fmt.Sprintf("FETCH 1:* (UID FLAGS), %d messages", s.messages), true, big...)
	run("fetchenv", 4, fmt.Sprintf("FETCH 1:* (ENVELOPE), %d messages", s.messages), true, big...)
	run("search", 1, fmt.Sprintf("UID SEARCH TEXT, %d messages, 1 %% hits", s.messages), false, big...)
	run("fetchbody", 4, "BODY[] of a 20 KB message", false, "-users", "1", "-mailbox", "bodies", "-fill", "500", "-size", "20480")
	run("store", 4, "UID STORE", false, "-mailbox", "store", "-fill", "500")
	run("store", 32, "UID STORE", false, "-mailbox", "store", "-fill", "500")
	for _, n := range []int{1, 8, 32} {
		run("append", n, "APPEND 4 KB", false, "-mailbox", "append", "-size", "4096")
	}
	return all
}
