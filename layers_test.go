package starling_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/starling-mail/starling/"

// layers says which layers each layer may import, as docs/architecture.md has
// it ("Imports go one way"). A layer is a package with the packages below it,
// less those that have a line of their own. A new line, or a longer one, needs
// an ADR under docs/adr/.
var layers = map[string][]string{
	// Nothing of ours.
	"mailbox":           {},
	"config":            {},
	"imapserver/wire":   {},
	"imapserver/park":   {},
	"imapserver/stream": {},
	"latency":           {},

	// The nouns only.
	"msn":       {"mailbox"},
	"message":   {"mailbox"},
	"eventbus":  {"mailbox"},
	"mailstore": {"mailbox", "latency", "imapserver/wire"}, // what is asked of other servers (ADR 0010)
	"quota":     {"mailbox"},
	"search":    {"mailbox"},
	"auth":      {"mailbox"},
	"blob":      {"mailbox"},

	"tracker": {"mailbox", "msn", "eventbus", "mailstore"},
	"cluster": {"mailbox", "eventbus"},

	// Back ends.
	"blob/fs":            {"mailbox", "blob"},
	"blob/s3":            {"mailbox", "blob"},
	"mailstore/incoming": {"mailbox", "mailstore", "message", "blob"}, // what back ends take in alike
	"mailstore/sqlite":   {"mailbox", "mailstore", "message", "blob", "mailstore/incoming", "blob/fs"},
	"mailstore/postgres": {"mailbox", "mailstore", "message", "blob", "mailstore/incoming"},
	"mailstore/upstream": {"mailbox", "mailstore", "message", "blob", "imapserver/wire", "imapserver/stream"}, // names and search keys on the wire, DEFLATE (ADR 0006)
	// Several databases of the back end postgres as one store (ADR 0007).
	"mailstore/sharded": {"mailbox", "mailstore", "blob", "mailstore/incoming", "mailstore/postgres"},

	// The ways in: what they need, but no back end and no cluster.
	"imapserver": {"mailbox", "msn", "tracker", "message", "eventbus", "mailstore", "quota", "search", "auth",
		"imapserver/wire", "imapserver/park", "imapserver/stream", "latency"},
	"lmtp":  {"mailbox", "mailstore", "message", "quota", "auth", "eventbus"},
	"admin": {"mailbox", "mailstore", "message", "quota", "auth", "eventbus", "transfer"},

	// What the others count, for Prometheus.
	"admin/monitor": {"mailbox", "latency", "eventbus", "mailstore", "blob", "tracker", "auth", "cluster", "imapserver", "lmtp"},

	// Mail from and to other programs' folders. Mailbox names in modified UTF-7 are wire's.
	"transfer": {"mailbox", "mailstore", "imapserver/wire"},

	// Suites and fakes for tests.
	"eventbus/eventbustest": {"mailbox", "eventbus"},
	"imapserver/imaptest":   {},
	"cluster/clustertest": {"mailbox", "eventbus", "auth", "cluster", "mailstore", "mailstore/memory", "tracker", "imapserver",
		"imapserver/imaptest"}, // whole nodes
	"mailstore/storetest": {"mailbox", "mailstore", "message"},
	"mailstore/memory":    {"mailbox", "mailstore", "message", "blob", "mailstore/incoming"},

	// A client of any IMAP servers.
	"probe": {},

	// The composition root: the only importer of back ends.
	"cmd/imapd": {"mailbox", "config", "msn", "message", "eventbus", "mailstore", "quota", "search", "auth", "blob", "tracker",
		"cluster", "blob/fs", "blob/s3", "mailstore/sqlite", "mailstore/postgres", "mailstore/sharded", "mailstore/upstream",
		"imapserver", "imapserver/wire", "imapserver/park", "imapserver/stream", "lmtp", "admin", "admin/monitor", "transfer", "probe"},

	// These see the server from outside.
	"e2e":         {},
	"e2e/demo":    {"e2e", "mailstore/postgres"}, // pgtest
	"bench":       {"e2e"},
	"bench/nodes": {"e2e", "bench", "mailstore/postgres"}, // pgtest
}

