package e2e

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/e2e/node"
)

// A line is a raw IMAP connection, for what client libraries hide.
type line struct {
	net.Conn
	r *bufio.Reader
}

// idling is a connection over TLS (or plain) that idles on INBOX.
func idling(t *testing.T, n *node.Node, secure bool) *line {
	t.Helper()
	var nc net.Conn
	var err error
	if secure {
		nc, err = tls.Dial("tcp", n.IMAPS, trust(t, n))
	} else {
		nc, err = net.Dial("tcp", n.IMAP)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	l := &line{nc, bufio.NewReader(nc)}
	l.until(t, "* OK")
	l.say(t, fmt.Sprintf("a LOGIN %q %q", user, password))
	l.until(t, "a OK")
	l.say(t, "b SELECT INBOX")
	l.until(t, "b OK")
	l.say(t, "c IDLE")
	l.until(t, "+")
	return l
}

func (l *line) say(t *testing.T, text string) {
	t.Helper()
	if _, err := fmt.Fprintf(l, "%s\r\n", text); err != nil {
		t.Fatal(err)
	}
}

// until reads up to the line that begins with prefix.
func (l *line) until(t *testing.T, prefix string) {
	t.Helper()
	l.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		text, err := l.r.ReadString('\n')
		if err != nil {
			t.Fatalf("waiting for %q: %v", prefix, err)
		}
		if strings.HasPrefix(text, prefix) {
			return
		}
	}
}

// TestInterrupt: Ctrl-C, with clients that wait, as they always do (P9).
func TestInterrupt(t *testing.T) {
	n := startNode(t, nil)
	var clients []*line
	for i := range 20 {
		clients = append(clients, idling(t, n, i%2 == 0))
	}
	start := time.Now()
	if err := n.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for _, c := range clients {
		c.until(t, "* BYE")
	}
	code, err := n.Wait(20 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	t.Logf("stopped in %v", time.Since(start).Round(time.Millisecond))
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("took %v: idle clients must not hold up a stop", took)
	}
}

// TestKill: after kill -9 everything that was acknowledged is there, and UIDs
// go on (P2). Many more moments of death are tried on the store itself.
func TestKill(t *testing.T) {
	n := startNode(t, nil)
	c := login(t, n, nil)
	idling(t, n, true)
	var last *imap.AppendData
	var want []string
	for i := range 20 {
		want = append(want, fmt.Sprint("kept ", i))
		last = store(t, c, "INBOX", mail(want[i]))
	}
	n.Kill()
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := subjects(t, n); strings.Join(got, ",") != strings.Join(want, ",") {
		t.Errorf("after kill -9: %q", got)
	}
	c = login(t, n, nil)
	after := store(t, c, "INBOX", mail("after"))
	if after.UIDValidity != last.UIDValidity || after.UID <= last.UID {
		t.Errorf("UID %d:%d after %d:%d", after.UIDValidity, after.UID, last.UIDValidity, last.UID)
	}
	if err := n.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Wait(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	if out, err := n.Run(t.Context(), "", "check-store"); err != nil {
		t.Errorf("check-store: %v\n%s", err, out)
	}
}

// TestWrongConfiguration: all faults at once, each with its key and line.
func TestWrongConfiguration(t *testing.T) {
	file := write(t, t.TempDir(), "config.toml", `[server]
data_dir = "data"
hostnaem = "mail.example.org"

[imap]
plaintext_auth = "sometimes"
`)
	for _, command := range []string{"check-config", "serve"} {
		out, err := exec.CommandContext(t.Context(), binary, command, "--config", file).CombinedOutput()
		if err == nil {
			t.Errorf("%s accepted it", command)
		}
		for line, key := range map[string]string{"3": "hostnaem", "6": "plaintext_auth"} {
			found := false
			for text := range strings.Lines(string(out)) {
				found = found || strings.Contains(text, key) && strings.Contains(text, line)
			}
			if !found {
				t.Errorf("%s: no word about %s in line %s:\n%s", command, key, line, out)
			}
		}
	}
}
