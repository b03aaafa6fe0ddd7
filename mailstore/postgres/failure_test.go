package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// A ledger notes what a store acknowledged of appends, and compares.
type ledger struct {
	mu       sync.Mutex
	next     int
	done     map[int64]int // size of the message that was acknowledged, by UID
	perhaps  map[int64]int // sizes of those of which nothing is known, to how many
	failures map[mailbox.Kind]int
}

func newLedger() *ledger {
	return &ledger{done: make(map[int64]int), perhaps: make(map[int64]int), failures: make(map[mailbox.Kind]int)}
}

// append appends a message of a size that no other has, and notes the outcome.
func (l *ledger) append(s *Store, box mailbox.ID) error {
	l.mu.Lock()
	l.next++
	size := 1000 + l.next
	l.mu.Unlock()
	m := mail(size, 1)
	m = append(m, make([]byte, size-len(m))...)
	c, err := try(s, box, m)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch k := mailbox.KindOf(err); {
	case err == nil:
		l.done[int64(c.Added[0].Start)] = size
	case k == mailbox.Unknown:
		l.perhaps[int64(size)]++
		l.failures[k]++
	default:
		l.failures[k]++
	}
	return err
}

// compare wants all that was acknowledged to be in the mailbox, and nothing else
// but what may be there.
func (l *ledger) compare(t *testing.T, s *Store, box mailbox.ID) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var p mailstore.Page
	if err := s.Page(context.Background(), box, imap.UIDSet{{Start: 1, Stop: maxUID}}, mailstore.FieldSize, 1<<20, &p); err != nil {
		t.Fatal(err)
	}
	extra := 0
	for _, r := range p.Rows {
		size, ok := l.done[int64(r.UID)]
		switch {
		case ok && int64(size) == r.Size:
			delete(l.done, int64(r.UID))
		case !ok && l.perhaps[r.Size] > 0:
			l.perhaps[r.Size]--
			extra++
		default:
			t.Errorf("message %d of %d bytes should not be there", r.UID, r.Size)
		}
	}
	for uid, size := range l.done {
		t.Errorf("message %d of %d bytes was acknowledged and is lost", uid, size)
	}
	t.Logf("%d messages, %d of them unknown; failures %v", len(p.Rows), extra, l.failures)
	for k, n := range l.failures {
		if k != mailbox.Unavailable && k != mailbox.Unknown {
			t.Errorf("%d failures of kind %q", n, k)
		}
	}
}

// resumes waits until the store takes writes.
func (l *ledger) resumes(t *testing.T, s *Store, box mailbox.ID) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		err := l.append(s, box)
		if err == nil && s.Ready(context.Background()) == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatal("the store does not work again:", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestServerCrash kills PostgreSQL and shuts it down, again and again, while
// many write. What was acknowledged is there, and the store works again by itself.
func TestServerCrash(t *testing.T) {
	p := start(t)
	defer p.Close()
	create(t, p, "mail", "template0")
	s := open(t, Options{URL: p.URL("mail")})
	a, inbox := addAccount(t, s, "ada")
	i, err := s.Create(t.Context(), a, "other", nil)
	if err != nil {
		t.Fatal(err)
	}
	boxes := []mailbox.ID{inbox, i.ID}
	ledgers := []*ledger{newLedger(), newLedger()}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if ledgers[w%2].append(s, boxes[w%2]) != nil {
					pause(ctx, time.Millisecond)
				}
			}
		})
	}
	for n := range 6 {
		pause(ctx, 100*time.Millisecond+rand.N(100*time.Millisecond))
		down := p.Kill
		if n%3 == 2 {
			down = p.Stop
		}
		if err := down(); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			if err := s.Ready(ctx); mailbox.KindOf(err) != mailbox.Unavailable {
				t.Errorf("ready while there is no database: %v", err)
			}
			if _, err := s.Snapshot(ctx, inbox); mailbox.KindOf(err) != mailbox.Unavailable {
				t.Errorf("read while there is no database: %v", err)
			}
		}
		if err := p.Run(); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	wg.Wait()
	for n, l := range ledgers {
		l.resumes(t, s, boxes[n])
		l.compare(t, s, boxes[n])
	}
	was, is, err := s.RecountQuota(t.Context(), a, false)
	if err != nil || was != is {
		t.Errorf("usage %+v, counted %+v, %v", was, is, err)
	}
}

