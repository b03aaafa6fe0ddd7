package auth

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// failedLogins returns what failed logins of these users write, in both
// formats, as a logger writes that has a field of its own.
func failedLogins(t *testing.T, users ...string) map[string]string {
	t.Helper()
	logs := map[string]string{}
	for _, format := range []string{"json", "console"} {
		var buf bytes.Buffer
		log := zerolog.New(&buf)
		if format == "console" {
			log = zerolog.New(zerolog.ConsoleWriter{Out: &buf, NoColor: true, TimeFormat: time.RFC3339})
		}
		s := newTestServer(t, func(o *Options) {
			o.Log = log.With().Timestamp().Str("node", "n1").Uint64("conn", 7).Logger()
			o.Throttle.Disabled = true
		})
		for _, u := range users {
			if _, err := s.Login(t.Context(), netip.MustParseAddr("2001:db8::7"), u, "wrong"); err == nil {
				t.Fatalf("login of %q", u)
			}
		}
		logs[format] = buf.String()
	}
	return logs
}

func documentedFilter(t *testing.T) (filter string, expressions []string) {
	t.Helper()
	doc, err := os.ReadFile("../docs/fail2ban.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "```ini\n[Definition]\n")
	filter, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("no filter in docs/fail2ban.md")
	}
	_, list, _ := strings.Cut(filter, "failregex = ")
	list, _, _ = strings.Cut(list, "ignoreregex")
	return "[Definition]\n" + filter, strings.Fields(strings.ReplaceAll(strings.TrimSpace(list), " ", "\x00"))
}

// matchHost returns the address that the documented filter takes from a line.
func matchHost(t *testing.T, line string) string {
	t.Helper()
	_, expressions := documentedFilter(t)
	if len(expressions) != 2 {
		t.Fatalf("%d expressions, want 2", len(expressions))
	}
	for _, x := range expressions {
		x = strings.ReplaceAll(strings.Trim(x, "\x00"), "\x00", " ")
		x = strings.ReplaceAll(x, "<HOST>", "(?P<host>[0-9a-fA-F.:]+)")
		if m := regexp.MustCompile(x).FindStringSubmatch(line); m != nil {
			return m[1]
		}
	}
	return ""
}

func TestFail2banFilterMatchesLog(t *testing.T) {
	hostile := []string{
		"alice",
		"nobody",
		`x remote=198.51.100.1 user=`,
		`x","remote":"198.51.100.1","reason":"bad-name","user":"y`,
		"x\nWRN authentication failed remote=198.51.100.1 user=",
		strings.Repeat("ä", 200),
		"",
	}
	for format, log := range failedLogins(t, hostile...) {
		lines := strings.Split(strings.TrimSuffix(log, "\n"), "\n")
		if len(lines) != len(hostile) {
			t.Errorf("%s: %d lines for %d logins:\n%s", format, len(lines), len(hostile), log)
		}
		for _, line := range lines {
			if got := matchHost(t, line); got != "2001:db8::7" {
				t.Errorf("%s: host %q in %s", format, got, line)
			}
			// fail2ban takes the time out before it compares.
			bare := regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)`).ReplaceAllString(line, "")
			if got := matchHost(t, bare); got != "2001:db8::7" {
				t.Errorf("%s: host %q in %s", format, got, bare)
			}
		}
	}
	for _, other := range []string{
		`{"level":"info","remote":"198.51.100.1","user":"x","message":"authentication throttled"}`,
		`{"level":"warn","id":"WRN authentication failed remote=198.51.100.1 user=","message":"x"}`,
		`2026-03-01T12:00:00Z INF client id="WRN authentication failed remote=198.51.100.1 user=x"`,
	} {
		if got := matchHost(t, other); got != "" {
			t.Errorf("host %q in %s", got, other)
		}
	}
}

// TestFail2banItself has fail2ban read the log with the documented filter.
func TestFail2banItself(t *testing.T) {
	if _, err := exec.LookPath("fail2ban-regex"); err != nil {
		t.Skip("fail2ban-regex is not installed (Debian package fail2ban)")
	}
	dir := t.TempDir()
	filter, _ := documentedFilter(t)
	conf := filepath.Join(dir, "starling.conf")
	if err := os.WriteFile(conf, []byte(filter), 0o600); err != nil {
		t.Fatal(err)
	}
	for format, log := range failedLogins(t, "alice", "nobody", "x remote=198.51.100.1") {
		file := filepath.Join(dir, format+".log")
		if err := os.WriteFile(file, []byte(log), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "fail2ban-regex", file, conf).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Lines: 3 lines, 0 ignored, 3 matched, 0 missed") {
			t.Errorf("%s: %v\n%s", format, err, out)
		}
	}
}
