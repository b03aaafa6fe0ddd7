package probe

import (
	"fmt"
	"net"
	"strings"
)

// Security says how a connection is protected.
type Security int

const (
	ImplicitTLS Security = iota // TLS from the first byte
	StartTLS                    // STARTTLS; on loopback, without TLS where the server has none
	Plain                       // no TLS: the password goes in the clear
)

// A Node is a server to probe.
type Node struct {
	Name     string // what it is called in reports; without one, ParseNode has all as it was written
	Addr     string // host:port
	Security Security
}

// schemes are the ways to write a Security, with the port where none is given.
var schemes = map[string]struct {
	security Security
	port     string
}{
	"imaps": {ImplicitTLS, "993"},
	"imap":  {StartTLS, "143"},
	"plain": {Plain, "143"},
}

// ParseNode reads a node as people write it: "imaps://host:port" (TLS),
// "imap://host:port" (STARTTLS) or "plain://host:port", after a name and "=" if it is to
// have one. The port may be left out; without a scheme it is imap where the port is
// 143, and imaps otherwise.
func ParseNode(s string) (Node, error) {
	name, where, ok := strings.Cut(s, "=")
	if !ok {
		where = name
	}
	scheme, hostport, ok := strings.Cut(where, "://")
	if !ok {
		scheme, hostport = "imaps", where
		if strings.HasSuffix(where, ":143") {
			scheme = "imap"
		}
	}
	how, ok := schemes[scheme]
	if !ok {
		return Node{}, fmt.Errorf("%q: want imaps://, imap:// or plain:// with host and port", s)
	}
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		host, port = strings.Trim(hostport, "[]"), how.port
	}
	if name == "" || host == "" || port == "" || strings.ContainsAny(host, "/ ") || strings.Contains(host, ":") && net.ParseIP(host) == nil {
		return Node{}, fmt.Errorf("%q: want a host, with a port, a scheme:// and a name= if need be", s)
	}
	return Node{Name: name, Addr: net.JoinHostPort(host, port), Security: how.security}, nil
}
