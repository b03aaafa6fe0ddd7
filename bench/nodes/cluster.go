package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/starling-mail/starling/e2e/node"
	"github.com/starling-mail/starling/mailstore/postgres/pgtest"
)

const (
	userPattern  = "user%d" // who is measured; others make the other changes
	otherPattern = "other%d"
	others       = 24
	password     = "pass"
	together     = 30 * time.Second // for nodes to find each other
)

// A cluster is nodes over a database, all of them on loopback.
type cluster struct {
	dir   string
	db    *pgtest.Server
	nodes []*node.Node
}

// start starts a cluster and adds the users.
func start(ctx context.Context, o options) (_ *cluster, err error) {
	c := &cluster{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	if c.dir, err = os.MkdirTemp("", "nodes"); err != nil {
		return nil, err
	}
	if c.db, err = pgtest.Start(); err != nil {
		return nil, err
	}
	var gossip, stream []string
	for i := range o.nodes {
		for _, list := range []*[]string{&gossip, &stream} {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.%d:0", i+2))
			if err != nil {
				return nil, err
			}
			*list = append(*list, l.Addr().String())
			l.Close()
		}
	}
	limit := 4 * (o.sessions + 1000)
	keys := filepath.Join(c.dir, "keys")
	for i := range o.nodes {
		folder := filepath.Join(c.dir, fmt.Sprint("n", i+1))
		if err := os.Mkdir(folder, 0o700); err != nil {
			return nil, err
		}
		n, err := node.New(o.imapd, folder, node.Settings{
			"server": {"log_level": "warn"},
			"store":  {"kind": "postgres", "postgres": map[string]any{"dsn": c.db.URL("postgres"), "blobs": filepath.Join(c.dir, "blobs")}},
			"imap":   {"plaintext_auth": "loopback", "max_connections": limit, "max_per_user": limit, "max_per_address": limit},
			"auth":   {"argon2_memory": "8KiB", "argon2_time": 1},
			"cluster": {"enabled": true, "name": fmt.Sprint("n", i+1), "keys_file": keys, "gossip": gossip[i], "stream": stream[i], "join": gossip,
				"codec": o.codec, "mode": o.mode, "lanes": strings.Split(o.lanes, ",")},
		})
		if err != nil {
			return nil, err
		}
		if i == 0 {
			key, err := n.Run(ctx, "", "cluster", "keys", "new")
			if err != nil {
				return nil, err
			}
			if err := os.WriteFile(keys, []byte(key), 0o600); err != nil {
				return nil, err
			}
		}
		c.nodes = append(c.nodes, n)
		if err := n.Start(ctx); err != nil {
			return nil, err
		}
	}
	users := []string{fmt.Sprintf(userPattern, 1)}
	for i := range others {
		users = append(users, fmt.Sprintf(otherPattern, i+1))
	}
	if err := c.nodes[0].AddUsers(ctx, users, password); err != nil {
		return nil, err
	}
	return c, c.join(ctx, o)
}

// join waits until all nodes know all others.
func (c *cluster) join(ctx context.Context, o options) error {
	ctx, cancel := context.WithTimeoutCause(ctx, together, errors.New("the nodes do not find each other"))
	defer cancel()
	ready := "out+in"
	if !strings.Contains(o.lanes, "streams") {
		ready = "none"
	}
	for _, n := range c.nodes {
		for {
			out, err := n.Run(ctx, "", "cluster", "members")
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				return err
			}
			if strings.Count(out, ready) == len(c.nodes)-1 {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	return nil
}

func (c *cluster) addrs() []string {
	var list []string
	for _, n := range c.nodes {
		list = append(list, n.IMAP)
	}
	return list
}

// pids are the processes that serve, with commas.
func (c *cluster) pids() string {
	list := []string{strconv.Itoa(c.db.Pid())}
	for _, n := range c.nodes {
		list = append(list, strconv.Itoa(n.PID()))
	}
	return strings.Join(list, ",")
}

func (c *cluster) close() error {
	var errs []error
	for _, n := range c.nodes {
		errs = append(errs, n.Close())
	}
	if c.db != nil {
		errs = append(errs, c.db.Close())
	}
	if c.dir != "" {
		errs = append(errs, os.RemoveAll(c.dir))
	}
	return errors.Join(errs...)
}
