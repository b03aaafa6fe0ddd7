package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestImportSurvivesKill kills an import, or the server that it works through,
// at some moments, and runs it again: every message is there once, with its UID.
func TestImportSurvivesKill(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	const messages = 700
	source := filepath.Join(t.TempDir(), "Maildir")
	for _, sub := range []string{"cur", "new"} {
		if err := os.MkdirAll(filepath.Join(source, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	list := fmt.Sprintf("3 V77 N%d\n", 5*messages)
	for i := range messages {
		name := fmt.Sprintf("%05d.host", i)
		write(t, filepath.Join(source, "cur", name+":2,S"), "Subject: one of many\n\n")
		list += fmt.Sprintf("%d :%s\n", 3*i+1, name)
	}
	write(t, filepath.Join(source, "dovecot-uidlist"), list)

	for _, c := range []struct {
		name             string
		withServer, kill bool // kill: the server, not the import
	}{{"direct", false, false}, {"socket", true, false}, {"server", true, true}} {
		t.Run(c.name, func(t *testing.T) {
			dir, file := folder(t, "")
			imapd(t, "user", "add", "alice", "--random", "-c", file)
			for _, batches := range []int{1, 3} {
				var server *process
				if c.withServer {
					server = start(t, "serve", "-c", file)
					server.await("serving")
				}
				cmd := exec.Command("imapd", "import", "alice", source, "-c", file)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				err := eventually(func() error {
					logs, _ := filepath.Glob(filepath.Join(dir, "data", "imports", "*.journal"))
					if len(logs) == 1 {
						b, _ := os.ReadFile(logs[0])
						if n := bytes.Count(b, []byte(`"ok":true`)); n >= batches {
							return nil
						}
					}
					return errors.New("not that far")
				})
				if err != nil {
					t.Error(err)
				}
				if c.kill {
					server.Process.Kill()
					server.end()
				} else {
					cmd.Process.Kill()
				}
				cmd.Wait() // it may have been done before
				if c.withServer && !c.kill {
					server.stop()
				}
			}
			imapd(t, "import", "alice", source, "-c", file)
			if out := imapd(t, "quota", "get", "alice", "-c", file); !strings.Contains(out, fmt.Sprintf(" %d ", messages)) {
				t.Errorf("want %d messages\n%s", messages, out)
			}
			imapd(t, "export", "alice", filepath.Join(dir, "out"), "-c", file)
			got, err := os.ReadFile(filepath.Join(dir, "out", "dovecot-uidlist"))
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(string(got)), "\n")
			if len(lines) != messages+1 || lines[0] != fmt.Sprintf("3 V77 N%d", 5*messages) {
				t.Fatalf("%d lines, the first %q", len(lines), lines[0])
			}
			for i, line := range lines[1:] {
				if uid, _, _ := strings.Cut(line, " "); uid != fmt.Sprint(3*i+1) {
					t.Fatalf("message %d has UID %s", i, uid)
				}
			}
		})
	}
}
