package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/config"
)

// A process is imapd as a child of the test.
type process struct {
	*exec.Cmd
	t    *testing.T
	log  chan map[string]any // lines of the log; closed at the end
	done bool
}

// start starts imapd; what it logs must be JSON.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command("imapd", args...), t: t, log: make(chan map[string]any, 1000)}
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.log)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			var line map[string]any
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
				line = map[string]any{"message": lines.Text()}
			}
			p.log <- line
		}
	}()
	t.Cleanup(func() {
		if !p.done {
			p.Process.Kill()
			p.end()
		}
	})
	return p
}

// await returns the next line of the log with that message.
func (p *process) await(message string) map[string]any {
	p.t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		select {
		case line, ok := <-p.log:
			if !ok {
				p.t.Fatalf("the log ended before %q", message)
			}
			if line["message"] == message {
				return line
			}
		case <-timeout:
			p.t.Fatalf("no log line %q", message)
		}
	}
}

// end waits for the end and returns the last lines of the log.
func (p *process) end() (code int, rest string) {
	for line := range p.log {
		rest += fmt.Sprintln(line["level"], line["message"])
	}
	p.done = true
	if err := p.Wait(); err != nil {
		return p.ProcessState.ExitCode(), rest
	}
	return 0, rest
}

// stop ends it cleanly.
func (p *process) stop() {
	p.t.Helper()
	p.Process.Signal(syscall.SIGTERM)
	if code, rest := p.end(); code != 0 {
		p.t.Errorf("exit code %d\n%s", code, rest)
	}
}

