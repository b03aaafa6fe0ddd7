// Package e2e runs real clients against the built binary.
//
// What is not installed is skipped, with a word about it; with STARLING_E2E or
// CI in the environment, as `make test` has it, it is a failure instead.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/starling-mail/starling/e2e/node"
)

// binary is the imapd under test, built by TestMain.
var binary string

const (
	user     = "ada@example.org"
	password = "correct horse"
	patience = 5 * time.Minute // with any one node
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "imapd")
	build := exec.Command("go", "build", "-o", binary, "github.com/starling-mail/starling/cmd/imapd")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build imapd: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// startNode starts a node with user in it. When the test ends, it stops the
// node and shows its log if the test failed.
func startNode(t *testing.T, settings node.Settings) *node.Node {
	t.Helper()
	n, err := node.New(binary, t.TempDir(), settings)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, n)
	if err := n.AddUser(t.Context(), user, password); err != nil {
		t.Fatal(err)
	}
	return n
}

// serve starts a node for the time of the test.
func serve(t *testing.T, n *node.Node) {
	t.Helper()
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A test that hangs gets a node that says where it was, and ends.
	watchdog := time.AfterFunc(patience+soak(), func() { n.Signal(syscall.SIGQUIT) })
	t.Cleanup(func() {
		watchdog.Stop()
		if err := n.Close(); err != nil {
			t.Errorf("stop: %v", err)
		}
		if t.Failed() {
			t.Logf("log of the node:\n%s", n.Log())
		}
	})
}

// need skips the test where a tool is missing, or fails it where all must be
// there.
func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		}
		if strict() {
			t.Fatalf("%s is not installed: run scripts/install-test-packages", tool)
		}
		t.Skipf("%s is not installed (make test installs it)", tool)
	}
}

// strict reports whether what is missing is a failure.
func strict() bool { return os.Getenv("STARLING_E2E") != "" || os.Getenv("CI") == "true" }

// run runs a client and returns what it printed. The test ends if it fails.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// write writes a file of the test's folder and returns its path.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// mail makes a message with a subject. Message-ID and body follow from it.
func mail(subject string) string {
	return strings.ReplaceAll(fmt.Sprintf(`From: Grace Hopper <grace@example.org>
To: Ada Lovelace <ada@example.org>
Subject: %s
Date: Mon, 23 Nov 2026 10:00:00 +0000
Message-ID: <%s@e2e.example>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

This is the text of %s.
`, subject, strings.ReplaceAll(subject, " ", "."), subject), "\n", "\r\n")
}

// port is the port of a host:port.
func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }
