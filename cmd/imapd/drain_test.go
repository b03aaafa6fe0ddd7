package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A drain is the command, in progress.
type drain struct {
	cmd    *exec.Cmd
	out    *bufio.Reader
	stderr bytes.Buffer
}

func startDrain(t *testing.T, file string, args ...string) *drain {
	t.Helper()
	d := &drain{cmd: exec.Command("imapd", append([]string{"cluster", "drain", "--config", file}, args...)...)}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.out, d.cmd.Stderr = bufio.NewReader(out), &d.stderr
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.cmd.Process.Kill() })
	return d
}

// expect reads a line that begins so.
func (d *drain) expect(t *testing.T, prefix string) {
	t.Helper()
	line, err := d.out.ReadString('\n')
	if !strings.HasPrefix(line, prefix) {
		t.Fatalf("%q (%v), want %q\n%s", line, err, prefix, d.stderr.Bytes())
	}
}

// interrupted waits for the end of a command that could not do all.
func (d *drain) interrupted(t *testing.T) {
	t.Helper()
	if err := d.cmd.Wait(); err == nil || !strings.Contains(d.stderr.String(), "it was interrupted") {
		t.Errorf("%v\n%s", err, d.stderr.Bytes())
	}
}

// drainable starts a server with a client, and returns how to see what it says to
// load balancers and to clients.
func drainable(t *testing.T) (p *process, file string, client *bufio.Reader, ready, connects func() string) {
	t.Helper()
	admin, imap := freeAddr(t), freeAddr(t)
	_, file = folder(t, fmt.Sprintf("[[listen]]\naddress = %q\nprotocol = \"imap\"\n[admin]\nlisten = %q\n", imap, admin))
	p = start(t, "serve", "--config", file)
	p.await("serving")
	c, err := net.Dial("tcp", imap)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	client = bufio.NewReader(c)
	hears(t, client, "* OK")
	ready = func() string {
		_, body := fetch(t, "http://"+admin+"/readyz")
		return strings.TrimSpace(body)
	}
	connects = func() string {
		c, err := net.Dial("tcp", imap)
		if err != nil {
			return "refused"
		}
		c.Close()
		return "accepted"
	}
	return p, file, client, ready, connects
}

func hears(t *testing.T, client *bufio.Reader, prefix string) {
	t.Helper()
	if line, err := client.ReadString('\n'); !strings.HasPrefix(line, prefix) {
		t.Fatalf("the client is told %q (%v), want %q", line, err, prefix)
	}
}

func want(t *testing.T, what string, got func() string, want string) {
	t.Helper()
	if s := got(); s != want {
		t.Errorf("%s: %q, want %q", what, s, want)
	}
}

// TestDrainIsUndone: while the delay runs clients are served as ever; there is one drain at a
// time, which --off ends; afterwards all is as it was.
func TestDrainIsUndone(t *testing.T) {
	p, file, client, ready, connects := drainable(t)
	want(t, "before", ready, "ready")
	first := startDrain(t, file, "--delay", "1h")
	first.expect(t, "not ready any more; connections are refused in 1h0m0s (1 clients)")
	want(t, "in the delay", ready, "draining")
	want(t, "in the delay", connects, "accepted")
	second := startDrain(t, file)
	if err := second.cmd.Wait(); err == nil || !strings.Contains(second.stderr.String(), "being drained already") {
		t.Errorf("a second drain: %v\n%s", err, second.stderr.Bytes())
	}
	imapd(t, "cluster", "drain", "--off", "--config", file)
	first.interrupted(t)
	want(t, "afterwards", ready, "ready")
	want(t, "afterwards", connects, "accepted")

	// And once more, to its end.
	imapd(t, "cluster", "drain", "--delay", "0s", "--config", file)
	hears(t, client, "* BYE [UNAVAILABLE]")
	want(t, "drained", ready, "draining")
	want(t, "drained", connects, "refused")
	imapd(t, "cluster", "drain", "--off", "--config", file)
	want(t, "in the end", ready, "ready")
	want(t, "in the end", connects, "accepted")
	p.stop()
}

// TestDrainIsInterrupted: without its command a drain goes no further, and nobody new
// comes in.
func TestDrainIsInterrupted(t *testing.T) {
	p, file, _, ready, _ := drainable(t)
	d := startDrain(t, file, "--delay", "1h")
	d.expect(t, "not ready any more")
	d.cmd.Process.Signal(syscall.SIGINT)
	d.cmd.Wait()
	// The server has noticed when another one can begin.
	if err := eventually(func() error {
		return exec.Command("imapd", "cluster", "drain", "--delay", "0s", "--config", file).Run()
	}); err != nil {
		t.Error(err)
	}
	want(t, "drained", ready, "draining")
	p.stop()
}

// TestStopWhileDraining: SIGTERM does what it always does.
func TestStopWhileDraining(t *testing.T) {
	p, file, client, _, _ := drainable(t)
	d := startDrain(t, file, "--delay", "1h")
	d.expect(t, "not ready any more")
	p.stop()
	hears(t, client, "* BYE")
	if err := d.cmd.Wait(); err == nil {
		t.Error("the drain says that it has come to its end")
	}
}