// imapd runs a command that must succeed and returns what it prints.
func imapd(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("imapd", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("imapd %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return string(out)
}

// folder returns a folder with a configuration: testConfig and more.
func folder(t *testing.T, more string) (dir, file string) {
	t.Helper()
	// Not t.TempDir: names of sockets must be short.
	dir, err := os.MkdirTemp("", "imapd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	file = filepath.Join(dir, "config.toml")
	write(t, file, testConfig+more)
	return dir, file
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func TestReload(t *testing.T) {
	dir, file := folder(t, "")
	addr := freeAddr(t)
	conf := strings.Replace(testConfig, "certificates = []", `certificates = [{cert = "../a.crt", key = "../a.key"}]`, 1) +
		"[[listen]]\naddress = '" + addr + "'\nprotocol = 'imaps'\n"
	write(t, file, conf)
	crt, key := filepath.Join(dir, "a.crt"), filepath.Join(dir, "a.key")
	if err := selfSigned(crt, key); err != nil {
		t.Fatal(err)
	}
	p := start(t, "serve", "-c", file)
	p.await("serving")
	imapd(t, "user", "add", "alice", "--random", "-c", file)

	serial := func() string {
		t.Helper()
		s, err := leafSerial(addr)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := serial()
	for _, f := range []string{crt, key} {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := selfSigned(crt, key); err != nil {
		t.Fatal(err)
	}
	write(t, file, strings.Replace(conf, `hostname = "test.example"`, "hostname = 'other'\nlog_level = 'debug'", 1)+
		"[quota]\ndefault_storage = '1GiB'\n[imap]\nmax_per_user = 3\n")
	p.Process.Signal(syscall.SIGHUP)
	p.await("certificates are reloaded")
	if line := p.await("the configuration is reloaded"); line["keys"] != "server.log_level imap.max_per_user quota.default_storage" {
		t.Errorf("taken over: %v", line["keys"])
	}
	if line := p.await("these changes need a restart"); line["keys"] != "server.hostname" {
		t.Errorf("for a restart: %v", line["keys"])
	}
	if after := serial(); after == before {
		t.Error("the certificate is still the old one")
	}
	if out := imapd(t, "quota", "get", "alice", "-c", file); !strings.Contains(out, "1G") {
		t.Errorf("quota after the reload:\n%s", out)
	}

	// Faults change nothing.
	write(t, file, "[server]\nlog_level = 'loud'\n")
	write(t, crt, "broken")
	p.Process.Signal(syscall.SIGHUP)
	p.await("certificates are not reloaded")
	if line := p.await("the configuration is not reloaded"); !strings.Contains(fmt.Sprint(line["error"]), "config.toml:2: server.log_level") {
		t.Errorf("%v", line)
	}
	serial()
	p.stop()
}

// TestReloadTakesWhatIsMarked: reload takes over exactly the keys that Diff says it
// does.
func TestReloadTakesWhatIsMarked(t *testing.T) {
	current, next := config.Default(), config.Default()
	next.Server.LogLevel, next.Server.Hostname = "debug", "other"
	next.IMAP = config.IMAP{PlaintextAuth: config.PlaintextAlways}
	next.Quota = config.Quota{DefaultStorage: 5, DefaultMessages: 6}
	next.Listen = nil
	merged := merge(current, next)
	left, _ := config.Diff(&merged, next)
	taken, kept := config.Diff(current, &merged)
	if len(left) > 0 || len(kept) > 0 || len(taken) < 10 {
		t.Errorf("not taken over: %v; taken over without being marked: %v; taken: %v", left, kept, taken)
	}
}

// TestStop: SIGTERM says BYE to clients that do nothing, and removes the
// sockets.
func TestStop(t *testing.T) {
	dir, file := folder(t, "")
	addr := freeAddr(t)
	write(t, file, testConfig+"[[listen]]\naddress = '"+addr+"'\nprotocol = 'imap'\n")
	p := start(t, "serve", "-c", file)
	p.await("serving")
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "* OK") {
		t.Fatalf("%q %v", line, err)
	}
	begin := time.Now()
	p.stop()
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("stopping took %v", d)
	}
	if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "* BYE") {
		t.Errorf("%q %v", line, err)
	}
	for _, name := range []string{"control.sock", "lmtp.sock"} {
		if _, err := os.Stat(filepath.Join(dir, "data", name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStartAfterKill: what a killed server leaves behind does not hinder the
// next.
func TestStartAfterKill(t *testing.T) {
	dir, file := folder(t, "")
	p := start(t, "serve", "-c", file)
	p.await("serving")
	p.Process.Kill()
	p.end()
	if _, err := os.Stat(filepath.Join(dir, "data", "lmtp.sock")); err != nil {
		t.Fatal(err)
	}
	imapd(t, "user", "add", "alice", "--random", "-c", file)
	p = start(t, "serve", "-c", file)
	p.await("serving")
	info, err := os.Stat(filepath.Join(dir, "data", "control.sock"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("control socket: %v %v", info.Mode(), err)
	}
	p.stop()
}

// TestSecondServer: it is refused, says why, and does no harm to the first.
func TestSecondServer(t *testing.T) {
	_, file := folder(t, "")
	p := start(t, "serve", "-c", file)
	p.await("serving")
	second := start(t, "serve", "-c", file)
	if code, rest := second.end(); code != exitFailure || !strings.Contains(rest, "another process has the data folder open") {
		t.Errorf("code %d\n%s", code, rest)
	}
	imapd(t, "user", "list", "-c", file)
	p.stop()
}

func TestAddressInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dir, file := folder(t, "[[listen]]\naddress = '"+ln.Addr().String()+"'\nprotocol = 'imap'\n"+
		"[[listen]]\naddress = 'unix:/nonexistent/x.sock'\nprotocol = 'lmtp'\n")
	p := start(t, "serve", "-c", file)
	code, rest := p.end()
	if code != exitFailure || !strings.Contains(rest, ln.Addr().String()+" (imap): another program listens there") ||
		!strings.Contains(rest, "unix:/nonexistent/x.sock (lmtp): ") {
		t.Errorf("code %d\n%s", code, rest)
	}
	if _, err := os.Stat(filepath.Join(dir, "data", "control.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the control socket is left: %v", err)
	}
}

// TestCommandsAtOnce: subcommands and a server that starts meanwhile all do
// their work, whoever gets the data folder.
func TestCommandsAtOnce(t *testing.T) {
	_, file := folder(t, "")
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			out, err := exec.Command("imapd", "user", "add", fmt.Sprintf("user%d", i), "--random", "-c", file).CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	var p *process
	err := eventually(func() error {
		p = start(t, "serve", "-c", file)
		for line := range p.log {
			if line["message"] == "serving" {
				return nil
			}
		}
		p.end()
		return errors.New("the data folder is in use")
	})
	if err != nil {
		t.Fatal(err)
	}
	all.Wait()
	if n := strings.Count(imapd(t, "user", "list", "-c", file), "enabled"); n != 6 {
		t.Errorf("%d users, want 6", n)
	}
	p.stop()
}

// TestDataFolderInUse: a subcommand waits for a process that has the data
// folder and no control socket, such as another subcommand.
func TestDataFolderInUse(t *testing.T) {
	_, file := folder(t, "")
	c, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	n, err := open(t.Context(), c, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("imapd", "user", "list", "-c", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	if err := n.close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestNotify(t *testing.T) {
	dir, file := folder(t, "")
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	p := start(t, "serve", "-c", file)
	read := func() string {
		b := make([]byte, 100)
		conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	if s := read(); s != "READY=1" {
		t.Errorf("%q", s)
	}
	p.stop()
	if s := read(); s != "STOPPING=1" {
		t.Errorf("%q", s)
	}
}

var printedPassword = regexp.MustCompile(`(?m)^  Password +(\S+)$`)

// TestQuickstart: the first run makes everything, the second keeps it. Ports
// are changed so that the test can run beside a real one.
func TestQuickstart(t *testing.T) {
	dir, _ := folder(t, "")
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	conf := string(quickstartConfig)
	for _, addr := range []string{"127.0.0.1:1143", "127.0.0.1:1993", "127.0.0.1:1024"} {
		conf = strings.Replace(conf, addr, freeAddr(t), 1)
	}
	if _, err := config.Parse("quickstart.toml", quickstartConfig); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(data, "config.toml"), conf)
	run := func() string {
		p := &process{Cmd: exec.Command("imapd", "serve", "--quickstart", "--data", data), t: t, log: make(chan map[string]any)}
		close(p.log)
		var out bytes.Buffer
		p.Stdout = &out
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		if err := awaitSocket(filepath.Join(data, "control.sock")); err != nil {
			t.Fatal(err)
		}
		if err := eventually(func() error {
			cmd := exec.Command("imapd", "deliver", "alice", "-c", filepath.Join(data, "config.toml"))
			cmd.Stdin = strings.NewReader("Subject: Hello\n\nIt works.\n")
			return cmd.Run()
		}); err != nil {
			t.Error(err)
		}
		p.stop()
		return out.String()
	}
	first := run()
	if printedPassword.FindString(first) == "" || !strings.Contains(first, "deliver alice@localhost -c "+data+"/config.toml") {
		t.Errorf("it printed\n%s", first)
	}
	cert, err := os.ReadFile(filepath.Join(data, "tls.crt"))
	if err != nil {
		t.Fatal(err)
	}
	second := run()
	if printedPassword.FindString(second) != "" || !strings.Contains(second, "user passwd alice@localhost --random -c "+data+"/config.toml") {
		t.Errorf("the second time it printed\n%s", second)
	}
	if again, err := os.ReadFile(filepath.Join(data, "tls.crt")); err != nil || !bytes.Equal(again, cert) {
		t.Errorf("another certificate, %v", err)
	}
}
