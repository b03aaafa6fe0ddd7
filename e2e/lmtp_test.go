package e2e

import (
	"os/exec"
	"strings"
	"testing"
)

// TestLMTP delivers with swaks over TCP and over the Unix socket, as a mail
// server does: each recipient has an answer of its own.
func TestLMTP(t *testing.T) {
	need(t, "swaks")
	n := startNode(t, nil)
	if err := n.AddUser(t.Context(), "full@example.org", password); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Run(t.Context(), "", "quota", "set", "full@example.org", "--storage", "1KiB"); err != nil {
		t.Fatal(err)
	}
	data := write(t, t.TempDir(), "mail.eml", mail("by LMTP")+strings.Repeat("more than a kilobyte\r\n", 100))
	for name, over := range map[string][]string{
		"tcp":  {"--server", n.LMTP},
		"unix": {"--socket", n.LMTPSocket},
	} {
		t.Run(name, func(t *testing.T) {
			args := append(over, "--protocol", "LMTP", "--from", "grace@example.org", "--to", user+",nobody@example.org,full@example.org", "--data", "@"+data)
			// The code is not zero where a recipient was refused: the answers count.
			out, err := exec.CommandContext(t.Context(), "swaks", args...).CombinedOutput()
			answers := replies(string(out))
			for command, code := range map[string]string{
				"RCPT TO:<" + user + ">":       "250",
				"RCPT TO:<nobody@example.org>": "550",
			} {
				if !strings.HasPrefix(answers[command], code) {
					t.Errorf("%s: %q, want %s", command, answers[command], code)
				}
			}
			if !strings.Contains(string(out), "552") && !strings.Contains(string(out), "452") {
				t.Errorf("nothing says that full is over its limit")
			}
			if t.Failed() {
				t.Logf("swaks: %v\n%s", err, out)
			}
		})
	}
	if got := len(subjects(t, n)); got != 2 {
		t.Errorf("%d messages were delivered, want 2", got)
	}
}

// replies are the first lines that a server answered to each command, in the
// way swaks prints a dialogue: "-> command" and "<- answer", also "<** refusal".
func replies(dialogue string) map[string]string {
	answers := map[string]string{}
	command := ""
	for line := range strings.Lines(dialogue) {
		line = strings.TrimSpace(line)
		if c, ok := strings.CutPrefix(line, "-> "); ok {
			command = c
		} else if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[0], "<") && answers[command] == "" {
			answers[command] = strings.Join(f[1:], " ")
		}
	}
	return answers
}
