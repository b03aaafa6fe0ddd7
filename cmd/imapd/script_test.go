package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"imapd": main})
}

// testConfig is a configuration that listens nowhere but on Unix sockets, and
// whose hashes cost nothing.
const testConfig = `
[server]
data_dir = "data"
log_format = "json"
hostname = "test.example"

[tls]
certificates = []

[auth]
argon2_memory = "8KiB"
argon2_time = 1

[[listen]]
address = "unix:lmtp.sock"
protocol = "lmtp"
`

// TestScripts runs testdata/script. Scripts that speak of a server by the
// command "server" run twice: with a running server, through its control
// socket, and without, on the store itself.
func TestScripts(t *testing.T) {
	for _, mode := range []string{"direct", "socket"} {
		t.Run(mode, func(t *testing.T) {
			testscript.Run(t, testscript.Params{
				Dir:                 "testdata/script",
				RequireExplicitExec: true,
				Setup: func(e *testscript.Env) error {
					e.Setenv("IMAPD_CONFIG", filepath.Join(e.WorkDir, "config.toml"))
					e.Setenv("MODE", mode)
					return os.WriteFile(filepath.Join(e.WorkDir, "config.toml"), []byte(testConfig), 0o600)
				},
				Condition: func(cond string) (bool, error) { return cond == mode, nil },
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"code":   code,
					"server": startServer,
					"stopped": func(ts *testscript.TestScript, neg bool, _ []string) {
						ts.Check(awaitNobody(filepath.Join(ts.Getenv("WORK"), "data", "control.sock")))
					},
				},
			})
		})
	}
}

// code runs a program that must end with an exit code:
//
//	code 3 imapd check-config
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code number program [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// startServer starts imapd serve, in socket mode only; it ends with the script.
func startServer(ts *testscript.TestScript, neg bool, args []string) {
	if ts.Getenv("MODE") != "socket" {
		return
	}
	cmd := exec.Command("imapd", "serve")
	cmd.Dir = ts.Getenv("WORK")
	cmd.Env = append(os.Environ(), "IMAPD_CONFIG="+ts.Getenv("IMAPD_CONFIG"))
	log, err := os.Create(filepath.Join(cmd.Dir, "server.log"))
	ts.Check(err)
	cmd.Stderr = log
	ts.Check(cmd.Start())
	ts.Defer(func() {
		defer log.Close()
		cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			b, _ := os.ReadFile(log.Name())
			ts.Logf("server: %v\n%s", err, b)
		}
	})
	ts.Check(awaitSocket(filepath.Join(cmd.Dir, "data", "control.sock")))
}

// awaitSocket waits until somebody listens.
func awaitSocket(path string) error {
	return eventually(func() error {
		conn, err := net.Dial("unix", path)
		if err == nil {
			conn.Close()
		}
		return err
	})
}

// awaitNobody waits until nobody listens.
func awaitNobody(path string) error {
	return eventually(func() error {
		conn, err := net.Dial("unix", path)
		if err != nil {
			return nil
		}
		conn.Close()
		return errors.New("somebody listens on " + path)
	})
}

// eventually calls f until it succeeds, for some time.
func eventually(f func() error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("in vain: %w", err)
		}
	}
}

// leafSerial dials with TLS and returns the serial number of the certificate.
func leafSerial(addr string) (string, error) {
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}
