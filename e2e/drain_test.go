//go:build unix

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/starling-mail/starling/e2e/node"
	"github.com/starling-mail/starling/e2e/testhost"
)

// TestClusterDrain: a node is drained while its clients idle and mail is being stored: all are told BYE, group after group, and the other
// node takes them; what was acknowledged is there (P9). The node says everywhere that it takes no clients, takes them again when it is told
// to, and leaves when it is told to.
func TestClusterDrain(t *testing.T) {
	t.Parallel()
	const idlers, group = 45, 10
	db := startPostgres(t)
	p := plan{repair: "1h", spots: loopback(t, 2), settings: node.Settings{"store": {"kind": "postgres", "postgres": map[string]any{
		"dsn": db.URL("postgres"), "connections": 4, "blobs": filepath.Join(t.TempDir(), "blobs"),
	}}}}
	admin, err := testhost.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	p.spots[0].settings = node.Settings{"admin": {"listen": admin}}
	nodes := p.start(t)
	one, two := nodes[0], nodes[1]
	awaitReady(t, admin, http.StatusOK, "ready")

	var clients []*line
	for i := range idlers {
		clients = append(clients, idling(t, one, i%3 == 0))
	}
	writing := make(chan struct{})
	written := make(chan []string)
	go func() { written <- appendUntilBye(t, one, writing) }()
	<-writing
	moved := make([]*line, idlers)
	var moving sync.WaitGroup
	for i, c := range clients {
		moving.Go(func() {
			if err := c.untilBye(); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	out, err := one.Run(t.Context(), "", "cluster", "drain", "--delay", "100ms", "--group", fmt.Sprint(group), "--every", "200ms")
	if err != nil {
		t.Fatal(err)
	}
	moving.Wait()
	acknowledged := <-written
	if t.Failed() {
		t.FailNow()
	}
	for i := range clients {
		moved[i] = idling(t, two, i%3 == 0)
	}
	// All but the one that writes wait, so the groups are told one after the other.
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if first, last := lines[0], lines[len(lines)-1]; !strings.HasPrefix(first, "not ready any more; connections are refused in 100ms") || last != "drained" {
		t.Errorf("printed:\n%s", out)
	}
	if groups := strings.Count(out, " clients left\n"); groups < idlers/group {
		t.Errorf("%d groups:\n%s", groups, out)
	}

	t.Run("nothing is lost", func(t *testing.T) {
		reader := login(t, two, nil)
		there := flagsBySubject(t, reader, "INBOX")
		for _, subject := range acknowledged {
			if _, ok := there[subject]; !ok {
				t.Errorf("%q was acknowledged and is not there", subject)
			}
		}
		t.Logf("%d messages acknowledged, %d there", len(acknowledged), len(there))
		store(t, reader, "INBOX", mail("for all"))
		for _, c := range moved {
			c.expect(t, 20*time.Second, fmt.Sprintf("* %d EXISTS", len(there)+1), "")
		}
	})
	t.Run("no clients are taken", func(t *testing.T) {
		for _, addr := range []string{one.IMAP, one.IMAPS} {
			if c, err := net.Dial("tcp", addr); err == nil {
				c.Close()
				t.Errorf("%s is open", addr)
			}
		}
		if got := greeting(t, one.LMTP); !strings.HasPrefix(got, "421 ") {
			t.Errorf("LMTP greets with %q", got)
		}
		awaitReady(t, admin, http.StatusServiceUnavailable, "draining")
		within(t, 20*time.Second, "the other node hears of it", func() bool { return stateOn(t, two, "n1") == "draining" })
	})
	t.Run("off", func(t *testing.T) {
		if _, err := one.Run(t.Context(), "", "cluster", "drain", "--off"); err != nil {
			t.Fatal(err)
		}
		awaitReady(t, admin, http.StatusOK, "ready")
		if got := greeting(t, one.LMTP); !strings.HasPrefix(got, "220 ") {
			t.Errorf("LMTP greets with %q", got)
		}
		c := idling(t, one, true)
		store(t, login(t, two, nil), "INBOX", mail("for one"))
		c.expect(t, 20*time.Second, "* ", "EXISTS")
		within(t, 20*time.Second, "the other node hears of it", func() bool { return stateOn(t, two, "n1") == "serving" })
	})
	t.Run("leave", func(t *testing.T) {
		c := idling(t, one, false)
		out, err := one.Run(t.Context(), "", "cluster", "leave", "--delay", "0s", "--every", "10ms")
		if err != nil || !strings.HasSuffix(out, "drained\nthe node is stopping\n") {
			t.Errorf("%v\n%s", err, out)
		}
		if err := c.untilBye(); err != nil {
			t.Error(err)
		}
		if code, err := one.Wait(20 * time.Second); err != nil || code != 0 {
			t.Errorf("exit code %d, %v", code, err)
		}
		awaitStreams(t, two, 0)
	})
}

// appendUntilBye stores messages, as fast as it goes, until the server says BYE between two of them. It
// returns the subjects of those that were acknowledged, and closes begun after the first.
func appendUntilBye(t *testing.T, n *node.Node, begun chan<- struct{}) (subjects []string) {
	nc, err := net.Dial("tcp", n.IMAP)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReader(nc)
	// await reads up to a line that begins with prefix; false at BYE.
	await := func(prefix string) bool {
		for {
			text, err := r.ReadString('\n')
			if err != nil {
				t.Errorf("the writer waits for %q: %v", prefix, err)
				return false
			}
			if strings.HasPrefix(text, prefix) {
				return true
			}
			if strings.HasPrefix(text, "* BYE [UNAVAILABLE]") {
				return false
			}
		}
	}
	fmt.Fprintf(nc, "a LOGIN %q %q\r\n", user, password)
	for ok := await("a OK"); ok; {
		subject := fmt.Sprintf("stored %d", len(subjects))
		text := mail(subject)
		fmt.Fprintf(nc, "b APPEND INBOX {%d+}\r\n%s\r\n", len(text), text)
		if ok = await("b OK"); ok {
			if subjects = append(subjects, subject); len(subjects) == 1 {
				close(begun)
			}
		}
	}
	if len(subjects) == 0 {
		close(begun)
	}
	return subjects
}

// untilBye reads up to BYE and the end of the connection.
func (l *line) untilBye() error {
	l.SetReadDeadline(time.Now().Add(time.Minute))
	rest, err := io.ReadAll(l.r)
	if err != nil || !strings.Contains(string(rest), "* BYE [UNAVAILABLE]") {
		return fmt.Errorf("%q, %w, want BYE", rest, err)
	}
	return nil
}

// greeting returns the first line that a server says.
func greeting(t *testing.T, addr string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	text, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// stateOn returns what a node says of another's state.
func stateOn(t *testing.T, n *node.Node, other string) string {
	t.Helper()
	out, err := n.Run(t.Context(), "", "cluster", "members", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Members []struct {
			Name     string
			Draining bool
		}
	}
	if err := json.Unmarshal([]byte(out), &c); err != nil {
		t.Fatal(err)
	}
	for _, m := range c.Members {
		if m.Name == other && m.Draining {
			return "draining"
		} else if m.Name == other {
			return "serving"
		}
	}
	return "unknown"
}
