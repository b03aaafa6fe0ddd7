//go:build unix

// Package netns makes small networks for tests, of Linux network namespaces: machines on one switch, between which
// packets get lost as the test wants, and a link from the test to all of them. It needs root and the programs of Debian's
// packages iproute2, nftables and util-linux.
//
// Nothing of a network outlives the process that made it, however that ends: each namespace is held by a child whose standard input
// is a pipe from here, and with a namespace go its links.
package netns

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// ErrMissing says why there can be no namespaces here.
var ErrMissing = errors.New("no network namespaces")

// A Network is a switch with machines. Its methods are for one goroutine.
type Network struct {
	Machines []*Machine

	hub *namespace
}

// A Machine is one network namespace.
type Machine struct {
	// Addr is its IPv4 address, that the other machines and the test reach it by. All its ports are free.
	Addr string
	ns   *namespace
}

// Enter returns the command that runs another one on the machine: what that one is follows.
func (m *Machine) Enter() []string { return m.ns.enter() }

// New makes a network of so many machines, at most 200. The error is ErrMissing where this cannot be done at all.
func New(machines int) (_ *Network, err error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: only root can make them", ErrMissing)
	}
	for _, tool := range []string{"ip", "nft", "unshare", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%w: %s is not installed", ErrMissing, tool)
		}
	}
	n := &Network{}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	if n.hub, err = hold(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMissing, err)
	}
	if err := n.hub.run("ip", "link", "add", "switch", "type", "bridge"); err != nil {
		return nil, err
	}
	if err := n.hub.run("ip", "link", "set", "switch", "up"); err != nil {
		return nil, err
	}
	prefix, err := n.uplink()
	if err != nil {
		return nil, err
	}
	for i := range machines {
		m := &Machine{Addr: fmt.Sprint(prefix, 11+i)}
		if m.ns, err = hold(); err != nil {
			return nil, err
		}
		n.Machines = append(n.Machines, m)
		if err := n.plug(m, fmt.Sprint("m", i+1)); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// uplink links this process's own namespace with the switch, and returns what all addresses of the network begin with. They are of
// the range for benchmarks of networks (RFC 2544), which nobody routes.
func (n *Network) uplink() (prefix string, err error) {
	for range 20 { // until a name is free, and with it the addresses
		k := rand.IntN(512)
		name := fmt.Sprint("starling", k)
		prefix = fmt.Sprintf("198.%d.%d.", 18+k/256, k%256)
		if err = run("ip", "link", "add", name, "type", "veth", "peer", "name", "host", "netns", strconv.Itoa(n.hub.pid())); err != nil {
			continue
		}
		return prefix, errors.Join(
			run("ip", "addr", "add", prefix+"1/24", "dev", name),
			run("ip", "link", "set", name, "up"),
			n.hub.run("ip", "link", "set", "host", "master", "switch", "up"))
	}
	return "", fmt.Errorf("%w: %w", ErrMissing, err)
}

// plug links a machine with the switch.
func (n *Network) plug(m *Machine, port string) error {
	return errors.Join(
		n.hub.run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", strconv.Itoa(m.ns.pid())),
		n.hub.run("ip", "link", "set", port, "master", "switch", "up"),
		m.ns.run("ip", "addr", "add", m.Addr+"/24", "dev", "eth0"),
		m.ns.run("ip", "link", "set", "lo", "up"),
		m.ns.run("ip", "link", "set", "eth0", "up"))
}

// Lose has packets between the machines get lost from now on: percent of those that the machine with index from sends to the
// one with index to, at random. What goes between the test and the machines arrives. Nil: all arrives.
func (n *Network) Lose(percent func(from, to int) int) error {
	for to, m := range n.Machines {
		rules := "flush ruleset\n"
		if percent != nil {
			rules += "table ip faults { chain in { type filter hook input priority 0;\n"
			for from, peer := range n.Machines {
				switch p := percent(from, to); {
				case from == to || p <= 0:
				case p >= 100:
					rules += fmt.Sprintf("ip saddr %s drop\n", peer.Addr)
				default:
					rules += fmt.Sprintf("ip saddr %s numgen random mod 100 < %d drop\n", peer.Addr, p)
				}
			}
			rules += "}\n}\n"
		}
		if err := m.ns.feed(rules, "nft", "-f", "-"); err != nil {
			return err
		}
	}
	return nil
}

// Close removes the network. What still runs on its machines is cut off.
func (n *Network) Close() error {
	var errs []error
	for _, m := range n.Machines {
		errs = append(errs, m.ns.close())
	}
	if n.hub != nil {
		errs = append(errs, n.hub.close())
	}
	return errors.Join(errs...)
}

// A namespace is there as long as its holder is, a process that reads its standard input to the end.
type namespace struct {
	holder *exec.Cmd
	stdin  io.Closer
}

func hold() (*namespace, error) {
	cmd := exec.Command("unshare", "--net", "sh", "-c", "echo; exec cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ns := &namespace{cmd, stdin}
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil { // it says so when the namespace is there
		ns.close()
		return nil, fmt.Errorf("unshare: %s", strings.TrimSpace(stderr.String()))
	}
	return ns, nil
}

func (ns *namespace) close() error {
	ns.stdin.Close()
	return ns.holder.Wait()
}

func (ns *namespace) pid() int { return ns.holder.Process.Pid }

func (ns *namespace) enter() []string {
	return []string{"nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", ns.pid()), "--"}
}

func (ns *namespace) run(command ...string) error { return ns.feed("", command...) }

func (ns *namespace) feed(stdin string, command ...string) error {
	return feed(stdin, append(ns.enter(), command...)...)
}

func run(command ...string) error { return feed("", command...) }

// feed runs a command with its standard input. The error has what it printed.
func feed(stdin string, command ...string) error {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