// foreign says which layers may import a package that is not ours, with all
// below it. What is not listed may be imported anywhere.
var foreign = map[string][]string{
	"github.com/hashicorp/memberlist":           {"cluster"},
	"github.com/emersion/go-imap/v2/imapclient": {},
	"github.com/emersion/go-imap/v2/imapserver": {},
	"github.com/emersion/go-imap/client":        {"probe"},
	"github.com/emersion/go-imap-idle":          {"probe"},
	"github.com/emersion/go-smtp":               {"lmtp"},
	"github.com/BurntSushi/toml":                {"config"},
	"github.com/spf13/cobra":                    {"cmd/imapd"},
	"github.com/schollz/progressbar":            {"cmd/imapd"},
	"github.com/vmihailenco/msgpack":            {"eventbus", "cluster"},
	"github.com/pressly/goose":                  {"mailstore/sqlite", "mailstore/postgres"},
	"modernc.org/sqlite":                        {"mailstore/sqlite"},
	"github.com/jackc/pgx":                      {"mailstore/postgres"},
	"github.com/prometheus":                     {"admin/monitor"}, // the others keep plain Stats
	"net/http/pprof":                            {"admin/monitor"},
	"database/sql":                              {"mailstore/sqlite", "mailstore/postgres"},
	"github.com/rs/zerolog/log":                 {}, // a global logger
	"github.com/google/go-cmp":                  {"eventbus/eventbustest", "cluster/clustertest", "mailstore/storetest"},
	"pgregory.net/rapid":                        {"eventbus/eventbustest", "cluster/clustertest", "mailstore/storetest"},
	"go.uber.org/goleak":                        {"eventbus/eventbustest", "cluster/clustertest", "mailstore/storetest"},
	"testing":                                   {"eventbus/eventbustest", "cluster/clustertest", "mailstore/storetest"},
}

// TestLayers checks the imports of every package, tests apart: a test may
// import more, such as a back end to run on.
func TestLayers(t *testing.T) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; packages++ {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		path, ours := strings.CutPrefix(p.ImportPath, module)
		if !ours {
			continue // the root, which has only tests
		}
		for _, fault := range faults(path, p.Imports) {
			t.Error(fault)
		}
	}
	if packages < 2 {
		t.Errorf("go list found %d packages", packages)
	}
}

// faults lists what package path may not import.
func faults(path string, imports []string) []string {
	from, ok := longest(layers, path)
	if !ok {
		return []string{fmt.Sprintf("%s has no line in layers", path)}
	}
	var list []string
	for _, imp := range imports {
		if to, ours := strings.CutPrefix(imp, module); ours {
			layer, ok := longest(layers, to)
			if !ok || layer != from && !slices.Contains(layers[from], layer) {
				list = append(list, fmt.Sprintf("%s must not import %s", path, to))
			}
			continue
		}
		if key, ok := longest(foreign, imp); ok && !slices.Contains(foreign[key], from) && from != "e2e" && from != "bench" {
			list = append(list, fmt.Sprintf("%s must not import %s", path, imp))
		}
	}
	return list
}

// longest returns the longest key of m that is path or a folder above it.
func longest(m map[string][]string, path string) (string, bool) {
	best := ""
	for key := range maps.Keys(m) {
		if len(key) > len(best) && (path == key || strings.HasPrefix(path, key+"/")) {
			best = key
		}
	}
	return best, best != ""
}

// TestFaults shows that the check can fail.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		path, imp, want string
	}{
		{"msn", module + "eventbus", "msn must not import eventbus"},
		{"msn", module + "mailbox", ""},
		{"mailstore", module + "mailstore/sqlite", "mailstore must not import mailstore/sqlite"},
		{"mailstore/sqlite", module + "mailstore/sqlite/schema", ""},
		{"imapserver", module + "cluster", "imapserver must not import cluster"},
		{"imapserver", "github.com/emersion/go-smtp", "imapserver must not import github.com/emersion/go-smtp"},
		{"imapserver", "github.com/emersion/go-imap/v2", ""},
		{"mailbox", "github.com/rs/zerolog/log", "mailbox must not import github.com/rs/zerolog/log"},
		{"nowhere", "fmt", "nowhere has no line in layers"},
	} {
		if got := strings.Join(faults(c.path, []string{c.imp}), "\n"); got != c.want {
			t.Errorf("%s importing %s: %q, want %q", c.path, c.imp, got, c.want)
		}
	}
}
