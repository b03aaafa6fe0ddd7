package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/e2e/dovecot"
)

// probing is "imapd probe" for nodes, with the patience that a loaded machine needs.
func probing(t *testing.T, password string, nodes []string, args ...string) *exec.Cmd {
	t.Helper()
	all := []string{"probe", "--user", user, "--wait", "60s", "--timeout", "60s", "--max-latency", "60s", "--poll", "20ms", "--interval", "10ms"}
	for _, n := range nodes {
		all = append(all, "--node", n)
	}
	cmd := exec.CommandContext(t.Context(), binary, append(all, args...)...)
	cmd.Env = append(os.Environ(), "IMAPD_PROBE_PASSWORD="+password)
	return cmd
}

// probe runs a probe that must end with a code, and returns what it printed on
// its two streams.
func probe(t *testing.T, cmd *exec.Cmd, code int) (out, complaint string) {
	t.Helper()
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok || cmd.ProcessState.ExitCode() != code {
		t.Fatalf("%v, want code %d; %v\n%s%s", err, code, exit, stdout.String(), stderr.String())
	}
	return stdout.String(), stderr.String()
}

// probeReport is what a probe prints as JSON.
type probeReport struct {
	InTime  bool   `json:"in_time"`
	Error   string `json:"error"`
	Rounds  int    `json:"rounds"`
	Figures []struct {
		From, To, Kind      string
		Told, Late, Missing int
		Max                 float64 `json:"max_ms"`
	} `json:"figures"`
}

func readReport(t *testing.T, out string) (r probeReport) {
	t.Helper()
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return r
}

// TestProbeDovecot: the probe works on another server, with and without IDLE,
// by each way to connect, and leaves it as it was.
func TestProbeDovecot(t *testing.T) {
	for name, c := range map[string]dovecot.Config{"idle": {}, "poll": {NoIdle: true}} {
		t.Run(name, func(t *testing.T) {
			c.Users, c.Password = []string{user}, password
			s, err := dovecot.Start(t.Context(), c)
			if errors.Is(err, dovecot.ErrMissing) && !strict() {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}()
			nodes := []string{"imaps://" + s.IMAPS, "imap://" + s.IMAP, "plain://" + s.IMAP}
			probed := nodes
			if !c.NoIdle {
				probed = nodes[:2] // this Dovecot tells half a second late
			}
			out, _ := probe(t, probing(t, password, probed, "--ca", s.CertFile, "--server-name", "localhost", "--count", "1"), 0)
			if lines := strings.Split(out, "\n"); len(lines) != 1+len(probed)*(len(probed)-1)*3+1 || !strings.HasPrefix(out, "FROM ") {
				t.Errorf("%s", out)
			}
			boxes, err := os.ReadDir(s.Mail("ada"))
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range boxes {
				if strings.Contains(b.Name(), "probe") {
					t.Errorf("%s is left behind", b.Name())
				}
			}

			if c.NoIdle { // nothing is told before anybody asks
				out, _ := probe(t, probing(t, password, nodes[2:], "--node", nodes[2], "--count", "1", "--wait", "10ms", "--poll", "1h", "--json"), 1)
				if r := readReport(t, out); r.InTime || len(r.Figures) == 0 || r.Figures[0].Missing == 0 || !strings.Contains(out, `"missing": true`) {
					t.Errorf("nothing was told: %s", out)
				}
			}
			_, complaint := probe(t, probing(t, "guess", nodes[2:], "--node", nodes[2]), 2)
			if !strings.Contains(complaint, "login of "+user) {
				t.Errorf("wrong password: %s", complaint)
			}
			_, complaint = probe(t, probing(t, password, nodes[:2]), 2)
			if !strings.Contains(complaint, "certificate") {
				t.Errorf("unknown authority: %s", complaint)
			}
		})
	}
}

// TestProbeCluster: what changes on any node is told on each other one; a node
// that is killed ends the probe, and SIGINT does with the figures so far.
func TestProbeCluster(t *testing.T) {
	nodes := startCluster(t, 3, "2s")
	var addrs []string
	for _, n := range nodes {
		addrs = append(addrs, "plain://"+n.IMAP)
	}
	out, _ := probe(t, probing(t, password, addrs, "--json", "--count", "5"), 0)
	r := readReport(t, out)
	if !r.InTime || r.Rounds != 5 || len(r.Figures) != 6*3 {
		t.Errorf("%s", out)
	}
	for _, f := range r.Figures {
		if f.Told != 5 || f.From == f.To {
			t.Errorf("%+v", f)
		}
	}
	list, err := login(t, nodes[1], nil).List("", "*probe*", &imap.ListOptions{}).Collect()
	if err != nil || len(list) > 0 {
		t.Errorf("left behind: %v, %v", list, err)
	}

	for _, c := range []struct {
		end  func(*exec.Cmd) error
		code int
		says string
	}{
		{func(cmd *exec.Cmd) error { return cmd.Process.Signal(os.Interrupt) }, 0, ""},
		{func(*exec.Cmd) error { nodes[2].Kill(); return nil }, 2, "imapd: " + addrs[2] + ": "},
	} {
		cmd := probing(t, password, addrs, "--count", "0", "--verbose")
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var stderr strings.Builder
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		watchdog := time.AfterFunc(patience, func() { cmd.Process.Signal(syscall.SIGQUIT) })
		in := bufio.NewScanner(stdout)
		for n := 0; n < 20 && in.Scan(); n++ {
		}
		if err := c.end(cmd); err != nil {
			t.Fatal(err)
		}
		var rest strings.Builder
		for in.Scan() {
			rest.WriteString(in.Text() + "\n")
		}
		cmd.Wait()
		watchdog.Stop()
		if code := cmd.ProcessState.ExitCode(); code != c.code || !strings.HasPrefix(stderr.String(), c.says) || !strings.Contains(rest.String(), "FROM ") {
			t.Errorf("code %d, want %d\n%s%s", code, c.code, rest.String(), stderr.String())
		}
	}
	if err := nodes[2].Start(t.Context()); err != nil { // so that it can be stopped in order
		t.Error(err)
	}
}
