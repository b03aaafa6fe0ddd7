package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExposed warns of secrets that everybody can read, and of nothing else.
func TestExposed(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	open, closed := file("open", "secret", 0o644), file("closed", "secret", 0o640)
	t.Setenv("T_SECRET", "secret")
	for _, c := range []struct {
		name, doc string
		mode      os.FileMode
		want      []string // beginnings of warnings
	}{
		{"nothing secret", "server.hostname = 'file:" + open + "'\n", 0o644, nil},
		{"in an open file", "[store.s3]\naccess_key = 'a'\nsecret_key = 's'\n", 0o644, []string{":2: store.s3.access_key: every user", ":3: store.s3.secret_key: every user"}},
		{"in a closed file", "[store.s3]\nsecret_key = 's'\n", 0o640, nil},
		{"named in an open file", "[store]\npostgres.dsn = 'file:" + closed + "'\ns3.secret_key = 'env:T_SECRET'\n", 0o644, nil},
		{"names an open file in a list", "[[store.shards]]\ndsn = 'file:" + closed + "'\n[[store.shards]]\ndsn = 'file:" + open + "'\n", 0o600,
			[]string{":4: store.shards[1].dsn: every user of this machine can read it in " + open}},
		{"names an open file", "[store]\npostgres.dsn = 'file:" + open + "'\n", 0o600, []string{":2: store.postgres.dsn: every user of this machine can read it in " + open}},
	} {
		path := file("config.toml", c.doc, c.mode)
		got := Exposed(path)
		if len(got) != len(c.want) {
			t.Errorf("%s: %v", c.name, got)
			continue
		}
		for i, f := range got {
			if !strings.HasPrefix(f.String(), path+c.want[i]) {
				t.Errorf("%s: %v, want ...%s", c.name, f, c.want[i])
			}
		}
	}
	if got := Exposed(filepath.Join(dir, "absent")); got != nil {
		t.Error(got)
	}
}