// TestConnectionsLost cuts connections at any moment while many write.
func TestConnectionsLost(t *testing.T) {
	r, url := between(t, database(t))
	s := open(t, Options{URL: url})
	_, inbox := addAccount(t, s, "ada")
	l := newLedger()
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if l.append(s, inbox) != nil {
					pause(ctx, time.Millisecond)
				}
			}
		})
	}
	for range 30 {
		pause(ctx, rand.N(150*time.Millisecond))
		r.cut()
	}
	stop()
	wg.Wait()
	l.resumes(t, s, inbox)
	l.compare(t, s, inbox)
}

// TestCommitReplyLost loses what the server says at the end of a transaction:
// the store asks what became of it, and knows.
func TestCommitReplyLost(t *testing.T) {
	target := database(t)
	r, url := between(t, target)
	s := open(t, Options{URL: url})
	_, inbox := addAccount(t, s, "ada")
	l := newLedger()
	for n := range 6 {
		if err := l.append(s, inbox); err != nil { // so that there is a guess
			t.Fatal(err)
		}
		if n%2 == 1 {
			s.known.forget(inbox) // none
		}
		if n >= 4 { // another node makes the guess wrong
			exec(t, target, `UPDATE mailboxes SET modseq = modseq + 1`)
		}
		var seen atomic.Bool
		r.losing(func(b []byte) bool { return ends(b) && seen.CompareAndSwap(false, true) })
		err := l.append(s, inbox)
		r.losing(nil)
		// What went wrong before the transaction had a number is not known, whatever
		// the server said.
		if k := mailbox.KindOf(err); err != nil && (n < 4 || k != mailbox.Unknown) {
			t.Errorf("%d: append: %v", n, err)
		}
		if !seen.Load() {
			t.Errorf("%d: nothing was lost", n)
		}
	}
	l.compare(t, s, inbox)
}

// ends reports whether what the server sent ends with ReadyForQuery, outside of a
// transaction.
func ends(b []byte) bool { return len(b) >= 6 && b[len(b)-6] == 'Z' && b[len(b)-1] == 'I' }

// TestOutcomeUnknown loses the reply and then the server.
func TestOutcomeUnknown(t *testing.T) {
	r, url := between(t, database(t))
	s := open(t, Options{URL: url, ResolveTimeout: 300 * time.Millisecond})
	_, inbox := addAccount(t, s, "ada")
	l := newLedger()
	for range 2 {
		if err := l.append(s, inbox); err != nil {
			t.Fatal(err)
		}
	}
	r.losing(func(b []byte) bool {
		lost := ends(b)
		if lost {
			r.mu.Lock()
			r.shut = true
			r.mu.Unlock()
		}
		return lost
	})
	n := 0
	s.o.Publish = func([]mailbox.Event) { n++ }
	if err := l.append(s, inbox); mailbox.KindOf(err) != mailbox.Unknown {
		t.Errorf("append: %v, want kind Unknown", err)
	}
	if n > 0 {
		t.Error("what is unknown was published")
	}
	r.losing(nil)
	r.mu.Lock()
	r.shut = false
	r.mu.Unlock()
	l.resumes(t, s, inbox)
	l.compare(t, s, inbox)
}

