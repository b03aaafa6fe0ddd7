package main

import (
	"context"
	"fmt"
	"time"

	"github.com/starling-mail/starling/e2e/dovecot"
)

const (
	userPattern = "user%d"
	password    = "pass"
)

// A contender is one column of the table.
type contender struct {
	name  string
	in    func(group) bool // which groups it takes part in
	start func(ctx context.Context, g group) (*server, error)
}

// A server is a contender that runs.
type server struct {
	imap, imaps string // host:port
	pid         int
	log         func() string // what it has printed
	close       func() error
}

func userNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf(userPattern, i+1)
	}
	return names
}

// dovecotColumn is Debian's Dovecot. In the idle group its imap processes
// serve one connection each, so that none is there before the first session;
// otherwise they are used again, which spares a fork and an exec a login.
func dovecotColumn(name, format string, hibernate time.Duration, s sizes, in func(group) bool) contender {
	return contender{name: name, in: in, start: func(ctx context.Context, g group) (*server, error) {
		c := dovecot.Config{
			Users: userNames(s.users), Password: password, Format: format,
			Hibernate: hibernate, Clients: 2*max(s.idle, s.listen) + 1000, Reuse: 256,
		}
		if g.idle() {
			c.Reuse = 1
		}
		d, err := dovecot.Start(ctx, c)
		if err != nil {
			return nil, err
		}
		return &server{imap: d.IMAP, imaps: d.IMAPS, pid: d.PID(), log: d.Log, close: d.Close}, nil
	}}
}

func all(group) bool { return true }
