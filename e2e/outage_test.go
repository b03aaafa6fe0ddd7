//go:build unix

package e2e

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/e2e/node"
)

// TestDatabaseOutage shuts PostgreSQL down under two nodes, and crashes it: clients keep their connections and get NO
// [UNAVAILABLE] meanwhile, and all goes on by itself when it is back. Who idles through it is told what comes then, and nothing that was
// acknowledged is lost.
func TestDatabaseOutage(t *testing.T) {
	db := startPostgres(t)
	nodes := startNodes(t, 2, "1s", node.Settings{"store": {"kind": "postgres", "postgres": map[string]any{
		"dsn": db.URL("postgres"), "connections": 4, "blobs": filepath.Join(t.TempDir(), "blobs"), "timeout": "5s", "resolve_timeout": "1s",
	}}})
	writer := login(t, nodes[0], nil)
	open(t, writer, "INBOX")
	reader := login(t, nodes[1], nil)
	open(t, reader, "INBOX")
	watcher := idling(t, nodes[1], true)
	var acknowledged []imap.UID
	keep := func(name string) {
		t.Helper()
		acknowledged = append(acknowledged, store(t, writer, "INBOX", mail(name)).UID)
		watcher.expect(t, 10*time.Second, fmt.Sprintf("* %d EXISTS", len(acknowledged)), "")
	}
	keep("before")
	for _, down := range []struct {
		name string
		f    func() error
	}{{"stop", db.Stop}, {"crash", db.Kill}} {
		if err := down.f(); err != nil {
			t.Fatal(err)
		}
		unavailable := func(what string, err error) {
			t.Helper()
			if e, ok := errors.AsType[*imap.Error](err); !ok || e.Type != imap.StatusResponseTypeNo || e.Code != imap.ResponseCodeUnavailable {
				t.Errorf("%s after a %s: %v, want NO [UNAVAILABLE]", what, down.name, err)
			}
		}
		unavailable("APPEND", tryStore(writer, mail("refused")))
		unavailable("STORE", writer.Store(imap.UIDSetNum(acknowledged[0]), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen}}, nil).Close())
		_, err := reader.Select("Sent", nil).Wait()
		unavailable("SELECT", err)
		if err := reader.Noop().Wait(); err != nil {
			t.Errorf("NOOP after a %s: %v", down.name, err)
		}
		if err := db.Run(); err != nil {
			t.Fatal(err)
		}
		within(t, 20*time.Second, "the mailbox can be opened again", func() bool {
			_, err := reader.Select("INBOX", nil).Wait()
			return err == nil
		})
		keep("after a " + down.name)
	}
	open(t, reader, "INBOX") // to be told of all
	if uids := uidsOf(t, reader); !slices.Equal(uids, acknowledged) {
		t.Errorf("messages %v, acknowledged are %v", uids, acknowledged)
	}
}
