package imapserver_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/starling-mail/starling/imapserver"
)

// BenchmarkNoop is a whole command that does nothing, over a loopback socket: what each command costs. Allocations are the server's
// and the client's, which has none.
func BenchmarkNoop(b *testing.B) {
	h := newHost(b, imapserver.DefaultSettings())
	c, err := net.Dial("tcp", h.listen(imapserver.ListenerOptions{}))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	say := func(command string) {
		if _, err := fmt.Fprintf(c, "%s\r\n", command); err != nil {
			b.Fatal(err)
		}
	}
	await := func(prefix string) {
		for {
			line, err := r.ReadSlice('\n')
			if err != nil {
				b.Fatal(err)
			}
			if strings.HasPrefix(string(line), prefix) {
				return
			}
		}
	}
	await("* OK")
	say("a LOGIN alice secret")
	await("a OK")
	say("b SELECT INBOX")
	await("b OK")
	noop := []byte("c NOOP\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(noop); err != nil {
			b.Fatal(err)
		}
		if _, err := r.ReadSlice('\n'); err != nil {
			b.Fatal(err)
		}
	}
}
