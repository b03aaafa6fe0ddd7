// Package node runs the built imapd with a folder, addresses, certificate and
// configuration of its own.
package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/starling-mail/starling/e2e/testhost"
)

// Settings are sections of the configuration file with their keys and values,
// as in config.toml.example.
type Settings map[string]map[string]any

// A Node is one imapd, running or not. Its addresses and its data stay the
// same when it is started again.
type Node struct {
	*testhost.Process // nil before the first Start

	Binary     string
	ConfigFile string
	CertFile   string // self-signed, PEM
	IMAP       string // host:port, plain and STARTTLS
	IMAPS      string // host:port, TLS
	LMTP       string // host:port
	LMTPSocket string // Unix socket

	enter []string // what runs the server where it is to run
}

// A Place is a machine other than this one to run a node on, as far as network goes, such as a netns.Machine. All its
// ports are free.
type Place struct {
	Addr  string   // IPv4 address that others reach it by
	Enter []string // the command that runs another one there
}

// stopTime is how long a node may take to stop, before it counts as stuck.
const stopTime = 20 * time.Second

// New prepares a node in dir, a folder of its own, on free loopback ports. Settings add to those that
// a node on loopback needs, and replace them.
func New(binary, dir string, settings Settings) (*Node, error) {
	n := &Node{Binary: binary}
	for _, addr := range []*string{&n.IMAP, &n.IMAPS, &n.LMTP} {
		var err error
		if *addr, err = testhost.FreeAddr(); err != nil {
			return nil, err
		}
	}
	return n, n.prepare(dir, settings)
}

// NewAt prepares a node that runs elsewhere, on the usual ports. Its folder is here all the same.
func NewAt(p Place, binary, dir string, settings Settings) (*Node, error) {
	n := &Node{Binary: binary, IMAP: p.Addr + ":143", IMAPS: p.Addr + ":993", LMTP: p.Addr + ":24", enter: p.Enter}
	return n, n.prepare(dir, settings)
}

// prepare makes the node's folder, certificate and configuration.
func (n *Node) prepare(dir string, settings Settings) error {
	n.ConfigFile, n.LMTPSocket = filepath.Join(dir, "config.toml"), filepath.Join(dir, "lmtp.sock")
	cert, key, err := testhost.SelfSigned(dir)
	if err != nil {
		return err
	}
	n.CertFile = cert
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	text, err := toml.Marshal(configuration(n, data, key, settings))
	if err != nil {
		return err
	}
	return os.WriteFile(n.ConfigFile, text, 0o600)
}

func configuration(n *Node, data, key string, settings Settings) map[string]any {
	sections := Settings{
		"server": {
			"hostname":       "localhost",
			"data_dir":       data,
			"control_socket": filepath.Join(filepath.Dir(data), "control.sock"),
			"log_format":     "console",
		},
		"imap": {"plaintext_auth": "loopback"},
	}
	for name, keys := range settings {
		if sections[name] == nil {
			sections[name] = map[string]any{}
		}
		for k, v := range keys {
			sections[name][k] = v
		}
	}
	file := map[string]any{
		"listen": []map[string]any{
			{"address": n.IMAP, "protocol": "imap"},
			{"address": n.IMAPS, "protocol": "imaps"},
			{"address": n.LMTP, "protocol": "lmtp"},
			{"address": "unix:" + n.LMTPSocket, "protocol": "lmtp"},
		},
		"tls": map[string]any{"certificates": []map[string]any{{"cert": n.CertFile, "key": key}}},
	}
	for name, keys := range sections {
		file[name] = keys
	}
	return file
}

// Start starts the node and returns when it listens everywhere.
func (n *Node) Start(ctx context.Context) (err error) {
	command := append(n.enter[:len(n.enter):len(n.enter)], n.Binary, "serve", "--config", n.ConfigFile)
	n.Process, err = testhost.Start(ctx, []testhost.Endpoint{
		{Network: "tcp", Addr: n.IMAP},
		{Network: "tcp", Addr: n.IMAPS},
		{Network: "tcp", Addr: n.LMTP},
		{Network: "unix", Addr: n.LMTPSocket},
	}, command[0], command[1:]...)
	return err
}

// Close stops the node; one that does not end with code 0 is an error.
func (n *Node) Close() error {
	if n.Process == nil { // never started, or could not be
		return nil
	}
	return n.Stop(stopTime)
}

// Run runs a subcommand with the node's configuration and returns what it
// prints. The error has what it printed on its error stream.
func (n *Node) Run(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, n.Binary, append(args, "--config", n.ConfigFile)...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("imapd %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return string(out), err
}

// AddUser adds a user with a password.
func (n *Node) AddUser(ctx context.Context, name, password string) error {
	_, err := n.Run(ctx, password+"\n", "user", "add", name, "--password-stdin")
	return err
}

// AddUsers adds users that all have the same password, and names all that
// could not be added.
func (n *Node) AddUsers(ctx context.Context, names []string, password string) error {
	var errs []error
	for _, name := range names {
		errs = append(errs, n.AddUser(ctx, name, password))
	}
	return errors.Join(errs...)
}
