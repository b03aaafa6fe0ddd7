//go:build unix

package e2e

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/starling-mail/starling/mailstore/postgres/pgtest"
)

// A demonstration is a running one, whose output is read line by line.
type demonstration struct {
	*exec.Cmd
	out  *bufio.Scanner
	temp string // its folder for temporary folders
	said strings.Builder
	errs strings.Builder
}

// demonstrate starts a demonstration.
func demonstrate(t *testing.T, name string, args ...string) *demonstration {
	t.Helper()
	d := &demonstration{Cmd: exec.Command(name, args...), temp: t.TempDir()}
	if err := os.Chmod(filepath.Dir(d.temp), 0o755); err != nil { // PostgreSQL runs as another user than root
		t.Fatal(err)
	}
	d.Env = append(os.Environ(), "TMPDIR="+d.temp)
	d.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	d.Stderr = &d.errs
	out, err := d.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(patience, func() { d.Process.Signal(syscall.SIGQUIT) })
	t.Cleanup(func() {
		watchdog.Stop()
		d.Process.Kill() // if the test failed
		d.Wait()
		if t.Failed() {
			t.Logf("%s\n%s", d.said.String(), d.errs.String())
		}
	})
	d.out = bufio.NewScanner(out)
	return d
}

// next reads to the line that matches, and returns what its groups matched.
func (d *demonstration) next(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for d.out.Scan() {
		d.said.WriteString(d.out.Text() + "\n")
		if m := re.FindStringSubmatch(d.out.Text()); m != nil {
			return m
		}
	}
	t.Fatalf("no line %q", pattern)
	return nil
}

// round is a line of the probe with every direction between three nodes.
const round = `^\d\d:\d\d:\d\d  n1>n2 [0-9.]+\S?s +n1>n3 [0-9.]+\S?s +n2>n1 [0-9.]+\S?s +n2>n3 [0-9.]+\S?s +n3>n1 [0-9.]+\S?s +n3>n2 [0-9.]+\S?s$`

// end ends it as Ctrl-C does: all is told, and nothing is left.
func (d *demonstration) end(t *testing.T) {
	t.Helper()
	if err := d.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	d.next(t, `^FROM +TO +CHANGE`)
	for range 18 {
		if m := d.next(t, `^n\d +n\d +\w+ +(\d+) +0 +(\d+) `); m[1] == "0" || m[2] != "0" {
			t.Errorf("%s", m[0])
		}
	}
	for d.out.Scan() {
		d.said.WriteString(d.out.Text() + "\n")
	}
	if err := d.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
	if left, err := os.ReadDir(d.temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestDemo: three nodes in one process over the embedded store tell each other
// what changes, as the probe and other clients see, and end with nothing left.
func TestDemo(t *testing.T) {
	d := demonstrate(t, binary, "demo", "--any-port", "--interval", "50ms")
	folder := d.next(t, `over one store in (\S+):$`)[1]
	var imaps, plain []string
	for range 3 {
		m := d.next(t, `^  n\d +(127\.0\.0\.1\d) +(\d+) +(\d+) +\d+$`)
		imaps, plain = append(imaps, m[1]+":"+m[2]), append(plain, m[1]+":"+m[3])
	}
	name := d.next(t, `^  Username +(\S+)$`)[1]
	secret := d.next(t, `^  Password +(\S+)$`)[1]
	for range 3 {
		d.next(t, round)
	}

	pem, err := os.ReadFile(filepath.Join(folder, "tls.crt"))
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(pem)
	told := make(chan uint32, 100)
	one, err := imapclient.DialInsecure(plain[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	three, err := imapclient.DialTLS(imaps[2], &imapclient.Options{TLSConfig: &tls.Config{RootCAs: trusted},
		UnilateralDataHandler: &imapclient.UnilateralDataHandler{Mailbox: func(m *imapclient.UnilateralDataMailbox) {
			if m.NumMessages != nil {
				told <- *m.NumMessages
			}
		}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*imapclient.Client{one, three} {
		defer c.Close()
		if err := c.Login(name, secret).Wait(); err != nil {
			t.Fatal(err)
		}
	}
	open(t, three, "INBOX")
	idle, err := three.Idle()
	if err != nil {
		t.Fatal(err)
	}
	store(t, one, "INBOX", mail("to node three"))
	// And by a subcommand on node 2.
	deliver := exec.CommandContext(t.Context(), binary, "deliver", name, "-c", filepath.Join(folder, "n2.toml"))
	deliver.Stdin = strings.NewReader(mail("delivered on node two"))
	if out, err := deliver.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for want := uint32(1); want <= 2; want++ {
		select {
		case n := <-told:
			if n != want {
				t.Errorf("told of %d messages, want %d", n, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("node 3 did not tell of message %d", want)
		}
	}
	if err := idle.Close(); err != nil {
		t.Error(err)
	}
	if out := run(t, binary, "cluster", "members", "-c", filepath.Join(folder, "n3.toml")); strings.Count(out, "out+in") != 2 {
		t.Errorf("members:\n%s", out)
	}

	// The probe goes with the clients, and comes back.
	two := filepath.Join(folder, "n2.toml")
	run(t, binary, "cluster", "drain", "--delay", "1ms", "-c", two)
	d.next(t, `^The probe has ended: n2: `)
	run(t, binary, "cluster", "drain", "--off", "-c", two)
	for range 3 {
		d.next(t, round)
	}
	d.end(t)
}

// TestDemoPortTaken: a demonstration that cannot be says why and what to do, and
// leaves nothing.
func TestDemoPortTaken(t *testing.T) {
	if l, err := net.Listen("tcp", "127.0.0.12:7947"); err == nil { // otherwise somebody else has it
		defer l.Close()
	}
	d := demonstrate(t, binary, "demo")
	for d.out.Scan() {
		t.Error(d.out.Text())
	}
	d.Wait()
	if d.ProcessState.ExitCode() != 1 || !strings.Contains(d.errs.String(), "in use; --any-port takes free ones") {
		t.Errorf("%v\n%s", d.ProcessState, d.errs.String())
	}
	if left, err := os.ReadDir(d.temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestDemoPostgres is TestDemo with three processes over PostgreSQL, by the probe
// alone.
func TestDemoPostgres(t *testing.T) {
	if !pgtest.Installed() && !strict() {
		t.Skip(pgtest.ErrMissing)
	}
	program := filepath.Join(t.TempDir(), "demo")
	run(t, "go", "build", "-o", program, "github.com/starling-mail/starling/e2e/demo")
	d := demonstrate(t, program, "-imapd", binary, "-interval", "50ms")
	db := d.next(t, `over PostgreSQL on (\S+):$`)[1]
	var pids []string
	for range 3 {
		pids = append(pids, d.next(t, `^  n\d +127\.0\.0\.1 +\d+ +\d+ +\d+ +(\d+)$`)[1])
	}
	for range 3 {
		d.next(t, round)
	}
	d.end(t)
	if c, err := net.Dial("tcp", db); err == nil {
		c.Close()
		t.Error("PostgreSQL is left")
	}
	for _, pid := range pids {
		if _, err := os.Stat("/proc/" + pid); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("process %s is left: %v", pid, err)
		}
	}
}
