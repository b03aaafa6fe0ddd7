package monitor

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/starling-mail/starling/auth"
	"github.com/starling-mail/starling/cluster"
	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/imapserver"
	"github.com/starling-mail/starling/lmtp"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/sqlite"
	"github.com/starling-mail/starling/tracker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	user     = "ada.lovelace@example.org"
	password = "correct horse"
)

// A house is a whole server with one user, watched by a Server.
type house struct {
	imap    string // address
	url     string // of the Server
	lmtp    *lmtp.Server
	sources Sources
}

func newHouse(t *testing.T) *house {
	t.Helper()
	ctx, log := t.Context(), zerolog.Nop()
	bus := eventbus.New(eventbus.Options{Log: log})
	store, err := sqlite.Open(ctx, sqlite.Options{Dir: t.TempDir(), Publish: bus.Publish, Log: log})
	must(t, err)
	names, err := auth.NewNormalizer(auth.NameOptions{})
	must(t, err)
	hasher, err := auth.NewHasher(auth.HashOptions{Memory: 8, Time: 1})
	must(t, err)
	hash, err := hasher.Hash(ctx, password)
	must(t, err)
	_, err = store.AddUser(ctx, mailbox.User{Name: user, Password: hash}, nil)
	must(t, err)
	logins := auth.New(auth.Options{Users: store, Names: names, Hasher: hasher, Throttle: auth.ThrottleOptions{Disabled: true}, Log: log})
	trackers := tracker.New(tracker.Options{Store: store, Bus: bus, Log: log})
	clients, err := imapserver.New(imapserver.Options{Store: store, Trackers: trackers, Auth: logins, Settings: imapserver.DefaultSettings(), Log: log})
	must(t, err)
	h := &house{lmtp: lmtp.New(lmtp.Options{Store: store, Names: names, Hostname: "test.example", Log: log})}
	h.sources = Sources{
		Version: "v1.2.3", IMAP: clients.Stats, LMTP: h.lmtp.Stats, Auth: logins.Stats, Bus: bus.Stats, Trackers: trackers.Stats,
		Store: store.Stats, Blobs: store.Blobs,
		Cluster: func() cluster.Stats {
			return cluster.Stats{Joined: true, Members: 2, FeedAge: 1500 * time.Millisecond, Peers: []cluster.PeerStats{{Name: "n2", Connected: true, Sent: 7}}}
		},
	}
	ln := listenLocal(t)
	h.imap = ln.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := clients.Serve(context.Background(), ln, imapserver.ListenerOptions{PlaintextAuth: imapserver.PlaintextAlways}); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		if err := clients.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		serving.Wait()
		trackers.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
		bus.Close(context.Background())
	})
	h.url = serve(t, Options{Sources: h.sources, Store: store.Ready})
	return h
}

// serve starts a Server, with defaults for what o leaves out, and returns its URL.
func serve(t *testing.T, o Options) string {
	t.Helper()
	if o.State == nil {
		o.State = func() string { return "" }
	}
	if o.Store == nil {
		o.Store = func(context.Context) error { return nil }
	}
	if o.Trusted == nil {
		o.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}
	o.ProbeTimeout, o.Timeout, o.MaxConnections = 10*time.Second, 10*time.Second, max(o.MaxConnections, 10)
	s := New(o)
	ln := listenLocal(t)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := s.Serve(ln); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
		serving.Wait()
	})
	return "http://" + ln.Addr().String()
}

func listenLocal(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return ln
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// get fetches a path.
func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(b)
}

// A client is a dialogue by IMAP.
type client struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func (h *house) dial(t *testing.T) *client {
	t.Helper()
	c, err := net.Dial("tcp", h.imap)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	k := &client{t, c, bufio.NewReader(c)}
	k.await("* OK")
	return k
}

func (c *client) await(prefix string) {
	c.t.Helper()
	for {
		line, err := c.r.ReadString('\n')
		must(c.t, err)
		if strings.HasPrefix(line, prefix) {
			return
		}
	}
}

func (c *client) say(command, answer string) {
	c.t.Helper()
	_, err := fmt.Fprintf(c, "%s\r\n", command)
	must(c.t, err)
	c.await(answer)
}

// metrics fetches and parses: the values by names and labels as they are written.
func (h *house) metrics(t *testing.T) (values map[string]string, text string) {
	t.Helper()
	status, text := get(t, h.url+"/metrics")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	values = make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(line, "#") {
			values[name] = value
		}
	}
	return values, text
}

// await fetches until the values are what they should be: some things are counted just after the client
// has its answer.
func (h *house) await(t *testing.T, want map[string]string) (values map[string]string, text string) {
	t.Helper()
	end := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		values, text = h.metrics(t)
		var wrong []string
		for name, w := range want {
			if values[name] != w {
				wrong = append(wrong, fmt.Sprintf("%s is %q, want %q", name, values[name], w))
			}
		}
		if len(wrong) == 0 {
			return values, text
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatal(strings.Join(wrong, "\n"))
		}
	}
}

