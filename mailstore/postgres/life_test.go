package postgres

import (
	"bytes"
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/postgres/pgtest"
	"github.com/starling-mail/starling/tracker"
)

// silent is a watcher that is not curious.
type silent struct{}

func (silent) Changed() {}

// watched opens a view of a mailbox, to which all is told.
func watched(t *testing.T, set *tracker.Set, box mailbox.ID) *tracker.View {
	t.Helper()
	v, err := set.Open(t.Context(), box, silent{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	v.Select()
	return v
}

// away ends all connections to a database and lets none in again.
func away(t *testing.T, p *pgtest.Server, database string) {
	t.Helper()
	exec(t, p.URL("postgres"), `ALTER DATABASE "`+database+`" ALLOW_CONNECTIONS false`)
	exec(t, p.URL("postgres"), `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '`+database+`'`)
}

// TestRestore puts an older dump in the place of the database under two running nodes. What was told since the dump
// is lost, but no UID and no ModSeq that was told comes again: whose mailbox has lost something gets BYE, which is counted; who watches
// another goes on, with the right numbers.
func TestRestore(t *testing.T) {
	url := database(t)
	name := url[strings.LastIndexByte(url, '/')+1 : strings.IndexByte(url, '?')]
	bus := eventbus.New(eventbus.Options{})
	defer bus.Close(context.Background())
	shared := blobs(t)
	s := open(t, Options{URL: url, Blobs: shared, Publish: bus.Publish})
	other := open(t, Options{URL: url, Blobs: shared})
	a, inbox := addAccount(t, s, "ada")
	calm, err := s.Create(t.Context(), a, "calm", nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		add(t, s, inbox, mail(n, 500))
		add(t, s, calm.ID, mail(n, 500))
	}
	set := tracker.New(tracker.Options{Store: s, Bus: bus})
	defer set.Close()
	dump, err := server.Tool("pg_dump", name).Output()
	if err != nil {
		t.Fatal(err)
	}

	// What the dump does not have.
	if _, err := s.Expunge(t.Context(), inbox, imap.UIDSet{{Start: 1, Stop: 5}}); err != nil {
		t.Fatal(err)
	}
	last := add(t, s, inbox, mail(6, 500))
	if _, err := s.UpdateFlags(t.Context(), inbox, imap.UIDSet{{Start: 2, Stop: 3}}, mailstore.FlagUpdate{Op: imap.StoreFlagsAdd, Flags: mailbox.NewFlags(imap.FlagFlagged)}); err != nil {
		t.Fatal(err)
	}
	lost, kept := watched(t, set, inbox), watched(t, set, calm.ID)
	told, err := s.Snapshot(t.Context(), inbox)
	if err != nil {
		t.Fatal(err)
	}
	cursor, err := s.FeedEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	create(t, server.Server, name+"-restored", "template0")
	load := server.Tool("psql", "-q", "-v", "ON_ERROR_STOP=1", name+"-restored")
	load.Stdin = bytes.NewReader(dump)
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	away(t, server.Server, name)
	exec(t, server.URL("postgres"), `ALTER DATABASE "`+name+`" RENAME TO "`+name+`-lost"`)
	if _, err := try(s, inbox, mail(7, 500)); mailbox.KindOf(err) != mailbox.Unavailable {
		t.Errorf("append without a database: %v", err)
	}
	exec(t, server.URL("postgres"), `ALTER DATABASE "`+name+`-restored" RENAME TO "`+name+`"`)

	// The other node is the first to write, and knows the mailbox only from before.
	uid := add(t, other, inbox, mail(8, 500))
	if uid <= last+1000 {
		t.Errorf("after the restore comes UID %d, %d was told", uid, last)
	}
	is, err := s.Snapshot(t.Context(), inbox)
	if err != nil {
		t.Fatal(err)
	}
	if is.ModSeq <= told.ModSeq || is.Line == told.Line || is.UIDValidity != told.UIDValidity || is.Floor <= told.ModSeq {
		t.Errorf("the mailbox goes on with %+v, and was at %+v", is, told)
	}
	// What a client knew before is not chained to what is now.
	if _, ok, err := s.ChangesSince(t.Context(), inbox, told.ModSeq); ok || err != nil {
		t.Errorf("changes since what is lost: %v, %v", ok, err)
	}
	if _, _, err := s.ReadFeed(t.Context(), cursor, 10); mailbox.KindOf(err) != mailbox.NonExistent {
		t.Errorf("the feed from a place that is lost: %v", err)
	}
	var p mailstore.Page
	if err := s.Page(t.Context(), inbox, imap.UIDSet{{Start: 1, Stop: maxUID}}, mailstore.FieldFlags, 100, &p); err != nil {
		t.Fatal(err)
	}
	for _, r := range p.Rows {
		if r.ModSeq <= told.ModSeq || r.Flags.System != 0 {
			t.Errorf("message %d has modseq %d, %d was told", r.UID, r.ModSeq, told.ModSeq)
		}
	}
	before := told.ModSeq
	flagged, err := s.UpdateFlags(t.Context(), inbox, imap.UIDSet{{Start: 1, Stop: 1}},
		mailstore.FlagUpdate{Op: imap.StoreFlagsAdd, Flags: mailbox.NewFlags(imap.FlagSeen), UnchangedSince: &before})
	if err != nil || flagged.Change != nil || len(flagged.Modified) != 1 {
		t.Errorf("a change on the condition of what is lost: %+v, %v", flagged, err)
	}

	// Sessions: nodes learn from the feed that they must look again.
	add(t, s, calm.ID, mail(9, 500))
	add(t, s, inbox, mail(9, 500))
	var u tracker.Update
	eventually(t, func() bool { return lost.Flush(t.Context(), true, 100, &u) == nil && u.Gone != nil })
	if k := mailbox.KindOf(u.Gone); k != mailbox.Corrupt {
		t.Errorf("the session whose mailbox has lost something: %v", u.Gone)
	}
	eventually(t, func() bool { return kept.Flush(t.Context(), true, 100, &u) == nil && u.Exists == 6 })
	if u.Gone != nil || len(u.Expunged) > 0 {
		t.Errorf("the session whose mailbox has lost nothing: %+v", u)
	}
	if n, ok := kept.Number(3); !ok || n != 3 {
		t.Errorf("message 3 has number %d", n)
	}
	if n := set.Stats().SetBack; n != 1 {
		t.Errorf("%d alarms, want 1", n)
	}
	if list := check(t, other, true); len(list) > 0 {
		t.Errorf("after the restore: %+v", list)
	}

	// A restore that nobody can see in the database: the store is behind what was told.
	v := watched(t, set, calm.ID)
	exec(t, url, `UPDATE mailboxes SET modseq = modseq - 1, uidnext = uidnext - 1 WHERE name = 'calm'`)
	bus.Publish([]mailbox.Event{{Kind: mailbox.EventChanged, Account: a, Mailbox: calm.ID, Change: &mailbox.Change{Mailbox: calm.ID, Account: a, Line: is.Line, Truncated: true, Prev: v.ModSeq(), ModSeq: v.ModSeq() + 1}}})
	eventually(t, func() bool { return v.Flush(t.Context(), true, 100, &u) == nil && u.Gone != nil })
	if n := set.Stats().SetBack; n != 2 {
		t.Errorf("%d alarms, want 2", n)
	}
}

// TestDeclaredRestore says by hand that the database was restored: the next node
// lets the numbers jump, once.
func TestDeclaredRestore(t *testing.T) {
	o := Options{URL: database(t), Blobs: blobs(t), MaintainEvery: time.Hour}
	s := open(t, o)
	_, inbox := addAccount(t, s, "ada")
	last := add(t, s, inbox, mail(1, 100))
	exec(t, o.URL, `UPDATE store SET life = 'restored'`)
	uid := add(t, open(t, o), inbox, mail(2, 100))
	if uid != last+1+uidJump {
		t.Errorf("UID %d after %d", uid, last)
	}
	if next := add(t, open(t, o), inbox, mail(3, 100)); next != uid+1 {
		t.Errorf("UID %d after %d", next, uid)
	}
}

// TestFailOver lets a synchronous standby take over from a primary that is killed while many write. The nodes find it
// by themselves, what was acknowledged is there, and no UID that was told comes again.
func TestFailOver(t *testing.T) {
	primary := start(t)
	defer primary.Close()
	create(t, primary, "mail", "template0")
	standby, err := primary.Standby()
	if err != nil {
		t.Fatal(err)
	}
	defer standby.Close()
	if c, err := pgx.Connect(t.Context(), standby.URL("mail")); err != nil {
		t.Fatal(err)
	} else {
		if err := new(Store).greet(t.Context(), c); err != errStandby {
			t.Errorf("a connection to a standby: %v", err)
		}
		c.Close(t.Context())
	}
	exec(t, primary.URL("postgres"), `ALTER SYSTEM SET synchronous_standby_names = '*'`)
	exec(t, primary.URL("postgres"), `SELECT pg_reload_conf()`)
	u, err := url.Parse(primary.URL("mail"))
	if err != nil {
		t.Fatal(err)
	}
	u.Host += "," + standby.Addr()
	u.RawQuery += "&target_session_attrs=read-write"
	s := open(t, Options{URL: u.String(), ResolveTimeout: 5 * time.Second})
	_, inbox := addAccount(t, s, "ada")
	l := newLedger()
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if l.append(s, inbox) != nil {
					pause(ctx, 5*time.Millisecond)
				}
			}
		})
	}
	eventually(t, func() bool { l.mu.Lock(); defer l.mu.Unlock(); return len(l.done) > 100 })
	line := s.line.Load()
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	exec(t, standby.URL("postgres"), `SELECT pg_promote()`)
	l.resumes(t, s, inbox)
	stop()
	wg.Wait()
	l.compare(t, s, inbox)
	if s.line.Load() == line {
		t.Error("the numbers did not jump")
	}
	if list := check(t, s, true); len(list) > 0 {
		t.Errorf("after the fail-over: %+v", list)
	}
}
