//go:build unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/e2e/node"
)

// TestShards moves an account between two databases while one client writes on one node and another idles on the other: the one is refused nothing, and
// the other is told everything, in order. Then a database goes away: its users have to wait, others notice nothing.
func TestShards(t *testing.T) {
	const soon = 20 * time.Second
	first, second := startPostgres(t), startPostgres(t)
	nodes := startNodes(t, 2, "2s", node.Settings{"store": {
		"kind": "postgres", "postgres": map[string]any{"connections": 4, "timeout": "5s", "blobs": filepath.Join(t.TempDir(), "blobs")},
		"shards": []map[string]any{{"name": "one", "dsn": first.URL("postgres")}, {"name": "two", "dsn": second.URL("postgres")}},
	}})
	run := func(n *node.Node, args ...string) string {
		t.Helper()
		out, err := n.Run(t.Context(), "", args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	where := func(name string) string {
		t.Helper()
		lines := strings.Split(strings.TrimSpace(run(nodes[0], "account", "where", name)), "\n")
		return strings.Fields(lines[len(lines)-1])[1]
	}
	run(nodes[0], "account", "move", user, "--to", "one")

	watcher := idling(t, nodes[1], true)
	c := login(t, nodes[0], nil)
	open(t, c, "INBOX")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writing sync.WaitGroup
	var uids []imap.UID
	writing.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			text := mail(fmt.Sprint("message ", n))
			if n%5 == 0 {
				text += strings.Repeat("A line of a large message.\r\n", 5000)
			}
			cmd := c.Append("INBOX", int64(len(text)), nil)
			_, err := cmd.Write([]byte(text))
			err = errors.Join(err, cmd.Close())
			data, e := cmd.Wait()
			if err = errors.Join(err, e); err != nil {
				t.Errorf("APPEND: %v", err)
				return
			}
			uids = append(uids, data.UID)
			store := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagFlagged}}
			if err := c.Store(imap.UIDSetNum(data.UID), store, nil).Close(); err != nil {
				t.Errorf("STORE: %v", err)
				return
			}
		}
	})
	for i, to := range []string{"two", "one", "two", "one"} {
		if out := run(nodes[i%2], "account", "move", user, "--to", to); !strings.Contains(out, "is on shard "+to) {
			t.Errorf("moved: %q", out)
		}
		if at := where(user); at != to {
			t.Errorf("on shard %s, want %s", at, to)
		}
	}
	stop()
	writing.Wait()
	if len(uids) == 0 {
		t.Fatal("nothing was written")
	}
	seen := 0
	for told := ""; told != fmt.Sprintf("* %d EXISTS", len(uids)); {
		told = watcher.next(t, soon)
		var n int
		if scan(told, "* %d EXISTS", &n) {
			if n <= seen {
				t.Fatalf("told %q after %d messages", told, seen)
			}
			seen = n
		} else if !scan(told, "* %d FETCH", &n) || n < 1 || n > seen {
			t.Fatalf("told %q of %d messages", told, seen)
		}
	}
	for i, n := range nodes {
		c := login(t, n, nil)
		open(t, c, "INBOX")
		if got := uidsOf(t, c); fmt.Sprint(got) != fmt.Sprint(uids) {
			t.Errorf("node %d: UIDs %v, want %v", i, got, uids)
		}
	}
	for _, n := range nodes {
		if out := run(n, "check-store"); !strings.HasPrefix(out, "0 faults") {
			t.Errorf("check-store: %s", out)
		}
	}

	// A second user, on the other database, which then goes away.
	if err := nodes[0].AddUser(t.Context(), "other", password); err != nil {
		t.Fatal(err)
	}
	run(nodes[1], "account", "move", "other", "--to", "two")
	theirs := dial(t, nodes[1], nil)
	if err := theirs.Login("other", password).Wait(); err != nil {
		t.Fatal(err)
	}
	if err := second.Stop(); err != nil {
		t.Fatal(err)
	}
	err := tryStore(theirs, mail("to nobody"))
	if e, ok := errors.AsType[*imap.Error](err); !ok || e.Code != imap.ResponseCodeUnavailable {
		t.Errorf("on the shard that is away: %v, want NO [UNAVAILABLE]", err)
	}
	store(t, c, "INBOX", mail("as ever"))
	for want := fmt.Sprintf("* %d EXISTS", len(uids)+1); watcher.next(t, soon) != want; {
	}
	if err := second.Run(); err != nil {
		t.Fatal(err)
	}
	within(t, soon, "the shard serves again", func() bool { return tryStore(theirs, mail("again")) == nil })

	// Without a server the command works on the databases.
	if err := nodes[1].Close(); err != nil {
		t.Fatal(err)
	}
	nodes[1].Process = nil
	run(nodes[1], "account", "move", "other", "--to", "one")
	if at := where("other"); at != "one" {
		t.Errorf("on shard %s", at)
	}
	if err := tryStore(login(t, nodes[0], nil), mail("at the end")); err != nil {
		t.Error(err)
	}
}
