package config

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// check reports what is wrong with values taken together, and with those whose
// form the tags cannot say.
func (d *decoder) check(c *Config) {
	if c.Server.DataDir == "" {
		d.fault("server.data_dir", "must not be empty")
	}
	switch n := len(c.Server.ControlSocket); {
	case n == 0:
		d.fault("server.control_socket", "must not be empty")
	case n > maxSocketPath:
		d.fault("server.control_socket", "%q; allowed: a path of at most %d bytes", c.Server.ControlSocket, maxSocketPath)
	}
	d.checkListeners(c)
	d.checkMailboxes(c.Mailboxes.Default)
	d.checkNodes(c)
	if c.Admin.Listen != "" {
		if err := checkAddress("tcp", c.Admin.Listen); err != nil {
			d.fault("admin.listen", "%q %v; allowed: host:port such as \"127.0.0.1:8993\", or nothing", c.Admin.Listen, err)
		}
	}
	for i, pair := range c.TLS.Certificates {
		if pair.Cert == "" || pair.Key == "" {
			d.fault(fmt.Sprintf("tls.certificates[%d]", i), "needs both cert and key")
		}
	}
	if c.Auth.ThrottleMax < c.Auth.ThrottleBase {
		d.fault("auth.throttle_max", "%q; allowed: not less than throttle_base", formatDuration(c.Auth.ThrottleMax))
	}
	if len(c.IMAP.ID) > maxIDFields {
		d.fault("imap.id", "has more than %d fields (RFC 2971 §3.3)", maxIDFields)
	}
	for i, f := range c.IMAP.ID {
		if f.Name == "" || len(f.Name) > maxIDName || len(f.Value) > maxIDValue {
			d.fault(fmt.Sprintf("imap.id[%d]", i), "name must have 1 to %d bytes, value at most %d (RFC 2971 §3.3)", maxIDName, maxIDValue)
		}
	}
}

// maxSocketPath is what systems allow for the path of a Unix socket, in bytes.
const maxSocketPath = 103

// Limits of RFC 2971 §3.3.
const (
	maxIDFields = 30
	maxIDName   = 30
	maxIDValue  = 1024
)

func (d *decoder) checkListeners(c *Config) {
	if len(c.Listen) == 0 {
		d.fault("listen", "there must be at least one listener")
	}
	seen := make(map[string]int)
	for i, l := range c.Listen {
		key := fmt.Sprintf("listen[%d]", i)
		if l.Protocol == "" {
			d.fault(key+".protocol", "is missing; allowed: imap, imaps, lmtp")
		}
		network, address := l.Network()
		if err := checkAddress(network, address); err != nil {
			d.fault(key+".address", "%q %v; allowed: host:port, or unix: and a path", l.Address, err)
		}
		if first, ok := seen[l.Address]; ok && !strings.HasSuffix(l.Address, ":0") {
			d.fault(key+".address", "%q is the address of listen[%d] too", l.Address, first)
		} else {
			seen[l.Address] = i
		}
		if len(l.ProxyFrom) > 0 && (network == "unix" || l.Protocol == ProtocolLMTP) {
			d.fault(key+".proxy_from", "serves imap and imaps on TCP only")
		}
		if network == "unix" && (l.Protocol == ProtocolIMAP || l.Protocol == ProtocolIMAPS) {
			d.fault(key+".address", "imap and imaps are served on TCP only")
		}
		if _, err := l.Mode(); err != nil {
			d.fault(key+".socket_mode", "%q; allowed: an octal number such as \"0660\"", l.SocketMode)
		} else if l.SocketMode != "" && network != "unix" {
			d.fault(key+".socket_mode", "is for Unix sockets only")
		}
		if l.Protocol == ProtocolIMAPS && len(c.TLS.Certificates) == 0 {
			d.fault(key+".protocol", "imaps needs tls.certificates")
		}
	}
}

func checkAddress(network, address string) error {
	if network == "unix" {
		if address == "" {
			return fmt.Errorf("has no path")
		}
		if len(address) > maxSocketPath {
			return fmt.Errorf("is a path longer than %d bytes", maxSocketPath)
		}
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("has no port")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("has no port from 0 to 65535")
	}
	return nil
}

// specialUses are those of RFC 6154 and RFC 8457 that a mailbox can be created with.
const specialUses = `\Archive \Drafts \Important \Junk \Sent \Trash`

func (d *decoder) checkMailboxes(list []Mailbox) {
	names, uses := make(map[string]bool), make(map[string]bool)
	for i, m := range list {
		key := fmt.Sprintf("mailboxes.default[%d]", i)
		switch {
		case m.Name == "":
			d.fault(key+".name", "is missing")
		case strings.EqualFold(m.Name, "INBOX"):
			d.fault(key+".name", "INBOX is there in any case")
		case names[m.Name]:
			d.fault(key+".name", "%q is there twice", m.Name)
		}
		names[m.Name] = true
		if m.Use == "" {
			continue
		}
		if !strings.Contains(" "+specialUses+" ", " "+m.Use+" ") {
			d.fault(key+".use", "%q; allowed: %s", m.Use, specialUses)
		} else if uses[m.Use] {
			d.fault(key+".use", "%q is given twice", m.Use)
		}
		uses[m.Use] = true
	}
}
