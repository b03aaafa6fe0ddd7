package e2e

import (
	"os"
	"testing"
)

// steps is a day with Thunderbird: mail that comes, changes and goes on the
// server reaches it, and what it does reaches the server.
func steps(addr string) []string {
	return []string{
		"deliver", addr, "seen", addr, "expunge", addr,
		"deliver", addr, "read",
		"deliver", addr, "delete",
	}
}

func TestThunderbird(t *testing.T) {
	need(t, "python3", "thunderbird")
	t.Parallel() // Thunderbird waits most of the time
	n := startNode(t, nil)
	for name, addr := range map[string]string{"plain": n.IMAP, "starttls": n.IMAP, "tls": n.IMAPS} {
		t.Run(name, func(t *testing.T) {
			thunderbird(t, append([]string{"--imap", addr, "--cert", n.CertFile, "--security", name}, steps(addr)...)...)
		})
	}
	t.Run("screenshot", func(t *testing.T) {
		file := os.Getenv("STARLING_SCREENSHOT")
		if file == "" {
			t.Skip("set STARLING_SCREENSHOT to the name of a .png (make screenshot)")
		}
		need(t, "Xvfb", "import")
		thunderbird(t, "--imap", n.IMAPS, "--cert", n.CertFile, "--security", "tls", "--shot", file, "deliver", n.IMAPS, "open")
	})
}

// thunderbird runs Thunderbird through a scenario. Its polling is off, so what
// it is not told by IDLE it does not see at all.
func thunderbird(t *testing.T, args ...string) {
	t.Helper()
	t.Log(run(t, "python3", append([]string{"thunderbird/tb.py", "--user", user, "--password", password}, args...)...))
}
