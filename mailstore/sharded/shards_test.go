package sharded

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/postgres"
)

func wantKind(t *testing.T, what string, err error, want mailbox.Kind) {
	t.Helper()
	if err == nil || mailbox.KindOf(err) != want {
		t.Errorf("%s: error %v, want kind %v", what, err, want)
	}
}

// eventually waits until ok, but not for ever.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			t.Fatal("what should happen did not: " + what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func read(t *testing.T, s *Store, box mailbox.ID, uid imap.UID) []byte {
	t.Helper()
	b, err := s.Body(t.Context(), box, uid)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestDraftForSeveralShards delivers one message to mailboxes of two shards, as LMTP does: each has bytes of its own, so that
// what becomes of it on one shard is nothing to the other.
func TestDraftForSeveralShards(t *testing.T) {
	list := shards(t, 2)
	for i := range list {
		list[i].Postgres.BodyGrace = time.Nanosecond
	}
	s := open(t, Options{Shards: list, TempDir: t.TempDir()})
	_, boxes := spread(t, s, "a", "b")
	for _, size := range []int{500, 200_000} {
		want := mail(1, size)
		d, err := s.Receive(t.Context(), bytes.NewReader(want), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		var uids []imap.UID
		for _, box := range boxes {
			a, err := s.Append(t.Context(), box, []mailstore.Incoming{{Draft: d, Flags: mailbox.NewFlags(imap.FlagDeleted)}, {Draft: d}})
			if err != nil {
				t.Fatal(err)
			}
			uids = append(uids, a.Change.Added[0].Start)
		}
		d.Discard()
		_, err = s.Append(t.Context(), boxes[0], []mailstore.Incoming{{Draft: d}})
		wantKind(t, "a draft that was discarded", err, mailbox.Cannot)
		for _, u := range []imap.UID{uids[0], uids[0] + 1} {
			if _, err := s.UpdateFlags(t.Context(), boxes[0], imap.UIDSet{{Start: u, Stop: u}}, mailstore.FlagUpdate{Op: imap.StoreFlagsAdd, Flags: mailbox.NewFlags(imap.FlagDeleted)}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Expunge(t.Context(), boxes[0], imap.UIDSet{{Start: 1, Stop: 1<<32 - 1}}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := s.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := read(t, s, boxes[1], uids[1]); !bytes.Equal(got, want) {
			t.Errorf("%d bytes, want %d", len(got), len(want))
		}
	}
	if n := len(s.spool.files); n > 0 {
		t.Errorf("%d files stay in the spool", n)
	}
}

// TestAcrossShards: what would need two accounts, which may be on two shards, is refused.
func TestAcrossShards(t *testing.T) {
	s := open(t, Options{Shards: shards(t, 2)})
	_, boxes := spread(t, s, "a", "b", "a")
	if _, err := add(t.Context(), s, boxes[0], 1, 100); err != nil {
		t.Fatal(err)
	}
	for _, to := range boxes[1:] {
		_, err := s.Copy(t.Context(), boxes[0], to, imap.UIDSet{{Start: 1, Stop: 1}})
		wantKind(t, "copy", err, mailbox.Cannot)
		_, err = s.Move(t.Context(), boxes[0], to, imap.UIDSet{{Start: 1, Stop: 1}})
		wantKind(t, "move", err, mailbox.Cannot)
	}
}

// TestShardAway takes one database away: its accounts have to wait, all others notice nothing, and the feed tells the rest at once
// and what was missed when it is back. A node that starts meanwhile does so.
func TestShardAway(t *testing.T) {
	other := start(t)
	defer other.Close()
	list := shards(t, 1)
	list = append(list, Shard{Name: "b", Postgres: postgres.Options{URL: other.URL("postgres"), Blobs: blobs(t), Timeout: 5 * time.Second}})
	o := Options{Shards: list, RetryAfter: 50 * time.Millisecond}
	s := open(t, o)
	accounts, boxes := spread(t, s, "a", "b")
	users, err := s.UserList(t.Context())
	if err != nil || len(users) != 2 {
		t.Fatalf("%+v %v", users, err)
	}
	cursor, err := s.FeedEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := add(t.Context(), s, boxes[1], 1, 100); err != nil {
		t.Fatal(err)
	}
	if err := other.Stop(); err != nil {
		t.Fatal(err)
	}
	late := open(t, o) // begins without b

	for name, s := range map[string]*Store{"there before": s, "begun meanwhile": late} {
		if err := s.Ready(t.Context()); err != nil {
			t.Errorf("%s: not ready: %v", name, err)
		}
		if _, err := add(t.Context(), s, boxes[0], 2, 100); err != nil {
			t.Errorf("%s: an account of the other shard: %v", name, err)
		}
		_, err = s.List(t.Context(), accounts[1])
		wantKind(t, name+": list", err, mailbox.Unavailable)
		_, err = add(t.Context(), s, boxes[1], 3, 100)
		wantKind(t, name+": append", err, mailbox.Unavailable)
		for _, u := range users {
			_, err := s.User(t.Context(), u.Name)
			if u.Account == accounts[1] {
				wantKind(t, name+": login", err, mailbox.Unavailable)
			} else if err != nil {
				t.Errorf("%s: login: %v", name, err)
			}
		}
		_, err = s.Snapshot(t.Context(), mailbox.NewID())
		wantKind(t, name+": a mailbox that may be there", err, mailbox.Unavailable)
	}
	events, next, err := s.ReadFeed(t.Context(), cursor, 100)
	if err != nil || len(events) != 2 || events[0].Mailbox != boxes[0] {
		t.Fatalf("the feed without b: %+v %v", events, err)
	}
	blind, err := late.FeedEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := late.ReadFeed(t.Context(), blind, 10); err != nil {
		t.Errorf("a feed that b was never part of: %v", err)
	}

	if err := other.Run(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b serves again", func() bool {
		_, err := s.List(t.Context(), accounts[1])
		_, err2 := late.List(t.Context(), accounts[1])
		return err == nil && err2 == nil
	})
	eventually(t, "the feed of b goes on", func() bool {
		events, next, err = s.ReadFeed(t.Context(), next, 100)
		if err != nil {
			t.Fatal(err)
		}
		return len(events) > 0
	})
	if len(events) != 1 || events[0].Mailbox != boxes[1] {
		t.Errorf("the feed of b: %+v", events)
	}
	eventually(t, "whoever does not know what b told loads all again", func() bool {
		_, _, err := late.ReadFeed(t.Context(), blind, 10)
		if err != nil {
			wantKind(t, "the feed", err, mailbox.NonExistent)
		}
		return err != nil
	})
}

// TestDirectoryAway: whose place is remembered can still work and log in.
func TestDirectoryAway(t *testing.T) {
	first := start(t)
	defer first.Close()
	list := append([]Shard{{Name: "first", Postgres: postgres.Options{URL: first.URL("postgres"), Blobs: blobs(t)}}}, shards(t, 1)...)
	s := open(t, Options{Shards: list})
	accounts, boxes := spread(t, s, "first", "a")
	users, err := s.UserList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var name string
	for _, u := range users {
		if u.Account == accounts[1] {
			name = u.Name
		}
	}
	if _, err := s.User(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.User(t.Context(), name); err != nil {
		t.Errorf("login: %v", err)
	}
	if _, err := add(t.Context(), s, boxes[1], 1, 100); err != nil {
		t.Errorf("append: %v", err)
	}
	_, err = s.Lookup(t.Context(), accounts[1], "missing")
	wantKind(t, "a name that is not there", err, mailbox.NonExistent)
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("not ready: %v", err)
	}
	_, err = add(t.Context(), s, boxes[0], 1, 100)
	wantKind(t, "append on the first shard", err, mailbox.Unavailable)
	_, err = s.User(t.Context(), "stranger")
	wantKind(t, "a stranger's login", err, mailbox.Unavailable)
}

// TestAddShard makes several databases of one that holds mail, and then more: nobody moves, and new
// accounts come to all.
func TestAddShard(t *testing.T) {
	list := shards(t, 3)
	alone, err := postgres.Open(t.Context(), list[0].Postgres)
	if err != nil {
		t.Fatal(err)
	}
	where := make(map[mailbox.AccountID]string)
	for i := range 5 {
		u, err := alone.AddUser(t.Context(), mailbox.User{Name: fmt.Sprint("old", i), Aliases: []string{fmt.Sprint("alias", i)}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		where[u.Account] = "a"
	}
	line := func(s mailstore.Mailboxes, account mailbox.AccountID) uint64 {
		b, err := s.Lookup(t.Context(), account, mailbox.Inbox)
		if err != nil {
			t.Fatal(err)
		}
		snap, err := s.Snapshot(t.Context(), b.ID)
		if err != nil {
			t.Fatal(err)
		}
		return snap.Line
	}
	lines := make(map[uint64]bool)
	for account := range where {
		lines[line(alone, account)] = true
	}
	if err := alone.Close(); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 3; n++ {
		s := open(t, Options{Shards: list[:n]})
		for i := range 30 {
			u, err := s.AddUser(t.Context(), mailbox.User{Name: fmt.Sprintf("user%d.%d", n, i)}, nil)
			if err != nil {
				t.Fatal(err)
			}
			p, err := s.directory().Find(t.Context(), u.Account)
			if err != nil {
				t.Fatal(err)
			}
			where[u.Account] = p.Shard
		}
		count := make(map[string]int)
		for account, name := range where {
			p, err := s.directory().Find(t.Context(), account)
			if err != nil || p.Shard != name || p.State != postgres.Settled {
				t.Fatalf("%d shards: account is on %+v, was on %s, %v", n, p, name, err)
			}
			lines[line(s, account)] = true
			count[p.Shard]++
		}
		if len(count) != n {
			t.Errorf("%d shards: %v", n, count)
		}
		if u, err := s.User(t.Context(), "alias3"); err != nil || u.Name != "old3" {
			t.Errorf("an old alias: %+v %v", u, err)
		}
		users, err := s.UserList(t.Context())
		if err != nil || len(users) != len(where) || !slices.IsSortedFunc(users, func(a, b mailbox.User) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) }) {
			t.Errorf("%d shards: %d users, want %d, %v", n, len(users), len(where), err)
		}
	}
	if len(lines) != 1 {
		t.Errorf("%d lines, want that of the first shard", len(lines))
	}

	// A database is taken only for what it is.
	swapped := []Shard{list[0], {Name: "b", Postgres: list[2].Postgres}}
	filled := []Shard{{Name: "x", Postgres: postgres.Options{URL: database(t), Blobs: blobs(t)}}, {Name: "a", Postgres: list[0].Postgres}}
	reordered := []Shard{list[1], list[0]}
	for name, shards := range map[string][]Shard{"swapped": swapped, "of another mail store": filled, "another order": reordered} {
		s, err := Open(t.Context(), Options{Shards: shards})
		wantKind(t, name, err, mailbox.Cannot)
		if err == nil {
			s.Close()
		}
	}
	_, err = postgres.Open(t.Context(), list[1].Postgres)
	wantKind(t, "a shard alone", err, mailbox.Cannot)
	used := shards(t, 2)
	if alone, err = postgres.Open(t.Context(), used[1].Postgres); err != nil {
		t.Fatal(err)
	}
	if _, err := alone.AddUser(t.Context(), mailbox.User{Name: "ada"}, nil); err != nil {
		t.Fatal(err)
	}
	alone.Close()
	_, err = Open(t.Context(), Options{Shards: used})
	wantKind(t, "a second shard with accounts", err, mailbox.Cannot)
}

// TestUnendedUsers begins to add and to remove users and does not end it, as a crash may: nobody is half there, and the names
// can be had again.
func TestUnendedUsers(t *testing.T) {
	s := open(t, Options{Shards: shards(t, 2)})
	ctx := t.Context()
	d := s.directory()
	begin := func(name string) postgres.Place {
		t.Helper()
		account := mailbox.NewAccountID()
		sh, err := s.choose(account)
		if err != nil {
			t.Fatal(err)
		}
		p, err := d.Add(ctx, postgres.Place{Account: account, UserName: name, Shard: sh.Name}, []string{name + "-alias"})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}

	// The entry, but no account.
	begin("ada")
	if f := check(t, s); len(f) != 1 || !strings.Contains(f[0], "the user ada was not added") {
		t.Errorf("check: %q", f)
	}
	_, err := s.User(ctx, "ada")
	wantKind(t, "a user who is not there yet", err, mailbox.NonExistent)
	u, err := s.AddUser(ctx, mailbox.User{Name: "ada"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.AddUser(ctx, mailbox.User{Name: "ada"}, nil); mailbox.KindOf(err) != mailbox.AlreadyExists {
		t.Errorf("added twice: %v", err)
	}
	if _, err := s.AddUser(ctx, mailbox.User{Name: "ada-alias"}, nil); err != nil {
		t.Errorf("an alias that nobody has: %v", err)
	}

	// The account, not confirmed.
	p := begin("bob")
	sh, err := s.named("", p.Shard)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sh.store.Load().AddAccount(ctx, mailbox.User{Name: "bob", Account: p.Account, Aliases: []string{"bob-alias"}}, nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bob", "bob-alias"} {
		if u, err := s.User(ctx, name); err != nil || u.Account != p.Account {
			t.Errorf("%s: %+v %v", name, u, err)
		}
	}
	_, err = s.AddUser(ctx, mailbox.User{Name: "bob"}, nil)
	wantKind(t, "added twice", err, mailbox.AlreadyExists)
	if f := check(t, s); len(f) > 0 {
		t.Errorf("check: %q", f)
	}
	_, err = s.AddUser(ctx, mailbox.User{Name: "carl"}, []mailstore.NewMailbox{{Name: "bad\x01name"}})
	wantKind(t, "a user with a bad mailbox", err, mailbox.Cannot)
	if f := check(t, s); len(f) > 0 {
		t.Errorf("check: %q", f)
	}
	if err := s.UpdateUser(ctx, mailbox.User{Name: "bob", Aliases: []string{"robert"}}); err != nil {
		t.Error(err)
	}
	if u, err := s.User(ctx, "robert"); err != nil || u.Account != p.Account {
		t.Errorf("%+v %v", u, err)
	}

	// Removed by the directory's word, the account still there.
	if err := d.Remove(ctx, u.Account); err != nil {
		t.Fatal(err)
	}
	fresh := open(t, s.o) // remembers nothing
	_, err = fresh.User(ctx, "ada")
	wantKind(t, "a user who is being removed", err, mailbox.NonExistent)
	again, err := fresh.AddUser(ctx, mailbox.User{Name: "ada"}, nil)
	if err != nil || again.Account == u.Account {
		t.Errorf("added again: %+v %v", again, err)
	}
	_, err = s.List(ctx, u.Account)
	wantKind(t, "the old account", err, mailbox.NonExistent)
	if err := d.Remove(ctx, again.Account); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveUser(ctx, "ada"); err != nil {
		t.Errorf("removed again: %v", err)
	}
	wantKind(t, "removed at last", s.RemoveUser(ctx, "ada"), mailbox.NonExistent)
	if f := check(t, s); len(f) > 0 {
		t.Errorf("check: %q", f)
	}
	exec(t, s.shards[0].Postgres.URL, `UPDATE directory SET shard = CASE shard WHEN 'a' THEN 'b' ELSE 'a' END WHERE username = 'bob'`)
	if f := check(t, s); len(f) != 1 || !strings.Contains(f[0], "(bob) is on shard") {
		t.Errorf("check: %q", f)
	}
}

// check returns what Check finds.
func check(t *testing.T, s *Store) (list []string) {
	t.Helper()
	if err := s.Check(t.Context(), mailstore.CheckOptions{Deep: true}, func(f mailstore.Finding) { list = append(list, f.What) }); err != nil {
		t.Fatal(err)
	}
	return list
}

// TestNamesMove gives an alias to another user: whoever remembers whose it was finds out.
func TestNamesMove(t *testing.T) {
	list := shards(t, 2)
	s, other := open(t, Options{Shards: list}), open(t, Options{Shards: list})
	ctx := t.Context()
	var users []mailbox.User
	for _, account := range first(spread(t, s, "a", "a", "b")) {
		all, err := s.UserList(ctx)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(u mailbox.User) bool { return u.Account == account })
		users = append(users, all[i])
	}
	for i, u := range users {
		u.Aliases = []string{"info"}
		if err := s.UpdateUser(ctx, u); err != nil {
			t.Fatal(err)
		}
		for name, s := range map[string]*Store{"here": s, "another node": other} {
			if got, err := s.User(ctx, "info"); err != nil || got.Account != u.Account {
				t.Errorf("%s, user %d: %+v %v", name, i, got, err)
			}
		}
		u.Aliases = nil
		if err := s.UpdateUser(ctx, u); err != nil {
			t.Fatal(err)
		}
	}
}

func first[A, B any](a A, _ B) A { return a }

// TestFeedOfMany reads the feed of three shards in small pieces while it grows: nothing is missed or told twice, and
// what is one mailbox's comes in its order.
func TestFeedOfMany(t *testing.T) {
	s := open(t, Options{Shards: shards(t, 3)})
	_, boxes := spread(t, s, "a", "b", "c")
	cursor, err := s.FeedEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const each = 40
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, len(boxes))
	for _, box := range boxes {
		go func() {
			for i := range each {
				if _, err := add(ctx, s, box, i, 100); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	told := make(map[mailbox.ID]mailbox.ModSeq)
	n, ended := 0, 0
	for limit := 1; ended < len(boxes) || n < each*len(boxes); limit = limit%7 + 1 {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			ended++
		default:
		}
		events, next, err := s.ReadFeed(t.Context(), cursor, limit)
		if err != nil || len(events) > limit {
			t.Fatalf("%d events, at most %d were asked for, %v", len(events), limit, err)
		}
		if ended == len(boxes) && len(events) == 0 && n < each*len(boxes) {
			t.Fatalf("the feed ends after %d events, want %d", n, each*len(boxes))
		}
		for _, e := range events {
			if prev, ok := told[e.Mailbox]; ok && e.Change.Prev != prev {
				t.Fatalf("after modseq %d comes a change from %d", prev, e.Change.Prev)
			}
			told[e.Mailbox] = e.Change.ModSeq
			n++
		}
		cursor = next
	}
	if n != each*len(boxes) {
		t.Errorf("%d events, want %d", n, each*len(boxes))
	}
}
