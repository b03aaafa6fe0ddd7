//go:build unix

package e2e

import (
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/starling-mail/starling/e2e/node"
	"github.com/starling-mail/starling/e2e/testhost"
	"github.com/starling-mail/starling/mailstore/postgres/pgtest"
)

// TestReady: a node without its database is alive and not ready, keeps its clients, and
// is ready again when the database is back.
func TestReady(t *testing.T) {
	db, err := pgtest.Start()
	if errors.Is(err, pgtest.ErrMissing) && !strict() {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("PostgreSQL: %v", err)
		}
	})
	addr, err := testhost.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	n := startNode(t, node.Settings{
		"store": {"kind": "postgres", "postgres": map[string]any{"dsn": db.URL("postgres"), "connections": 4, "blobs": filepath.Join(t.TempDir(), "blobs")}},
		"admin": {"listen": addr, "probe_life": "100ms"},
	})
	awaitReady(t, addr, http.StatusOK, "ready")
	client := login(t, n, nil)
	if err := db.Stop(); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, addr, http.StatusServiceUnavailable, "the store is not available")
	if status, _ := fetch(t, "http://"+addr+"/healthz"); status != http.StatusOK {
		t.Errorf("not alive: %d", status)
	}
	if _, metrics := fetch(t, "http://"+addr+"/metrics"); !strings.Contains(metrics, `starling_imap_connections{state="authenticated"} 1`) {
		t.Error("the client is not counted")
	}
	if err := db.Run(); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, addr, http.StatusOK, "ready")
	if _, err := client.Select("INBOX", nil).Wait(); err != nil {
		t.Errorf("the client that stayed: %v", err)
	}
}

// awaitReady waits until /readyz answers so.
func awaitReady(t *testing.T, addr string, status int, line string) {
	t.Helper()
	within(t, 30*time.Second, "/readyz says "+line, func() bool {
		s, body := fetch(t, "http://"+addr+"/readyz")
		return s == status && body == line+"\n"
	})
}

// fetch fetches a page.
func fetch(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