// TestMetrics: what clients do is counted, each thing where it belongs, and no user is
// named.
func TestMetrics(t *testing.T) {
	h := newHouse(t)
	one, two, three := h.dial(t), h.dial(t), h.dial(t)
	one.say(`a LOGIN `+user+` "`+password+`"`, "a OK")
	one.say("b SELECT INBOX", "b OK")
	for range 3 {
		one.say("c NOOP", "c OK")
	}
	one.say("d FETCH 99 FLAGS", "d BAD")
	one.say("e SELECT Nowhere", "e NO")
	one.say("f SELECT INBOX", "f OK")
	one.say("g XYZZY", "g BAD")
	two.say(`a LOGIN `+user+` "`+password+`"`, "a OK")
	two.say("b SELECT INBOX", "b OK")
	two.say("c IDLE", "+")
	three.say(`a LOGIN `+user+` wrong`, "a NO")
	must(t, h.lmtp.Deliver(t.Context(), user, "", strings.NewReader("Subject: x\n\nx\n")))
	two.await("* 1 EXISTS")
	if err := h.lmtp.Deliver(t.Context(), "unheard-of", "", strings.NewReader("x")); mailbox.KindOf(err) != mailbox.NonExistent {
		t.Fatal(err)
	}

	got, text := h.await(t, map[string]string{
		`starling_imap_connections{state="idle"}`:                                  "1",
		`starling_imap_connections{state="selected"}`:                              "1",
		`starling_imap_connections{state="authenticated"}`:                         "0",
		`starling_imap_connections{state="not_authenticated"}`:                     "1",
		`starling_imap_accepted_total`:                                             "3",
		`starling_imap_command_seconds_count{command="noop",result="ok"}`:          "3",
		`starling_imap_command_seconds_bucket{command="noop",result="ok",le="30"}`: "3",
		`starling_imap_command_seconds_count{command="idle",result="ok"}`:          "1",
		`starling_imap_command_seconds_count{command="fetch",result="bad"}`:        "1",
		`starling_imap_command_seconds_count{command="select",result="ok"}`:        "3",
		`starling_imap_command_seconds_count{command="select",result="no"}`:        "1",
		`starling_imap_command_seconds_count{command="other",result="bad"}`:        "1",
		`starling_auth_logins_total{result="ok"}`:                                  "2",
		`starling_auth_logins_total{result="failed"}`:                              "1",
		`starling_auth_cached_total`:                                               "1",
		`starling_auth_hashes_total`:                                               "3", // one to make it
		`starling_lmtp_recipients_total{result="delivered"}`:                       "1",
		`starling_lmtp_recipients_total{result="refused"}`:                         "1",
		`starling_lmtp_messages_total`:                                             "1",
		`starling_tracker_mailboxes`:                                               "1",
		`starling_tracker_views`:                                                   "2",
		`starling_tracker_loads_total`:                                             "1",
		`starling_store_errors_total{kind="internal_error"}`:                       "0",
		`starling_lane_sent_total{peer="n2"}`:                                      "7",
		`starling_lane_sending{peer="n2"}`:                                         "1",
		`starling_feed_lag_seconds`:                                                "1.5",
	})
	for _, name := range []string{"starling_imap_received_bytes_total", "starling_imap_sent_bytes_total", "starling_bus_published_total",
		"starling_store_writes_total", "starling_store_commit_seconds_count", `starling_store_errors_total{kind="does_not_exist"}`,
		"process_resident_memory_bytes", "go_goroutines"} {
		if got[name] == "" || got[name] == "0" {
			t.Errorf("%s is %q", name, got[name])
		}
	}
	if !strings.Contains(text, `starling_build_info{go="go`) || !strings.Contains(text, `version="v1.2.3"`) {
		t.Error("no build information")
	}
	for _, secret := range []string{"lovelace", "example.org", "127.0.0.1", "INBOX", "unheard", "xyzzy"} {
		if strings.Contains(strings.ToLower(text), strings.ToLower(secret)) {
			t.Errorf("the metrics speak of %q", secret)
		}
	}

	two.say("DONE", "c OK")
	two.say("d UNSELECT", "d OK")
	three.say("z LOGOUT", "z OK")
	h.await(t, map[string]string{
		`starling_imap_connections{state="idle"}`:                           "0",
		`starling_imap_connections{state="authenticated"}`:                  "1",
		`starling_imap_command_seconds_count{command="logout",result="ok"}`: "1",
		`starling_tracker_views`:                                            "1",
	})
}

// TestTwoServers: two whole servers in one process count for themselves.
func TestTwoServers(t *testing.T) {
	a, b := newHouse(t), newHouse(t)
	a.dial(t).say("a NOOP", "a OK")
	const noop = `starling_imap_command_seconds_count{command="noop",result="ok"}`
	first, _ := a.metrics(t)
	second, _ := b.metrics(t)
	if first[noop] != "1" || second[noop] != "" {
		t.Errorf("NOOPs: %q and %q, want one on the first server", first[noop], second[noop])
	}
	if first["starling_imap_accepted_total"] != "1" || second["starling_imap_accepted_total"] != "0" {
		t.Error("connections are counted on the wrong server")
	}
}

// families returns the names of all metrics of our own, after some of all has happened.
func families(t *testing.T) (names []string, registry *prometheus.Registry) {
	t.Helper()
	h := newHouse(t)
	h.dial(t).say("a NOOP", "a OK")
	registry = prometheus.NewPedanticRegistry()
	registry.MustRegister(h.sources)
	list, err := registry.Gather()
	must(t, err)
	for _, f := range list {
		names = append(names, f.GetName())
	}
	return names, registry
}

// TestLint: names and types are as Prometheus' conventions have them.
func TestLint(t *testing.T) {
	_, registry := families(t)
	problems, err := testutil.GatherAndLint(registry)
	must(t, err)
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestDocumented: docs/operations.md has each metric, and no others.
func TestDocumented(t *testing.T) {
	names, _ := families(t)
	b, err := os.ReadFile("../../docs/operations.md")
	must(t, err)
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(starling_[a-z_]+)").FindAllStringSubmatch(string(b), -1) {
		documented = append(documented, m[1])
	}
	for _, n := range names {
		if !slices.Contains(documented, n) {
			t.Errorf("%s is not in docs/operations.md", n)
		}
	}
	for _, n := range documented {
		if !slices.Contains(names, n) {
			t.Errorf("docs/operations.md has %s, which there is not", n)
		}
	}
}
