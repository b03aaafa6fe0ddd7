package postgres

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// check runs Check and returns what it found.
func check(t testing.TB, s *Store, deep bool) (list []mailstore.Finding) {
	t.Helper()
	if err := s.Check(context.Background(), mailstore.CheckOptions{Deep: deep}, func(f mailstore.Finding) { list = append(list, f) }); err != nil {
		t.Fatal(err)
	}
	return list
}

// populate fills a store with some of everything: inline bodies and blobs,
// copies, expunges, a deleted mailbox, a removed user.
func populate(t testing.TB, s *Store) (mailbox.AccountID, mailbox.ID) {
	t.Helper()
	ctx := context.Background()
	a, inbox := addAccount(t, s, "ada")
	_, removed := addAccount(t, s, "bob")
	other, err := s.Create(ctx, a, "other", nil)
	if err != nil {
		t.Fatal(err)
	}
	gone, err := s.Create(ctx, a, "gone", nil)
	if err != nil {
		t.Fatal(err)
	}
	for n, size := range []int{300, 4000, 20_000, 500, 30_000} {
		add(t, s, inbox, mail(n, size), imap.FlagDeleted, "Work")
		add(t, s, gone.ID, mail(n+100, size))
		add(t, s, removed, mail(n+200, size))
	}
	if _, err := s.Copy(ctx, inbox, other.ID, imap.UIDSet{{Start: 1, Stop: 3}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Move(ctx, inbox, other.ID, imap.UIDSet{{Start: 5, Stop: 5}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Expunge(ctx, inbox, imap.UIDSet{{Start: 1, Stop: 2}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, a, "gone"); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveUser(ctx, "bob"); err != nil {
		t.Fatal(err)
	}
	return a, inbox
}

// checkable are options with which most bodies are in blobs, and nothing is
// cleared away unasked.
func checkable() Options {
	return Options{Inline: 5000, MaintainEvery: time.Hour, BodyGrace: time.Microsecond, OrphanAge: time.Nanosecond}
}

func TestCheckClean(t *testing.T) {
	s := open(t, checkable())
	populate(t, s)
	for range 2 { // before and after what is gone is cleared away
		if list := check(t, s, true); len(list) > 0 {
			t.Errorf("a sound store: %+v", list)
		}
		if err := s.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	err := s.Check(t.Context(), mailstore.CheckOptions{Repair: true}, func(mailstore.Finding) {})
	if mailbox.KindOf(err) != mailbox.Cannot {
		t.Errorf("a repair: %v", err)
	}
}

// TestCheckFinds spoils a store in every way that Check knows.
func TestCheckFinds(t *testing.T) {
	const inbox = ` WHERE name = 'INBOX' AND account = (SELECT account FROM users WHERE name = 'ada')`
	for _, c := range []struct {
		name, sql, want string
		deep, lost      bool
	}{
		{name: "counts", sql: `UPDATE mailboxes SET unseen = unseen + 1` + inbox, want: "the counts are"},
		{name: "deleted size", sql: `UPDATE mailboxes SET deleted_size = deleted_size + 1` + inbox, want: "the counts are"},
		{name: "uidnext", sql: `UPDATE mailboxes SET uidnext = 2` + inbox, want: "UIDNEXT is 2"},
		{name: "modseq", sql: `UPDATE mailboxes SET modseq = 2` + inbox, want: "HIGHESTMODSEQ is 2, a message has"},
		{name: "modseq of the feed", sql: `UPDATE mailboxes SET modseq = modseq - 1` + inbox, want: "the feed tells of"},
		{name: "floor", sql: `UPDATE mailboxes SET floor = modseq + 1` + inbox, want: "its expunge log begins"},
		{name: "usage", sql: `UPDATE accounts SET storage = storage + 1`, want: "the usage is"},
		{name: "expunge log", sql: `UPDATE expunged SET uids = '\xff'`, want: "cannot be read"},
		{name: "expunged lives", sql: `UPDATE expunged SET uids = '\x010300'`, want: "names messages that are there"},
		{name: "expunged later", sql: `UPDATE expunged SET modseq = modseq + 100`, want: "the expunge log has modseq"},
		{name: "owners", sql: `UPDATE shared SET owners = owners + 1`, want: "are written down"},
		{name: "owners unknown", sql: `DELETE FROM shared`, want: "are written down"},
		{name: "body of nobody", sql: `INSERT INTO bodies SELECT account, 77, 0, email_id, '', NULL, structure, '' FROM bodies LIMIT 1`, want: "0:77 has no message"},
		{name: "no body", sql: `DELETE FROM bodies WHERE body & 4294967295 = 4`, want: "is missing, 1 messages", lost: true},
		{name: "no bytes", sql: `UPDATE bodies SET data = NULL, blob = NULL WHERE body & 4294967295 = 4`, want: "has no bytes", lost: true},
		{name: "bad structure", sql: `UPDATE bodies SET structure = '\x00'`, want: "structure cannot be read", lost: true},
		{name: "wrong hash", sql: `UPDATE bodies SET email_id = '\x00000000000000000000000000000000'`, want: "not those that were stored", deep: true, lost: true},
		{name: "spoilt body", sql: `UPDATE bodies SET data = substr(data, 2) WHERE data IS NOT NULL`, want: "corrupt", deep: true, lost: true},
		{name: "size", sql: `UPDATE messages SET size = size + 1 WHERE uid = 4`, want: "its structure says"},
		{name: "no mailbox", sql: `DELETE FROM mailboxes WHERE name = 'other'`, want: "messages has rows of account number"},
		{name: "expunged of nobody", sql: `INSERT INTO expunged (account, box, modseq, uids) VALUES (1, 999, 1, '')`, want: "expunged has rows of account number 1, mailbox number 999"},
		{name: "subscribed by nobody", sql: `INSERT INTO subscriptions (account, name) VALUES (999, 'x')`, want: "subscriptions has rows of account number 999"},
		{name: "threads of nobody", sql: `DELETE FROM dead_accounts`, want: "threads has rows of account number"},
		{name: "no account", sql: `DELETE FROM accounts`, want: "user ada has no account"},
		{name: "no user", sql: `DELETE FROM users`, want: "belongs to no user"},
		{name: "no INBOX", sql: `UPDATE mailboxes SET name = 'X'` + inbox, want: "has no INBOX"},
		{name: "no name", sql: `DELETE FROM names`, want: "user ada cannot be found by name"},
		{name: "name of nobody", sql: `INSERT INTO names (name, username) VALUES ('x', 'y')`, want: "the name x is no user's"},
		{name: "uidvalidity", sql: `UPDATE accounts SET uidvalidity = 1`, want: "UIDVALIDITY beyond"},
		{name: "hole in the feed", sql: `DELETE FROM feed WHERE seq = (SELECT max(seq) - 4 FROM feed)`, want: "the feed: after modseq"},
		{name: "order of the feed", sql: `WITH a AS (SELECT seq, event FROM feed ORDER BY seq OFFSET 8 LIMIT 1), b AS (SELECT seq, event FROM feed ORDER BY seq OFFSET 11 LIMIT 1)
			UPDATE feed f SET event = CASE WHEN f.seq = a.seq THEN b.event ELSE a.event END FROM a, b WHERE f.seq IN (a.seq, b.seq)`, want: "the feed: after modseq"},
		{name: "no event", sql: `UPDATE feed SET event = '\xff'`, want: "the feed cannot be read"},
		{name: "doomed blob", sql: `INSERT INTO dead_blobs (blob, state) SELECT blob, 1 FROM bodies WHERE blob IS NOT NULL`, want: "is going to be deleted", lost: true},
		{name: "blob of nobody", want: "has no message"},
		{name: "missing blob", want: "is missing", lost: true},
		{name: "truncated blob", want: "the structure of its body says", lost: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, checkable())
			populate(t, s)
			switch c.name {
			case "blob of nobody":
				put(t, s, blob.NewID(), "nobody's", -100*time.Hour)
			case "missing blob", "truncated blob":
				for i, err := range s.blobs.List(t.Context()) {
					if err == nil && i.ID != blob.ID(s.system) {
						err = s.blobs.Delete(t.Context(), i.ID)
						if c.name == "truncated blob" {
							put(t, s, i.ID, "less", 0)
						}
					}
					if err != nil {
						t.Fatal(err)
					}
				}
			default:
				exec(t, s.o.URL, c.sql)
			}
			hits := 0
			list := check(t, s, c.deep)
			for _, f := range list {
				if strings.Contains(f.What, c.want) {
					hits++
					if f.Lost != c.lost || f.Mended {
						t.Errorf("%+v", f)
					}
				}
			}
			if hits == 0 {
				t.Errorf("not found: %q, but %+v", c.want, list)
			}
		})
	}
}

// put stores a blob, as old as that.
func put(t *testing.T, s *Store, id blob.ID, text string, age time.Duration) {
	t.Helper()
	if _, err := s.blobs.Put(t.Context(), id, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	if age != 0 {
		s.blobs.Store = aged{s.blobs.Store, id, time.Now().Add(age)}
	}
}

// aged makes one blob old.
type aged struct {
	blob.Store
	id blob.ID
	at time.Time
}

// List implements blob.Store.
func (a aged) List(ctx context.Context) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		for i, err := range a.Store.List(ctx) {
			if i.ID == a.id {
				i.Modified = a.at
			}
			if !yield(i, err) {
				return
			}
		}
	}
}

// TestCheckOnline checks again and again while two nodes do everything: nothing
// is wrong at any moment.
func TestCheckOnline(t *testing.T) {
	ns := openNodes(t, 2, database(t))
	s := ns.stores[0]
	a, inbox := addAccount(t, s, "ada")
	b, err := s.Create(t.Context(), a, "x", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var changes atomic.Int64
	var wg sync.WaitGroup
	for n, s := range ns.stores {
		for w := range 3 {
			wg.Go(func() {
				for i := w; ctx.Err() == nil; i += 3 {
					changes.Add(1)
					err := work(s, []mailbox.ID{inbox, b.ID}, i)
					if err == nil && i%10 == 0 {
						_, err = try(s, inbox, mail(i, 70_000), imap.FlagDeleted)
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				name := fmt.Sprint("user", n, "-", i)
				if _, err := s.AddUser(ctx, mailbox.User{Name: name}, nil); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				if err := s.RemoveUser(context.Background(), name); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	for n := 0; n < 5 || changes.Load() < 1000; n++ {
		if list := check(t, ns.stores[1], true); len(list) > 0 {
			t.Errorf("%d findings, such as %+v", len(list), list[0])
		}
	}
	stop()
	wg.Wait()
	if list := check(t, s, true); len(list) > 0 {
		t.Errorf("at the end: %+v", list)
	}
	if got := body(t, s, inbox, add(t, s, inbox, mail(1, 70_000))); !bytes.Equal(got, mail(1, 70_000)) {
		t.Errorf("%d bytes", len(got))
	}
}
