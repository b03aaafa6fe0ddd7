// Compare measures Starling and Debian's Dovecot on one machine, in one run,
// with the same mail, the same users and writes flushed to the disk in both,
// and prints the figures side by side. It runs bench/imapload; see
// docs/performance.md for what the figures mean.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/starling-mail/starling/e2e/dovecot"
)

type options struct {
	sizes
	imapd     string
	only      *regexp.Regexp
	repeat    int
	format    string
	hibernate bool
	markdown  string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := compare(ctx, parse()); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func parse() options {
	var o options
	flag.StringVar(&o.imapd, "imapd", "", "`binary` of Starling; without it, Dovecot alone is measured")
	flag.IntVar(&o.idle, "idle", 2000, "idle sessions")
	flag.IntVar(&o.users, "users", 50, "users")
	flag.IntVar(&o.messages, "messages", 10000, "messages in the large mailbox")
	flag.IntVar(&o.listen, "fanout", 500, "sessions that one APPEND is told to")
	flag.DurationVar(&o.t, "t", 5*time.Second, "length of each throughput measurement")
	flag.IntVar(&o.repeat, "repeat", 3, "repetitions, of which the median counts")
	flag.StringVar(&o.format, "dovecot-format", "sdbox", "sdbox, which is Dovecot's faster one, or maildir")
	flag.BoolVar(&o.hibernate, "hibernate", true, "measure idle sessions of a hibernating Dovecot too")
	flag.StringVar(&o.markdown, "markdown", "", "write the table to this `file` as well, as Markdown")
	only := flag.String("only", "", "measure only what matches this `regexp` (names are printed on the way)")
	flag.Parse()
	o.only = regexp.MustCompile(*only)
	return o
}

func (o options) contenders() []contender {
	var list []contender
	if o.imapd != "" {
		list = append(list, starlingColumn(o.imapd, o.sizes))
	}
	list = append(list, dovecotColumn("Dovecot", o.format, 0, o.sizes, all))
	if o.hibernate {
		list = append(list, dovecotColumn("Dovecot, hibernating", o.format, 2*time.Second, o.sizes, group.idle))
	}
	return list
}

func compare(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "compare")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	imapload := filepath.Join(dir, "imapload")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", imapload, "./bench/imapload").CombinedOutput(); err != nil {
		return fmt.Errorf("build imapload: %w\n%s", err, out)
	}
	about, err := machine(o.imapd)
	if err != nil {
		return err
	}

	restore, err := raiseInotify(max(o.idle, o.listen) + 1000)
	if err != nil {
		return err
	}
	defer restore()

	list := plan(o.sizes)
	r := results{}
	for range o.repeat {
		for _, g := range groups {
			for _, c := range o.contenders() {
				if !c.in(g) {
					continue
				}
				if err := measure(ctx, imapload, o, list, c, g, r); err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
			}
		}
	}

	var names []string
	for _, c := range o.contenders() {
		names = append(names, c.name)
	}
	t := tabulate(list, names, r)
	about = fmt.Sprintf("%s Medians of %d runs.", about, o.repeat)
	fmt.Println(about)
	if err := t.text(os.Stdout); err != nil || o.markdown == "" {
		return err
	}
	f, err := os.Create(o.markdown)
	if err != nil {
		return err
	}
	defer f.Close()
	fmt.Fprintf(f, "%s\n\n", about)
	return t.markdown(f)
}

// measure starts c, runs what group g has, and stops it.
func measure(ctx context.Context, imapload string, o options, all []measurement, c contender, g group, r results) (err error) {
	var todo []measurement
	for _, m := range all {
		if m.group == g && o.only.MatchString(m.name) {
			todo = append(todo, m)
		}
	}
	if len(todo) == 0 {
		return nil
	}
	fmt.Fprintf(os.Stderr, "%s: %s\n", c.name, g)
	s, err := c.start(ctx, g)
	if err != nil {
		return err
	}
	defer func() {
		if e := s.close(); err == nil {
			err = e
		}
	}()
	for _, m := range todo {
		start := time.Now()
		figures, err := load(ctx, imapload, m, s, o.users)
		if err != nil {
			return fmt.Errorf("%w\n%s", err, lastLines(s.log(), 20))
		}
		for _, f := range m.figures {
			if v, ok := figures[f.key]; ok {
				r.add(f.label, c.name, v)
			}
		}
		fmt.Fprintf(os.Stderr, "  %-18s %5.1f s, others used %.2f cores\n", m.name, time.Since(start).Seconds(), figures["others_cores"])
	}
	return nil
}

// lastLines is the end of a log.
func lastLines(log string, n int) string {
	lines := strings.Split(strings.TrimRight(log, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// machine says what the figures were measured on.
func machine(imapd string) (string, error) {
	version, err := dovecot.Version()
	if err != nil {
		return "", err
	}
	var u syscall.Utsname
	if err := syscall.Uname(&u); err != nil {
		return "", err
	}
	var kernel strings.Builder
	for _, c := range u.Release {
		if c == 0 {
			break
		}
		kernel.WriteByte(byte(c))
	}
	about := fmt.Sprintf("%d cores, Linux %s, %s, Dovecot %s.", runtime.NumCPU(), kernel.String(), runtime.Version(), version)
	if imapd != "" {
		out, err := exec.Command(imapd, "version").Output()
		if err != nil {
			return "", fmt.Errorf("imapd version: %w", err)
		}
		about = strings.TrimSpace(string(out)) + ". " + about
	}
	return about, nil
}