// TestReadOnly makes the database refuse writes for a while, as a demoted
// primary does.
func TestReadOnly(t *testing.T) {
	p := start(t)
	defer p.Close()
	create(t, p, "mail", "template0")
	s := open(t, Options{URL: p.URL("mail")})
	_, inbox := addAccount(t, s, "ada")
	l := newLedger()
	for range 2 {
		if err := l.append(s, inbox); err != nil {
			t.Fatal(err)
		}
	}
	set := func(to string) {
		exec(t, p.URL("postgres"), `ALTER SYSTEM SET default_transaction_read_only = `+to)
		exec(t, p.URL("postgres"), `SELECT pg_reload_conf()`)
	}
	set("on")
	eventually(t, func() bool { return mailbox.KindOf(s.Ready(t.Context())) == mailbox.Unavailable })
	eventually(t, func() bool { return mailbox.KindOf(l.append(s, inbox)) == mailbox.Unavailable })
	if _, err := s.Snapshot(t.Context(), inbox); err != nil {
		t.Errorf("read: %v", err)
	}
	exec(t, p.URL("postgres")+"&default_transaction_read_only=off", `ALTER SYSTEM RESET default_transaction_read_only`)
	exec(t, p.URL("postgres"), `SELECT pg_reload_conf()`)
	l.resumes(t, s, inbox)
	l.compare(t, s, inbox)
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			t.Fatal("what should happen did not")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestSlowDatabase holds a mailbox's lock for longer than the store waits.
func TestSlowDatabase(t *testing.T) {
	url := database(t)
	s := open(t, Options{URL: url, Timeout: 300 * time.Millisecond})
	_, inbox := addAccount(t, s, "ada")
	l := newLedger()
	if err := l.append(s, inbox); err != nil {
		t.Fatal(err)
	}
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(t.Context(), `BEGIN; SELECT 1 FROM mailboxes FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	err = l.append(s, inbox)
	if k := mailbox.KindOf(err); k != mailbox.Unavailable && k != mailbox.Unknown {
		t.Errorf("append: %v", err)
	}
	if d := time.Since(began); d > 20*time.Second {
		t.Errorf("the answer took %v", d)
	}
	if _, err := s.Snapshot(t.Context(), inbox); err != nil { // reads do not wait
		t.Errorf("read: %v", err)
	}
	if _, err := c.Exec(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	l.resumes(t, s, inbox)
	l.compare(t, s, inbox)
}

// TestStuckNetwork has a network that takes everything and delivers nothing, as
// a firewall does that has forgotten its connections. Nobody waits for ever.
func TestStuckNetwork(t *testing.T) {
	r, url := between(t, database(t))
	s := open(t, Options{URL: url, Timeout: 300 * time.Millisecond, ResolveTimeout: 300 * time.Millisecond, MaintainEvery: time.Hour})
	_, inbox := addAccount(t, s, "ada")
	l := newLedger()
	for range 2 {
		if err := l.append(s, inbox); err != nil {
			t.Fatal(err)
		}
	}
	release := r.hold()
	if k := mailbox.KindOf(l.append(s, inbox)); k != mailbox.Unavailable && k != mailbox.Unknown {
		t.Errorf("append: kind %q", k)
	}
	if _, err := s.Snapshot(context.Background(), inbox); mailbox.KindOf(err) != mailbox.Unavailable {
		t.Errorf("read: %v", err)
	}
	var many imap.UIDSet
	for uid := imap.UID(1); uid < 1000; uid += 2 {
		many = append(many, imap.UIDRange{Start: uid, Stop: uid})
	}
	if err := s.Page(context.Background(), inbox, many, mailstore.FieldFlags, 500, new(mailstore.Page)); mailbox.KindOf(err) != mailbox.Unavailable {
		t.Errorf("read of many ranges: %v", err)
	}
	release()
	l.resumes(t, s, inbox)
	l.compare(t, s, inbox)
}

// TestDeadlock locks an account before its mailbox, against the store's order:
// the server ends one of the two, and the store's client notices nothing.
func TestDeadlock(t *testing.T) {
	url := database(t)
	s := open(t, Options{URL: url + "&deadlock_timeout=100ms", MaintainEvery: time.Hour})
	_, inbox := addAccount(t, s, "ada")
	l := newLedger()
	c, err := pgx.Connect(t.Context(), url+"&deadlock_timeout=1h")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(t.Context(), `BEGIN; SELECT 1 FROM accounts FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- l.append(s, inbox) }()
	waits := func() (n int) {
		if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE NOT granted`).Scan(&n); err != nil {
			t.Error(err)
		}
		return n
	}
	eventually(t, func() bool { return waits() > 0 })
	// It returns when the store's transaction has been ended.
	if _, err := c.Exec(t.Context(), `SELECT 1 FROM mailboxes FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), `COMMIT`); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("append: %v", err)
	}
	l.compare(t, s, inbox)
}

