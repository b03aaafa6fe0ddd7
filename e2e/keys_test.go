//go:build unix

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/starling-mail/starling/e2e/node"
)

// TestClusterRotation: a key is exchanged by commands on three nodes with files of their own, while mail
// is stored on each and told on the others. What would part the cluster is refused.
func TestClusterRotation(t *testing.T) {
	t.Parallel()
	const soon = 20 * time.Second
	db := startPostgres(t)
	p := plan{repair: "1h", spots: loopback(t, 3), ownKeys: true, settings: node.Settings{"store": {"kind": "postgres", "postgres": map[string]any{
		"dsn": db.URL("postgres"), "connections": 4, "blobs": filepath.Join(t.TempDir(), "blobs"),
	}}}}
	nodes := p.start(t)
	var watchers []*line
	for _, n := range nodes {
		watchers = append(watchers, idling(t, n, true))
	}
	stored := 0
	flow := func() {
		t.Helper()
		for _, n := range nodes {
			awaitStreams(t, n, 2)
		}
		for _, n := range nodes {
			stored++
			store(t, login(t, n, nil), "INBOX", mail(fmt.Sprint("number ", stored)))
			for _, w := range watchers {
				w.expect(t, soon, fmt.Sprintf("* %d EXISTS", stored), "")
			}
		}
	}
	keys := func(i int, args ...string) (string, error) {
		return nodes[i].Run(t.Context(), "", append([]string{"cluster", "keys"}, args...)...)
	}
	must := func(i int, args ...string) string {
		t.Helper()
		out, err := keys(i, args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	refused := func(why string, i int, args ...string) {
		t.Helper()
		if out, err := keys(i, args...); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%v on node %d: %v, want %q\n%s", args, i+1, err, why, out)
		}
	}
	flow()
	if out, err := nodes[0].Run(t.Context(), "", "cluster", "status"); err != nil || strings.Count(out, "  open ") != 4 || strings.Contains(out, "closed") {
		t.Errorf("status: %v\n%s", err, out)
	}
	list := strings.Split(strings.TrimSpace(must(0, "list")), "\n")
	if len(list) != 2 || !strings.Contains(list[1], "n1 n2 n3") {
		t.Fatalf("keys at first:\n%s", strings.Join(list, "\n"))
	}
	old := strings.Fields(list[1])[0]
	if err := os.Chmod(keysFile(t, nodes[0]), 0o640); err != nil {
		t.Fatal(err)
	}
	file := write(t, t.TempDir(), "new.key", run(t, binary, "cluster", "keys", "new"))

	var next string
	for i := range nodes {
		if i > 0 {
			refused("n3 does not have it", 0, "use", next, "--wait", "100ms")
		}
		next = strings.TrimSpace(must(i, "add", file))
		if again := strings.TrimSpace(must(i, "add", file)); again != next {
			t.Errorf("added again it is %s, was %s", again, next)
		}
		flow()
	}
	refused("this node uses that key", 0, "remove", old, "--force")
	refused("of this node's keys have", 0, "use", "zz")
	for i := range nodes {
		if i > 0 {
			refused("n3 uses it", 0, "remove", old, "--wait", "100ms")
		}
		must(i, "use", next[:6], "--wait", "30s")
		flow()
	}
	for i := range nodes {
		must(i, "remove", old, "--wait", "30s")
		flow()
	}
	for i, n := range nodes {
		within(t, soon, fmt.Sprintf("node %d knows one key, which all use", i+1), func() bool {
			out := must(i, "list")
			return !strings.Contains(out, old) && strings.Contains(out, next+"  yes   n1 n2 n3  -")
		})
		b, err := os.ReadFile(keysFile(t, n))
		if key, e := os.ReadFile(file); err != nil || e != nil || string(b) != string(key) {
			t.Errorf("the file of node %d: %v, %v", i+1, err, e)
		}
	}
	if info, err := os.Stat(keysFile(t, nodes[0])); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the file's mode: %v, %v", info.Mode(), err)
	}

	// The file is what a restart goes by.
	if err := nodes[2].Close(); err != nil {
		t.Fatal(err)
	}
	if err := nodes[2].Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	watchers[2] = idling(t, nodes[2], true)
	flow()
}
