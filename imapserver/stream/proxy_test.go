package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// v2 makes a binary header.
func v2(command, family byte, body ...byte) string {
	h := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), command, family)
	h = binary.BigEndian.AppendUint16(h, uint16(len(body)))
	return string(append(h, body...))
}

var (
	v2TCP4  = v2(0x21, 0x11, 192, 0, 2, 7, 198, 51, 100, 1, 0x30, 0x39, 0, 143)
	v2TCP6  = v2(0x21, 0x21, append(append(net.ParseIP("2001:db8::7"), net.ParseIP("2001:db8::1")...), 0x30, 0x39, 0, 143)...)
	v2Local = v2(0x20, 0x00)
)

var proxyHeaders = map[string]struct {
	in   string
	want string // "": refused; "local": the proxy itself
}{
	"v1 TCP4":               {"PROXY TCP4 192.0.2.7 198.51.100.1 12345 143\r\n", "192.0.2.7:12345"},
	"v1 TCP6":               {"PROXY TCP6 2001:db8::7 2001:db8::1 12345 143\r\n", "[2001:db8::7]:12345"},
	"v1 UNKNOWN":            {"PROXY UNKNOWN\r\n", "local"},
	"v1 UNKNOWN, addresses": {"PROXY UNKNOWN " + strings.Repeat("f", 91) + "\r\n", "local"},
	"v2 TCP4":               {v2TCP4, "192.0.2.7:12345"},
	"v2 TCP6":               {v2TCP6, "[2001:db8::7]:12345"},
	"v2 TLVs":               {v2(0x21, 0x11, 192, 0, 2, 7, 198, 51, 100, 1, 0x30, 0x39, 0, 143, 4, 0, 1, 0), "192.0.2.7:12345"},
	"v2 LOCAL":              {v2Local, "local"},
	"v2 LOCAL, 300 bytes":   {v2(0x20, 0x00, make([]byte, 300)...), "local"},
	"none":                  {"a LOGIN joe secret\r\n", ""},
	"v1 too long":           {"PROXY UNKNOWN " + strings.Repeat("f", 120) + "\r\n", ""},
	"v1 bare LF":            {"PROXY TCP4 192.0.2.7 198.51.100.1 12345 143\n", ""},
	"v1 bad address":        {"PROXY TCP4 192.0.2.777 198.51.100.1 12345 143\r\n", ""},
	"v1 bad port":           {"PROXY TCP4 192.0.2.7 198.51.100.1 123456 143\r\n", ""},
	"v1 cut off":            {"PROXY TCP4 192.0.2.7", ""},
	"v2 cut off":            {v2TCP4[:20], ""},
	"v2 UDP":                {v2(0x21, 0x12, 192, 0, 2, 7, 198, 51, 100, 1, 0x30, 0x39, 0, 143), ""},
	"v2 Unix":               {v2(0x21, 0x31, make([]byte, 216)...), ""},
	"v2 unknown command":    {v2(0x22, 0x11, make([]byte, 12)...), ""},
	"v2 too long":           {v2(0x21, 0x11, make([]byte, 5000)...), ""},
	"v2 too short":          {v2(0x21, 0x11, 1, 2, 3), ""},
	"nothing":               {"", ""},
}

func TestProxyHeader(t *testing.T) {
	const rest = "a NOOP\r\n"
	for name, test := range proxyHeaders {
		t.Run(name, func(t *testing.T) {
			in := test.in
			if test.want != "" {
				in += rest
			}
			r := strings.NewReader(in)
			h, err := readProxyHeader(iotest.HalfReader(r)) // in as many segments as may be
			if test.want == "" {
				if !errors.Is(err, ErrProxyHeader) {
					t.Fatalf("got %+v, %v", h, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if h.Command.IsLocal() != (test.want == "local") || !h.Command.IsLocal() && h.SourceAddr.String() != test.want {
				t.Errorf("got %+v, want %s", h, test.want)
			}
			if left, _ := io.ReadAll(r); string(left) != rest {
				t.Errorf("left to the client's stream: %q", left)
			}
		})
	}
}

func FuzzProxyHeader(f *testing.F) {
	for _, test := range proxyHeaders {
		f.Add([]byte(test.in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		h, err := readProxyHeader(r)
		if read := len(in) - r.Len(); read > v2Fixed+v2Most {
			t.Fatalf("read %d bytes", read)
		}
		if err == nil && !h.Command.IsLocal() && h.SourceAddr.(*net.TCPAddr).IP == nil {
			t.Fatal("an address without an IP")
		}
	})
}

func TestAccept(t *testing.T) {
	loop := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	other := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	t.Run("trusted", func(t *testing.T) {
		client, server := loopback(t)
		send(t, client, v2TCP4+"a NOOP\r\n")
		c, err := Accept(server, &Options{Proxies: loop, HeaderTimeout: soon})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.RemoteAddr().String(); got != "192.0.2.7:12345" {
			t.Errorf("RemoteAddr is %s", got)
		}
		receive(t, c, "a NOOP\r\n")
	})
	t.Run("health check", func(t *testing.T) {
		client, server := loopback(t)
		send(t, client, v2Local)
		c, err := Accept(server, &Options{Proxies: loop, HeaderTimeout: soon})
		if err != nil {
			t.Fatal(err)
		}
		if c.RemoteAddr().String() != client.LocalAddr().String() {
			t.Errorf("RemoteAddr is %s", c.RemoteAddr())
		}
	})
	t.Run("not trusted", func(t *testing.T) {
		client, server := loopback(t)
		c, err := Accept(server, &Options{Proxies: other, HeaderTimeout: soon})
		if err != nil {
			t.Fatal(err)
		}
		send(t, client, v2TCP4)
		if c.RemoteAddr().String() != client.LocalAddr().String() {
			t.Errorf("RemoteAddr is %s", c.RemoteAddr())
		}
		receive(t, c, v2TCP4) // the client's own words
	})
	t.Run("silent", func(t *testing.T) {
		_, server := loopback(t)
		_, err := Accept(server, &Options{Proxies: loop, HeaderTimeout: 10 * time.Millisecond})
		if !errors.Is(err, ErrProxyHeader) {
			t.Fatal(err)
		}
	})
}

func TestTrusted(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("fe80::/10")}
	for addr, want := range map[string]bool{
		"192.0.2.1":        true,
		"::ffff:192.0.2.1": true, // as a socket for both families tells it
		"192.0.3.1":        false,
		"fe80::1%eth0":     true,
		"2001:db8::1":      false,
	} {
		ip := netip.MustParseAddr(addr)
		peer := &net.TCPAddr{IP: ip.AsSlice(), Zone: ip.Zone()}
		if got := trusted(proxies, peer); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
	if trusted(proxies, &net.UnixAddr{Name: "192.0.2.1"}) {
		t.Error("a Unix socket is trusted")
	}
}
