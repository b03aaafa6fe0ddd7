package sharded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// A picture is all that can be known of an account.
type picture struct {
	user  mailbox.User
	quota mailbox.Quota
	list  []mailstore.Info
	boxes map[string]boxPicture
}

type boxPicture struct {
	snapshot mailstore.Snapshot
	rows     []mailstore.Row
	bodies   []string
	changes  []mailbox.Change // since each modseq, or nothing where the log does not reach back
}

func take(t testing.TB, s *Store, name string) *picture {
	t.Helper()
	ctx := t.Context()
	u, err := s.User(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	p := &picture{user: u, boxes: make(map[string]boxPicture)}
	if p.quota, err = s.Quota(ctx, u.Account); err != nil {
		t.Fatal(err)
	}
	if p.list, err = s.List(ctx, u.Account); err != nil {
		t.Fatal(err)
	}
	for _, info := range p.list {
		if info.ID.IsZero() {
			continue
		}
		var b boxPicture
		snap, err := s.Snapshot(ctx, info.ID)
		if err != nil {
			t.Fatal(err)
		}
		b.snapshot = *snap
		const all = mailstore.FieldFlags | mailstore.FieldReceived | mailstore.FieldSize | mailstore.FieldEnvelope | mailstore.FieldStructure |
			mailstore.FieldPreview | mailstore.FieldIDs | mailstore.FieldSaved
		var page mailstore.Page
		if err := s.Page(ctx, info.ID, imap.UIDSet{{Start: 1, Stop: 1<<32 - 1}}, all, 100_000, &page); err != nil {
			t.Fatal(err)
		}
		b.rows = page.Rows
		for _, r := range page.Rows {
			body, err := s.Body(ctx, info.ID, r.UID)
			if err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, body.Size())
			if _, err := body.ReadAt(buf, 0); err != nil {
				t.Fatal(err)
			}
			body.Close()
			b.bodies = append(b.bodies, string(buf))
		}
		for since := range snap.ModSeq + 1 {
			c, ok, err := s.ChangesSince(ctx, info.ID, since)
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				b.changes = append(b.changes, *c)
			}
		}
		p.boxes[info.Name] = b
	}
	return p
}

// same wants two pictures to be equal.
func same(t testing.TB, what string, got, want *picture) {
	t.Helper()
	if !reflect.DeepEqual(got.user, want.user) {
		t.Errorf("%s: user %+v, want %+v", what, got.user, want.user)
	}
	if !reflect.DeepEqual(got.quota, want.quota) {
		t.Errorf("%s: quota %+v, want %+v", what, got.quota, want.quota)
	}
	if !reflect.DeepEqual(got.list, want.list) {
		t.Errorf("%s: mailboxes %+v, want %+v", what, got.list, want.list)
	}
	for name, w := range want.boxes {
		g := got.boxes[name]
		for _, v := range []struct {
			what      string
			got, want any
		}{{"snapshot", g.snapshot, w.snapshot}, {"rows", g.rows, w.rows}, {"bodies", g.bodies, w.bodies}, {"changes", g.changes, w.changes}} {
			if !reflect.DeepEqual(v.got, v.want) {
				t.Errorf("%s: %s: %s: %.300s, want %.300s", what, name, v.what, fmt.Sprintf("%+v", v.got), fmt.Sprintf("%+v", v.want))
			}
		}
	}
}

