//go:build unix

package e2e

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/e2e/node"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/postgres/pgtest"
)

// soak is for how long the tests of clusters under load repeat what they do; 0 is once. STARLING_SOAK has it, such
// as STARLING_SOAK=5m: then go test needs a -timeout above that.
func soak() time.Duration {
	d, _ := time.ParseDuration(os.Getenv("STARLING_SOAK"))
	return d
}

// A storm is a cluster under load, with clients on every node that wait on every mailbox, in turn
// without and with QRESYNC, and know no more than what they are told.
type storm struct {
	nodes    []*node.Node
	db       *pgtest.Server
	ledger   *ledger
	load     *load // nil: it is quiet
	watchers []*watcher
	repair   time.Duration
}

type watcher struct {
	*mirror
	name, box string
}

// stormSettings are those of nodes over a database that serve a storm: many clients of one user, who are not on the same
// machine.
func stormSettings(t *testing.T, dsn string) node.Settings {
	return node.Settings{
		"store": {"kind": "postgres", "postgres": map[string]any{"dsn": dsn, "connections": 4, "blobs": t.TempDir()}},
		"imap":  {"plaintext_auth": "always", "max_per_user": 1000},
		"lmtp":  {"trusted": []string{"127.0.0.0/8", "198.18.0.0/15"}},
		"auth":  {"argon2_memory": "8KiB", "argon2_time": 1},
	}
}

// newStorm begins with some messages and all watchers idling.
func newStorm(t *testing.T, nodes []*node.Node, db *pgtest.Server, repair time.Duration) *storm {
	t.Helper()
	s := &storm{nodes: nodes, db: db, ledger: newLedger(), repair: repair}
	for i, n := range nodes {
		s.watch(t, n, fmt.Sprint("node ", i+1))
	}
	s.blow(t)
	s.more(t, 50)
	s.calm(t)
	s.settle(t, time.Now())
	return s
}

// watch has clients of a node wait on every mailbox.
func (s *storm) watch(t *testing.T, n *node.Node, name string) {
	for _, box := range loadBoxes {
		for _, qresync := range []bool{false, true} {
			w := &watcher{box: box, name: fmt.Sprintf("%s, %s, QRESYNC %v", name, box, qresync)}
			w.mirror = watch(n.IMAP, box, qresync)
			t.Cleanup(w.close)
			s.watchers = append(s.watchers, w)
		}
	}
}

// blow starts the load.
func (s *storm) blow(t *testing.T) {
	t.Helper()
	s.load = startLoad(context.WithoutCancel(t.Context()), s.nodes, s.ledger)
	t.Cleanup(func() { // where the test ended before
		if s.load != nil {
			s.load.end()
		}
	})
}

// more waits until so many more operations were acknowledged.
func (s *storm) more(t *testing.T, n int) {
	t.Helper()
	n += s.ledger.acknowledged()
	within(t, time.Minute, "the load goes on", func() bool { return s.ledger.acknowledged() >= n })
}

// calm ends the load.
func (s *storm) calm(t *testing.T) {
	t.Helper()
	for _, fault := range s.load.end() {
		t.Error(fault)
	}
	s.load = nil
}

// settle waits until every watcher has what the database has, and compares that with what was acknowledged. Since whole, nothing
// has been in the way. There must be no load.
func (s *storm) settle(t *testing.T, whole time.Time) {
	t.Helper()
	s.told(t, whole)
	if faults := s.ledger.audit(s.found(t)); len(faults) > 0 {
		t.Errorf("what was acknowledged is not what there is:\n%s", strings.Join(faults[:min(len(faults), 20)], "\n"))
	}
}

// told waits until every watcher has what the database has.
func (s *storm) told(t *testing.T, whole time.Time) {
	t.Helper()
	// Machines have other work to do: a figure for the log, a wide bound for the test.
	limit := 10*s.repair + 10*time.Second
	truth := s.truth(t)
	end := time.After(limit)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	last := "any"
	for _, w := range s.watchers {
		for !w.shows(truth[w.box]) {
			if err := w.err(); err != nil {
				t.Fatalf("%s: %v", w.name, err)
			}
			last = w.name
			select {
			case <-tick.C:
			case <-end:
				t.Fatalf("%s: not right after %v; there are\n%v\nit has\n%v", w.name, limit, truth[w.box], w)
			}
		}
	}
	t.Logf("all clients are right %v after the network is whole (repair_interval %v), the last on %s", time.Since(whole).Round(time.Millisecond), s.repair, last)
	// A client that was right is not to be told more.
	for _, w := range s.watchers {
		if err := w.err(); err != nil || !w.shows(truth[w.box]) {
			t.Errorf("%s: was right, and is not any more: %v\n%v", w.name, err, w)
		}
	}
}

// truth asks the database, not a node.
func (s *storm) truth(t *testing.T) map[string][]entry {
	t.Helper()
	db, err := pgx.Connect(t.Context(), s.db.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.Background())
	rows, err := db.Query(t.Context(), `SELECT b.name, m.uid, m.flags, m.keywords FROM mailboxes b JOIN messages m USING (account, box) ORDER BY m.uid`)
	if err != nil {
		t.Fatal(err)
	}
	truth := map[string][]entry{}
	var box, words string
	var uid int64
	var system int16
	_, err = pgx.ForEachRow(rows, []any{&box, &uid, &system, &words}, func() error {
		flags := mailbox.Flags{System: mailbox.SystemFlags(system), Keywords: words}
		truth[box] = append(truth[box], entry{imap.UID(uid), string(flags.Append(nil))})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return truth
}

var letterID = regexp.MustCompile(`^letter-\d+`)

// found asks the nodes in turn for the letters of each mailbox.
func (s *storm) found(t *testing.T) map[string][]found {
	t.Helper()
	all := map[string][]found{}
	for i, box := range loadBoxes {
		c, err := imapclient.DialInsecure(s.nodes[i%len(s.nodes)].IMAP, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Login(user, password).Wait(); err != nil {
			t.Fatal(err)
		}
		if open(t, c, box).NumMessages == 0 {
			continue
		}
		list, err := c.Fetch(imap.SeqSet{{Start: 1}}, &imap.FetchOptions{UID: true, Flags: true, Envelope: true}).Collect()
		if err != nil {
			t.Fatalf("FETCH: %v", err)
		}
		for _, m := range list {
			id := letterID.FindString(m.Envelope.MessageID)
			all[id] = append(all[id], found{box, m.UID, m.Flags})
		}
	}
	return all
}