// TestSerialization has the server refuse some transactions that may succeed the
// next time, and then all.
func TestSerialization(t *testing.T) {
	url := database(t)
	s := open(t, Options{URL: url, MaintainEvery: time.Hour})
	_, inbox := addAccount(t, s, "ada")
	l := newLedger()
	exec(t, url, `CREATE SEQUENCE refused`)
	exec(t, url, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF nextval('refused') % 4 <> 0 THEN RAISE 'not now' USING ERRCODE = '40001'; END IF; RETURN NEW; END $$`)
	exec(t, url, `CREATE TRIGGER refuse BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION refuse()`)
	for range 3 {
		if err := l.append(s, inbox); err != nil {
			t.Errorf("append: %v", err)
		}
	}
	exec(t, url, `CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'never' USING ERRCODE = '40001'; END $$`)
	if err := l.append(s, inbox); mailbox.KindOf(err) != mailbox.Unavailable {
		t.Errorf("append while all is refused: %v", err)
	}
	exec(t, url, `DROP TRIGGER refuse ON messages`)
	l.resumes(t, s, inbox)
	l.compare(t, s, inbox)
}

// TestRoundTrips counts how often the store waits for the server.
func TestRoundTrips(t *testing.T) {
	r, url := between(t, database(t))
	s := open(t, Options{URL: url, Connections: 1, MaintainEvery: time.Hour})
	a, inbox := addAccount(t, s, "ada")
	var uids imap.UIDSet
	for start := imap.UID(1); start < 80; start += 2 {
		uids = append(uids, imap.UIDRange{Start: start, Stop: start})
	}
	other, err := s.Create(t.Context(), a, "other", nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 30 {
		add(t, s, inbox, mail(n, 100), imap.FlagDeleted)
	}
	last := imap.UID(9) // that is gone or moved
	d := receiveMail(t, s, mail(1, 100))
	defer d.Discard()
	many := make([]mailstore.Incoming, 100)
	for i := range many {
		many[i].Draft = d
	}
	cursor, err := s.FeedEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var p mailstore.Page
	ops := []struct {
		name string
		want int64
		run  func() error
	}{
		{"append", 1, func() error { _, err := try(s, inbox, mail(1, 3000)); return err }},
		{"append with a keyword", 1, func() error { _, err := try(s, inbox, mail(2, 100), "Work"); return err }},
		{"select", 1, func() error { _, err := s.Snapshot(t.Context(), inbox); return err }},
		{"find", 1, func() error { _, err := s.Lookup(t.Context(), a, mailbox.Inbox); return err }},
		{"list", 1, func() error { _, err := s.List(t.Context(), a); return err }},
		{"page", 1, func() error { return s.Page(t.Context(), inbox, uids, ^mailstore.Fields(0), 500, &p) }},
		{"body", 1, func() error { _, err := s.Body(t.Context(), inbox, 1); return err }},
		{"changes", 1, func() error { _, _, err := s.ChangesSince(t.Context(), inbox, 1); return err }},
		{"claim nothing", 1, func() error { _, err := s.ClaimRecent(t.Context(), inbox, 1); return err }},
		{"quota", 1, func() error { _, err := s.Quota(t.Context(), a); return err }},
		{"user", 1, func() error { _, err := s.User(t.Context(), "ada"); return err }},
		{"read feed", 1, func() error { _, _, err := s.ReadFeed(t.Context(), cursor, 100); return err }},
		{"expunge", 2, func() error {
			last++
			_, err := s.Expunge(t.Context(), inbox, imap.UIDSet{{Start: last, Stop: last}})
			return err
		}},
		{"expunge nothing", 2, func() error { _, err := s.Expunge(t.Context(), inbox, imap.UIDSet{{Start: 50, Stop: 99}}); return err }},
		{"copy", 2, func() error {
			_, err := s.Copy(t.Context(), inbox, other.ID, imap.UIDSet{{Start: 20, Stop: 25}})
			return err
		}},
		{"move", 2, func() error {
			last++
			_, err := s.Move(t.Context(), inbox, other.ID, imap.UIDSet{{Start: last, Stop: last}})
			return err
		}},
		{"append many", 1, func() error { _, err := s.Append(t.Context(), inbox, many); return err }},
		{"store", 2, func() error {
			_, err := s.UpdateFlags(t.Context(), inbox, imap.UIDSet{{Start: 1, Stop: 9}}, mailstore.FlagUpdate{Op: imap.StoreFlagsAdd, Flags: mailbox.NewFlags(imap.Flag(fmt.Sprint("k", rand.N(100))))})
			return err
		}},
		{"feed", 1, func() error { _, err := s.FeedEnd(t.Context()); return err }},
	}
	for range 2 { // at first statements are prepared
		for _, op := range ops {
			if err := op.run(); err != nil {
				t.Fatal(op.name, err)
			}
		}
	}
	for _, op := range ops {
		before := r.trips.Load()
		if err := op.run(); err != nil {
			t.Fatal(op.name, err)
		}
		if n := r.trips.Load() - before; n != op.want {
			t.Errorf("%s takes %d round trips, want %d", op.name, n, op.want)
		}
	}
}