// furnish adds a user on shard a with all that an account can have.
func furnish(t testing.TB, s *Store, name string) mailbox.AccountID {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	accounts, boxes := spread(t, s, "a")
	account, inbox := accounts[0], boxes[0]
	users, err := s.UserList(ctx)
	must(err)
	i := slices.IndexFunc(users, func(u mailbox.User) bool { return u.Account == account })
	// The user has the wanted name as an alias: names cannot be changed.
	u := users[i]
	u.Password, u.Admin, u.Aliases = "hash", true, []string{name, name + "-too"}
	must(s.UpdateUser(ctx, u))
	must(s.SetQuota(ctx, account, &mailbox.QuotaLimits{Storage: 50_000_000, Messages: -1}))
	created := func(name string, use ...imap.MailboxAttr) mailbox.ID {
		t.Helper()
		b, err := s.Create(ctx, account, name, use)
		must(err)
		return b.ID
	}
	work, sent, gone := created("Work/Ärger"), created("Sent", imap.MailboxAttrSent), created("gone")
	empty := created("old/deep/er")
	must(s.AdoptUIDs(ctx, empty, 4711, 99))
	must(s.Subscribe(ctx, account, "Sent", true))
	must(s.Subscribe(ctx, account, "never was", true))
	n := 0
	fill := func(box mailbox.ID, count, size int, flags ...imap.Flag) {
		t.Helper()
		for range count {
			n++
			_, err := add(ctx, s, box, n, size, flags...)
			must(err)
		}
	}
	fill(inbox, 30, 300)
	fill(inbox, 2, 200_000, imap.FlagSeen, "Work")
	fill(gone, 5, 300, "$Label1")
	fill(sent, 3, 70_000)
	span := func(from, to imap.UID) imap.UIDSet { return imap.UIDSet{{Start: from, Stop: to}} }
	// Bodies with several messages, also of mailboxes that are gone.
	_, err = s.Copy(ctx, inbox, work, span(5, 32))
	must(err)
	_, err = s.Copy(ctx, gone, work, span(1, 5))
	must(err)
	_, err = s.Copy(ctx, gone, sent, span(1, 3))
	must(err)
	_, err = s.Move(ctx, inbox, sent, span(31, 31))
	must(err)
	must(s.Delete(ctx, account, "gone"))
	for _, f := range []struct {
		uids  imap.UIDSet
		flags []imap.Flag
	}{{span(1, 9), []imap.Flag{imap.FlagSeen}}, {span(3, 4), []imap.Flag{"Later", imap.FlagFlagged}}, {span(10, 14), []imap.Flag{imap.FlagDeleted}}} {
		_, err := s.UpdateFlags(ctx, inbox, f.uids, mailstore.FlagUpdate{Op: imap.StoreFlagsAdd, Flags: mailbox.NewFlags(f.flags...)})
		must(err)
	}
	_, err = s.Expunge(ctx, inbox, span(10, 12))
	must(err)
	_, err = s.Expunge(ctx, inbox, span(14, 14))
	must(err)
	_, err = s.ClaimRecent(ctx, inbox, 20)
	must(err)
	must(s.Rename(ctx, account, "old/deep/er", "older/er"))
	return account
}

// moved moves an account and wants that to succeed.
func moved(t testing.TB, s *Store, account mailbox.AccountID, to string) {
	t.Helper()
	done := false
	if err := s.MoveAccount(t.Context(), account, to, func(r mailstore.MoveReport) { done = r.Done }); err != nil || !done {
		t.Fatalf("moved to %s: done %v, %v", to, done, err)
	}
}

// rows counts what a database holds of accounts, but for the memory that they have left.
func rows(t testing.TB, url string) map[string]int {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	count := make(map[string]int)
	for _, table := range []string{"accounts", "users", "names", "mailboxes", "subscriptions", "messages", "bodies", "shared", "threads", "expunged",
		"dead_boxes", "dead_accounts", "arrivals", "arriving_boxes"} {
		var n int
		if err := c.QueryRow(t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			count[table] = n
		}
	}
	return count
}

