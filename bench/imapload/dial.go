package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"
)

// target says which server to talk to and as whom.
type target struct {
	addrs    addrList
	user     string // pattern, may hold %d
	users    int
	pass     string
	tls      bool
	starttls bool
	perIP    int // sessions per local address 127.1.x.y; 0: let the kernel choose
	timeout  time.Duration
}

// userName is the login of session i: sessions go round the users.
func (t *target) userName(i int) string {
	if strings.Contains(t.user, "%d") {
		return fmt.Sprintf(t.user, i%t.users+1)
	}
	return t.user
}

// ipBindAddressNoPort (IP_BIND_ADDRESS_NO_PORT) leaves the choice of the port
// to connect(2), so that a port is used up only per (source, destination).
const ipBindAddressNoPort = 24

// dial connects session i to addr and reads the greeting.
func (t *target) dial(i int, addr string) (*conn, error) {
	d := net.Dialer{Timeout: t.timeout}
	if t.perIP > 0 {
		k := i / t.perIP
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 1, byte(k/250), byte(k%250+1))}
		d.Control = func(_, _ string, rc syscall.RawConn) error {
			return rc.Control(func(fd uintptr) {
				syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, ipBindAddressNoPort, 1)
			})
		}
	}
	nc, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &conn{nc: nc, timeout: t.timeout}
	c.deadline()
	if t.tls {
		if err := c.startTLS(); err != nil {
			nc.Close()
			return nil, err
		}
	}
	line, err := c.read()
	if err == nil && !bytes.HasPrefix(line, []byte("* OK")) && !bytes.HasPrefix(line, []byte("* PREAUTH")) {
		err = fmt.Errorf("greeting: %s", line)
	}
	if err == nil && t.starttls && !t.tls {
		if err = c.cmd("STARTTLS", nil); err == nil {
			if c.br != nil && c.br.Buffered() > 0 {
				err = errors.New("plain text after STARTTLS")
			} else {
				err = c.startTLS()
			}
		}
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// open dials and logs in session i.
func (t *target) open(i int, addr string) (*conn, error) {
	c, err := t.dial(i, addr)
	if err != nil {
		return nil, err
	}
	if err := c.cmd("LOGIN "+quote(t.userName(i))+" "+quote(t.pass), nil); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *conn) startTLS() error {
	c.park()
	tc := tls.Client(c.nc, &tls.Config{InsecureSkipVerify: true})
	c.nc = tc
	return tc.Handshake()
}
