package stream

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/pires/go-proxyproto"
)

// The PROXY protocol's limits: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
const (
	v2Fixed  = 16   // signature, version, family, length
	v2Most   = 4096 // what we take after that: an address is 216 bytes at most, the rest are TLVs that we ignore
	v1Most   = 107
	v1Prefix = "PROXY "
)

// ErrProxyHeader is returned for a trusted proxy that sends no header, or a wrong one.
var ErrProxyHeader = errors.New("stream: no valid PROXY header")

// remoteAddr returns the address of the client behind c.
func remoteAddr(c net.Conn, o *Options) (net.Addr, error) {
	peer := c.RemoteAddr()
	if !trusted(o.Proxies, peer) {
		return peer, nil
	}
	if t := o.HeaderTimeout; t > 0 {
		if err := c.SetReadDeadline(time.Now().Add(t)); err != nil {
			return nil, err
		}
	}
	header, err := readProxyHeader(c)
	if err != nil {
		return nil, err
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	if header.Command.IsLocal() { // the proxy speaks for itself: a health check
		return peer, nil
	}
	return header.SourceAddr, nil
}

func trusted(proxies []netip.Prefix, peer net.Addr) bool {
	tcp, ok := peer.(*net.TCPAddr)
	if !ok {
		return false
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// readProxyHeader reads exactly a header and not a byte more, for what follows belongs
// to the client. It costs a few reads; no buffer stays with the connection.
func readProxyHeader(r io.Reader) (*proxyproto.Header, error) {
	buf := make([]byte, v2Fixed, v2Fixed+216)
	start := buf[:len(proxyproto.SIGV2)] // no valid header of either version is shorter
	if _, err := io.ReadFull(r, start); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProxyHeader, err)
	}
	var err error
	switch {
	case bytes.Equal(start, proxyproto.SIGV2):
		buf, err = readV2(r, buf)
	case bytes.HasPrefix(start, []byte(v1Prefix)):
		buf, err = readV1(r, start)
	default:
		err = proxyproto.ErrNoProxyProtocol
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProxyHeader, err)
	}
	header, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(buf), len(buf)))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProxyHeader, err)
	}
	if _, ok := header.SourceAddr.(*net.TCPAddr); !ok && !header.Command.IsLocal() {
		return nil, fmt.Errorf("%w: the client is not on TCP", ErrProxyHeader)
	}
	return header, nil
}

// readV2 reads the rest of a binary header; buf has room for its fixed part, and
// begins with the signature.
func readV2(r io.Reader, buf []byte) ([]byte, error) {
	if _, err := io.ReadFull(r, buf[len(proxyproto.SIGV2):]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(buf[v2Fixed-2:]))
	if n > v2Most {
		return nil, proxyproto.ErrInvalidLength
	}
	buf = slices.Grow(buf, n)[:v2Fixed+n]
	_, err := io.ReadFull(r, buf[v2Fixed:])
	return buf, err
}

// readV1 reads the rest of a header line, which says its end only by a line feed.
func readV1(r io.Reader, buf []byte) ([]byte, error) {
	for !bytes.HasSuffix(buf, []byte("\n")) {
		if len(buf) == v1Most {
			return nil, proxyproto.ErrVersion1HeaderTooLong
		}
		buf = append(buf, 0)
		if _, err := io.ReadFull(r, buf[len(buf)-1:]); err != nil {
			return nil, err
		}
	}
	return buf, nil
}