func maintain(t testing.TB, s *Store) {
	t.Helper()
	for range 3 { // doomed, deleted, forgotten
		if err := s.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// countBlobs counts the blobs of a shard, besides its mark.
func countBlobs(t testing.TB, sh Shard) (n int) {
	t.Helper()
	for _, err := range sh.Postgres.Blobs.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n - 1
}

// TestMove moves an account that has everything, and back. Nothing about it is another: not for who has moved it, nor for another node that
// has heard of nothing and remembers where it was. What stays behind is cleared away, but not the bodies.
func TestMove(t *testing.T) {
	list := shards(t, 2)
	for i := range list {
		list[i].Postgres.BodyGrace = time.Nanosecond
	}
	s, other := open(t, Options{Shards: list}), open(t, Options{Shards: list})
	account := furnish(t, s, "ada")
	maintain(t, s)
	want := take(t, other, "ada")
	same(t, "before", take(t, s, "ada"), want)
	blobs := countBlobs(t, list[0])
	for _, to := range []string{"b", "a", "a", "b"} {
		moved(t, s, account, to)
		// The other node's first question is one by a mailbox, of which it remembers that it is elsewhere.
		inbox := want.boxes[mailbox.Inbox]
		if got := string(read(t, other, inbox.snapshot.ID, inbox.rows[3].UID)); got != inbox.bodies[3] {
			t.Errorf("%s: another node reads %.100q", to, got)
		}
		same(t, to+", another node", take(t, other, "ada"), want)
		same(t, to, take(t, s, "ada"), want)
		maintain(t, s)
		same(t, to+", cleared away", take(t, s, "ada"), want)
		here, there := list[0], list[1]
		if to == "b" {
			here, there = there, here
		}
		if left := rows(t, there.Postgres.URL); len(left) > 0 {
			t.Errorf("%s: left behind: %v", to, left)
		}
		if n := countBlobs(t, there); n != 0 {
			t.Errorf("%s: %d blobs are left behind", to, n)
		}
		if n := countBlobs(t, here); n != blobs {
			t.Errorf("%s: %d blobs, want %d", to, n, blobs)
		}
		if f := check(t, s); len(f) > 0 {
			t.Errorf("%s: check: %q", to, f)
		}
	}
	// It goes on as before.
	inbox := want.boxes[mailbox.Inbox].snapshot
	uid, err := add(t.Context(), other, inbox.ID, 1000, 100)
	if err != nil || uid != inbox.Counts.UIDNext {
		t.Errorf("the next UID is %d, want %d, %v", uid, inbox.Counts.UIDNext, err)
	}
	c, ok, err := s.ChangesSince(t.Context(), inbox.ID, inbox.ModSeq)
	if err != nil || !ok || c.ModSeq != inbox.ModSeq+1 || c.Line != inbox.Line {
		t.Errorf("the next change: %+v %v %v", c, ok, err)
	}
	b, err := s.Create(t.Context(), account, "another", nil)
	if err != nil || b.UIDValidity <= inbox.UIDValidity {
		t.Errorf("another mailbox: %+v %v", b, err)
	}
	if err := other.RemoveUser(t.Context(), want.user.Name); err != nil {
		t.Error(err)
	}
	maintain(t, s)
	for _, sh := range list {
		if left := rows(t, sh.Postgres.URL); len(left) > 0 {
			t.Errorf("of the removed account: %v", left)
		}
	}
}

var errKilled = errors.New("killed")

// TestMoveKilled ends a move at each of its steps, as a crash would. Whatever the step, the mail is there for all nodes and can be written to, there is one
// of it, and the move can be begun again, or one to elsewhere.
func TestMoveKilled(t *testing.T) {
	list := shards(t, 3)
	for i := range list {
		list[i].Postgres.BodyGrace = time.Nanosecond
	}
	s, other := open(t, Options{Shards: list}), open(t, Options{Shards: list})
	account := furnish(t, s, "ada")
	inbox := take(t, s, "ada").boxes[mailbox.Inbox].snapshot.ID
	at := "a"
	for n, kill := range []struct{ step, next string }{
		{"begun", "same elsewhere"}, {"copying", "nowhere same elsewhere"}, {"round", "same"}, {"copied", "elsewhere"}, {"sealed", "nowhere same"},
		{"gone", "nowhere same elsewhere"}, {"active", "same elsewhere"}, {"switched", "same"},
	} {
		step := kill.step
		for next := range strings.FieldsSeq(kill.next) {
			what := fmt.Sprintf("killed when %s, then %s", step, next)
			to := string(rune('a' + (at[0]-'a'+1)%3))
			want := take(t, s, "ada")
			s.interrupt = func(name string) error {
				if name != step {
					return nil
				}
				return errKilled
			}
			err := s.MoveAccount(t.Context(), account, to, func(mailstore.MoveReport) {})
			if !errors.Is(err, errKilled) {
				t.Fatalf("%s: %v", what, err)
			}
			s.interrupt = nil
			passed := step == "gone" || step == "active" || step == "switched"
			same(t, what+": another node", take(t, other, "ada"), want)
			if _, err := add(t.Context(), other, inbox, 5000+n, 300, "Work"); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if _, err := s.UpdateFlags(t.Context(), inbox, imap.UIDSet{{Start: 15, Stop: 20}},
				mailstore.FlagUpdate{Op: imap.StoreFlagsSet, Flags: mailbox.NewFlags(imap.Flag(fmt.Sprint("at", n, next)))}); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			want = take(t, s, "ada")
			if passed {
				at = to
			}
			switch next {
			case "same":
				moved(t, other, account, to)
				at = to
			case "elsewhere":
				at = string(rune('a' + (at[0]-'a'+2)%3))
				moved(t, other, account, at)
			}
			same(t, what, take(t, s, "ada"), want)
			p, err := s.directory().Find(t.Context(), account)
			if err != nil || p.Shard != at {
				t.Errorf("%s: on shard %s, want %s, %v", what, p.Shard, at, err)
			}
			if next == "nowhere" {
				continue // something is left, which the next move finds
			}
			maintain(t, s)
			for _, sh := range list {
				left := rows(t, sh.Postgres.URL)
				if sh.Name != at && len(left) > 0 {
					t.Errorf("%s: on shard %s: %v", what, sh.Name, left)
				}
			}
			if f := check(t, s); len(f) > 0 {
				t.Errorf("%s: check: %q", what, f)
			}
			same(t, what+": cleared away", take(t, other, "ada"), want)
		}
	}
}

// addMany appends messages of about size bytes, many at a time.
func addMany(t testing.TB, s *Store, box mailbox.ID, count, size int) {
	t.Helper()
	for n := 0; n < count; n += 100 {
		var list []mailstore.Incoming
		for i := n; i < min(n+100, count); i++ {
			d, err := s.Receive(t.Context(), bytes.NewReader(mail(i, size)), 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Discard()
			list = append(list, mailstore.Incoming{Draft: d})
		}
		if _, err := s.Append(t.Context(), box, list); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMoveResumed breaks a move off in the middle of a mailbox that is changed then, in what is copied already and
// in what is not. The next attempt copies the rest, not all.
func TestMoveResumed(t *testing.T) {
	list := shards(t, 2)
	s := open(t, Options{Shards: list})
	_, boxes := spread(t, s, "a")
	users, err := s.UserList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	name, account, inbox := users[0].Name, users[0].Account, boxes[0]
	const count, size = 1300, 200
	addMany(t, s, inbox, count, size)
	seen := 0
	s.interrupt = func(step string) error {
		if step == "copying" {
			seen++
		}
		if seen == 2 {
			return errKilled
		}
		return nil
	}
	if err := s.MoveAccount(t.Context(), account, "b", func(mailstore.MoveReport) {}); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	s.interrupt = nil
	for _, uid := range []imap.UID{1, 400, 700, 999, 1000, 1001, 1200, 1300} {
		for _, u := range []mailstore.FlagUpdate{{Op: imap.StoreFlagsAdd, Flags: mailbox.NewFlags("Work")}, {Op: imap.StoreFlagsAdd, Flags: mailbox.NewFlags(imap.FlagDeleted)}} {
			if _, err := s.UpdateFlags(t.Context(), inbox, imap.UIDSet{{Start: uid, Stop: uid + 1}}, u); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Expunge(t.Context(), inbox, imap.UIDSet{{Start: uid, Stop: uid}}); err != nil {
			t.Fatal(err)
		}
	}
	addMany(t, s, inbox, 10, size)
	want := take(t, s, name)
	var copied int64
	if err := s.MoveAccount(t.Context(), account, "b", func(r mailstore.MoveReport) { copied += r.Bytes }); err != nil {
		t.Fatal(err)
	}
	if all := want.quota.Usage.Storage; copied == 0 || copied > all/2 {
		t.Errorf("%d bytes were copied of %d, most of which were there", copied, all)
	}
	same(t, "resumed", take(t, s, name), want)
	if f := check(t, s); len(f) > 0 {
		t.Errorf("check: %q", f)
	}
}

// TestMoveRemembered has a node remember a shard that the account has left since, and to which it is about to come back: what is there of it already
// is not written to, nor read.
func TestMoveRemembered(t *testing.T) {
	list := shards(t, 2)
	s, other := open(t, Options{Shards: list}), open(t, Options{Shards: list})
	account := furnish(t, s, "ada")
	moved(t, s, account, "b")
	want := take(t, other, "ada") // on b, as the other one remembers now
	moved(t, s, account, "a")
	for _, step := range []string{"copied", "sealed"} {
		s.interrupt = func(name string) error {
			if name == step {
				return errKilled
			}
			return nil
		}
		if err := s.MoveAccount(t.Context(), account, "b", func(mailstore.MoveReport) {}); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		s.interrupt = nil
		inbox := want.boxes[mailbox.Inbox].snapshot
		if sh, ok := other.routes.accounts.get(account); !ok || sh.Name != "b" {
			t.Fatalf("remembered: %+v %v", sh, ok)
		}
		uid, err := add(t.Context(), other, inbox.ID, 9000, 100)
		if err != nil || uid != inbox.Counts.UIDNext {
			t.Fatalf("%s: UID %d, want %d, %v", step, uid, inbox.Counts.UIDNext, err)
		}
		want = take(t, s, "ada")
		same(t, step, take(t, other, "ada"), want)
		if sh, ok := other.routes.accounts.get(account); !ok || sh.Name != "a" {
			t.Fatalf("remembered: %+v %v", sh, ok)
		}
		other.routes.accounts.put(account, other.shards[1])
	}
	moved(t, s, account, "b")
	same(t, "moved", take(t, other, "ada"), want)
}

// TestMoveTwice has two processes move an account. The later one takes over; what the earlier one still does has no effect.
func TestMoveTwice(t *testing.T) {
	list := shards(t, 3)
	s, other := open(t, Options{Shards: list}), open(t, Options{Shards: list})
	account := furnish(t, s, "ada")
	want := take(t, s, "ada")
	inbox := want.boxes[mailbox.Inbox].snapshot.ID
	at := 0
	for _, step := range []string{"begun", "copying", "round", "copied"} {
		for _, to := range []int{(at + 1) % 3, (at + 2) % 3} {
			if to == at {
				to = (at + 1) % 3
			}
			waiting, resume := make(chan struct{}), make(chan struct{})
			seen := false
			s.interrupt = func(name string) error {
				if name == step && !seen {
					seen = true
					close(waiting)
					<-resume
				}
				return nil
			}
			ended := make(chan error, 1)
			go func() {
				ended <- s.MoveAccount(t.Context(), account, string(rune('a'+(at+1)%3)), func(mailstore.MoveReport) {})
			}()
			<-waiting
			moved(t, other, account, string(rune('a'+to)))
			if _, err := other.UpdateFlags(t.Context(), inbox, imap.UIDSet{{Start: 15, Stop: 20}},
				mailstore.FlagUpdate{Op: imap.StoreFlagsSet, Flags: mailbox.NewFlags(imap.Flag(fmt.Sprint(step, to)))}); err != nil {
				t.Fatal(err)
			}
			want = take(t, other, "ada")
			close(resume)
			if err := <-ended; err == nil && step != "begun" {
				t.Errorf("%s: the earlier move knows of nothing", step)
			} else if err == nil { // it has hardly begun, and so is the later one
				to = (at + 1) % 3
			}
			s.interrupt = nil
			same(t, step, take(t, s, "ada"), want)
			if f := check(t, s); len(f) > 0 {
				t.Errorf("%s: check: %q", step, f)
			}
			at = to
		}
	}
}

// TestMoveGivenUp has one process give up a move that another has begun, to move the account elsewhere, while a third begins it again.
func TestMoveGivenUp(t *testing.T) {
	list := shards(t, 3)
	s, other := open(t, Options{Shards: list}), open(t, Options{Shards: list})
	account := furnish(t, s, "ada")
	want := take(t, s, "ada")
	killedAt := func(s *Store, step, to string) {
		t.Helper()
		was := s.interrupt
		s.interrupt = func(name string) error {
			if name == step {
				return errKilled
			}
			return nil
		}
		if err := s.MoveAccount(t.Context(), account, to, func(mailstore.MoveReport) {}); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		s.interrupt = was
	}
	for _, c := range []struct {
		third string // how far the third gets
		kind  mailbox.Kind
		at    string
	}{{"copied", mailbox.InUse, "a"}, {"sealed", mailbox.InUse, "a"}, {"gone", mailbox.InUse, "b"}, {"", mailbox.Other, "c"}} {
		killedAt(s, "copied", "b")
		s.interrupt = func(step string) error {
			if step == "giving up" {
				s.interrupt = nil
				if c.third != "" {
					killedAt(other, c.third, "b")
				} else {
					moved(t, other, account, "b")
				}
			}
			return nil
		}
		err := s.MoveAccount(t.Context(), account, "c", func(mailstore.MoveReport) {})
		s.interrupt = nil
		if (err != nil) != (c.kind != mailbox.Other) || err != nil && mailbox.KindOf(err) != c.kind {
			t.Errorf("third %q: %v", c.third, err)
		}
		same(t, c.third, take(t, other, "ada"), want)
		if at, err := other.ShardOf(t.Context(), account); err != nil || at != c.at {
			t.Errorf("third %q: on shard %s, want %s, %v", c.third, at, c.at, err)
		}
		moved(t, s, account, "b")
		moved(t, s, account, "a")
		same(t, c.third, take(t, other, "ada"), want)
	}
	if f := check(t, s); len(f) > 0 {
		t.Errorf("check: %q", f)
	}
}

// TestMoveForgotten has a directory that is older than two moves, as one from a backup is: the shards know where the account went.
func TestMoveForgotten(t *testing.T) {
	list := shards(t, 3)
	s := open(t, Options{Shards: list})
	account := furnish(t, s, "ada")
	want := take(t, s, "ada")
	moved(t, s, account, "b")
	moved(t, s, account, "c")
	exec(t, list[0].Postgres.URL, `UPDATE directory SET shard = 'a'`)
	fresh := open(t, Options{Shards: list})
	same(t, "found again", take(t, fresh, "ada"), want)
	if at, err := fresh.ShardOf(t.Context(), account); err != nil || at != "c" {
		t.Errorf("on shard %s, want c, %v", at, err)
	}
	if f := check(t, s); len(f) > 0 {
		t.Errorf("check: %q", f)
	}
}

// TestMoveRefused: what cannot be moved stays as it is.
func TestMoveRefused(t *testing.T) {
	list := shards(t, 2)
	s := open(t, Options{Shards: list, MovePause: 200 * time.Millisecond})
	account := furnish(t, s, "ada")
	want := take(t, s, "ada")
	move := func(account mailbox.AccountID, to string) error {
		return s.MoveAccount(t.Context(), account, to, func(mailstore.MoveReport) {})
	}
	wantKind(t, "no such shard", move(account, "c"), mailbox.Cannot)
	wantKind(t, "no such account", move(mailbox.NewAccountID(), "b"), mailbox.NonExistent)

	// Somebody holds a lock for longer than writers may wait.
	c, err := pgx.Connect(t.Context(), list[0].Postgres.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	for _, sql := range []string{`begin`, `SELECT * FROM mailboxes FOR UPDATE`} {
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	wantKind(t, "locked", move(account, "b"), mailbox.Unavailable)
	if _, err := c.Exec(t.Context(), `rollback`); err != nil {
		t.Fatal(err)
	}
	same(t, "after a move that did not end", take(t, s, "ada"), want)
	wantKind(t, "removing who is being moved", s.RemoveUser(t.Context(), want.user.Name), mailbox.InUse)

	// A copy that is not right is found, and made again.
	s.interrupt = func(step string) error {
		if step == "round" {
			exec(t, list[1].Postgres.URL, `UPDATE messages SET flags = flags # 1 WHERE uid = 20`)
			s.interrupt = nil
			return &mailbox.Error{Kind: mailbox.Unavailable, Op: "test"}
		}
		return nil
	}
	if err := move(account, "b"); err != nil {
		t.Error(err)
	}
	same(t, "after a fault in the copy", take(t, s, "ada"), want)
	if f := check(t, s); len(f) > 0 {
		t.Errorf("check: %q", f)
	}
}

// TestMoveColumns holds the copying to the schema: what has another column must say how it is copied.
func TestMoveColumns(t *testing.T) {
	list := shards(t, 1)
	open(t, Options{Shards: list})
	c, err := pgx.Connect(t.Context(), list[0].Postgres.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	// accounts, users and mailboxes are copied whole, whatever they have.
	for table, want := range map[string]string{
		"messages":      "account body box created flags keywords modseq received saved size thread uid zone",
		"bodies":        "account blob body data email_id encoding preview structure",
		"shared":        "account body owners",
		"expunged":      "account at box modseq uids",
		"threads":       "account key thread",
		"subscriptions": "account name",
		"names":         "name username",
	} {
		rows, err := c.Query(t.Context(), `SELECT column_name::text FROM information_schema.columns WHERE table_name = $1`, table)
		if err != nil {
			t.Fatal(err)
		}
		got, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		if g := strings.Join(got, " "); g != want {
			t.Errorf("%s has the columns %s; those that are copied are %s", table, g, want)
		}
	}
	rows, err := c.Query(t.Context(), `SELECT table_name::text FROM information_schema.columns WHERE column_name = 'account' AND table_schema = 'public'`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	const want = "accounts arrivals arriving_boxes bodies dead_accounts dead_boxes departures directory directory_names expunged mailboxes messages shared subscriptions threads users"
	if g := strings.Join(got, " "); g != want {
		t.Errorf("tables with accounts: %s; those that are known to be copied, or not to be: %s", g, want)
	}
}
