package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// fetch asks a running server's HTTP listener.
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

// TestMonitor: the server answers by HTTP if it is asked to, without profiles unless it
// is asked for those too.
func TestMonitor(t *testing.T) {
	addr := freeAddr(t)
	_, file := folder(t, fmt.Sprintf("[admin]\nlisten = %q\n", addr))
	p := start(t, "serve", "--config", file)
	if line := p.await("admin is listening"); line["level"] != "info" || line["address"] != addr {
		t.Errorf("logged %v", line)
	}
	p.await("serving")
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200, "/debug/pprof/": 404} {
		if status, body := fetch(t, "http://"+addr+path); status != want {
			t.Errorf("%s: %d %s, want %d", path, status, body, want)
		}
	}
	_, metrics := fetch(t, "http://"+addr+"/metrics")
	for _, family := range []string{"starling_build_info", "starling_imap_connections", "starling_lmtp_connections", "starling_auth_logins_total",
		"starling_bus_listeners", "starling_tracker_views", "starling_store_commit_seconds_bucket", "starling_blob_operations_total"} {
		if !strings.Contains(metrics, "\n"+family+"{") && !strings.Contains(metrics, "\n"+family+" ") {
			t.Errorf("no %s", family)
		}
	}
	if strings.Contains(metrics, "starling_cluster_") {
		t.Error("a cluster where there is none")
	}
	http.DefaultClient.CloseIdleConnections()
	p.stop()
}

// TestMonitorInPublic: an address that others can reach is warned of.
func TestMonitorInPublic(t *testing.T) {
	_, file := folder(t, "[admin]\nlisten = \"0.0.0.0:0\"\n")
	p := start(t, "serve", "--config", file)
	if line := p.await("admin is listening"); line["level"] != "warn" || !strings.Contains(fmt.Sprint(line["warning"]), "no password") {
		t.Errorf("logged %v", line)
	}
	p.await("serving")
	p.stop()
}

func TestMonitorAddressTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, file := folder(t, fmt.Sprintf("[admin]\nlisten = %q\n", ln.Addr()))
	p := start(t, "serve", "--config", file)
	if code, rest := p.end(); code == 0 || !strings.Contains(rest, "admin.listen") {
		t.Errorf("exit code %d\n%s", code, rest)
	}
}
