package sqlite

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// check runs Check and returns what it found.
func check(t testing.TB, s *Store, repair bool) (list []mailstore.Finding) {
	t.Helper()
	if err := s.Check(context.Background(), mailstore.CheckOptions{Repair: repair}, func(f mailstore.Finding) { list = append(list, f) }); err != nil {
		t.Fatal(err)
	}
	return list
}

// spoil runs SQL behind the store's back.
func spoil(t testing.TB, s *Store, sql string, args ...any) {
	t.Helper()
	if err := s.write(context.Background(), "spoil", func(t *tx) error { return t.exec(sql, args...) }); err != nil {
		t.Fatal(err)
	}
}

// populated returns a store with some of everything: inline bodies and blobs,
// copies, expunges, a deleted mailbox.
func populated(t testing.TB, o Options) (*Store, mailbox.AccountID, mailbox.ID) {
	t.Helper()
	o.Inline = 5000
	s := open(t, o)
	ctx := context.Background()
	a, inbox := account(t, s, "ada")
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
	return s, a, inbox
}

func TestCheckClean(t *testing.T) {
	s, _, _ := populated(t, Options{})
	for range 2 { // before and after what is gone is cleared away
		if list := check(t, s, false); len(list) > 0 {
			t.Errorf("a sound store: %+v", list)
		}
		if err := s.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for _, err := range s.blobs.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 2 { // uids 3 and 5 of INBOX
		t.Errorf("%d blobs are left, want 2", n)
	}
}

// TestCheckFinds spoils a store in every way that Check knows.
func TestCheckFinds(t *testing.T) {
	for name, c := range map[string]struct {
		sql  string
		do   func(t *testing.T, s *Store)
		want string
		lost bool // cannot be mended
	}{
		"counts":          {sql: `UPDATE mailboxes SET unseen = unseen + 1 WHERE name = 'INBOX'`, want: "the counts are"},
		"uidnext":         {sql: `UPDATE mailboxes SET uidnext = 2 WHERE name = 'INBOX'`, want: "the counts are"},
		"modseq":          {sql: `UPDATE mailboxes SET modseq = 1 WHERE name = 'INBOX'`, want: "HIGHESTMODSEQ"},
		"usage":           {sql: `UPDATE accounts SET storage = storage + 1`, want: "the usage is"},
		"expunge log":     {sql: `UPDATE expunged SET uids = x'ff'`, want: "cannot be read"},
		"expunged lives":  {sql: `UPDATE expunged SET uids = x'010300'`, want: "names messages that are there"},
		"expunged later":  {sql: `UPDATE expunged SET modseq = modseq + 100`, want: "the expunge log has modseq"},
		"owners":          {sql: `UPDATE shared SET owners = owners + 1`, want: "are written down"},
		"owners unknown":  {sql: `DELETE FROM shared`, want: "are written down"},
		"body of nobody":  {sql: `INSERT INTO bodies (body, encoding, data) VALUES (77, 0, x'00')`, want: "has no message"},
		"no body":         {sql: `DELETE FROM bodies WHERE body & 4294967295 = 4`, want: "is missing", lost: true},
		"no structure":    {sql: `DELETE FROM contents WHERE body & 4294967295 = 4`, want: "has no structure", lost: true},
		"bad structure":   {sql: `UPDATE contents SET structure = x'00'`, want: "structure cannot be read", lost: true},
		"wrong hash":      {sql: `UPDATE contents SET email_id = zeroblob(16)`, want: "not those that were stored", lost: true},
		"spoilt body":     {sql: `UPDATE bodies SET data = substr(data, 2) WHERE data IS NOT NULL`, want: "corrupt", lost: true},
		"size":            {sql: `UPDATE messages SET size = size + 1 WHERE uid = 4`, want: "its structure says", lost: true},
		"blob of nobody":  {want: "has no message", do: func(t *testing.T, s *Store) { orphan(t, s) }},
		"missing blob":    {want: "is missing", lost: true, do: func(t *testing.T, s *Store) { eachBlob(t, s, os.Remove) }},
		"truncated blob":  {want: "bytes, its structure says", lost: true, do: func(t *testing.T, s *Store) { eachBlob(t, s, func(f string) error { return os.Truncate(f, 9) }) }},
		"dead box's mail": {sql: `DELETE FROM messages WHERE box IN (SELECT box FROM dead_boxes)`, want: "has no message"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, _ := populated(t, Options{})
			if c.do != nil {
				c.do(t, s)
			} else {
				spoil(t, s, c.sql)
			}
			for _, repair := range []bool{false, true} {
				hits := 0
				for _, f := range check(t, s, repair) {
					if strings.Contains(f.What, c.want) {
						hits++
						if f.Mended && !repair {
							t.Errorf("mended without being asked: %+v", f)
						}
					}
				}
				if hits == 0 {
					t.Errorf("repair %v: not found: %q", repair, c.want)
				}
			}
			left := check(t, s, false)
			if c.lost && len(left) == 0 {
				t.Error("what is lost is no longer told")
			}
			if !c.lost && len(left) > 0 {
				t.Errorf("after the repair: %+v", left)
			}
		})
	}
}

// orphan stores a blob that no message owns.
func orphan(t *testing.T, s *Store) {
	if _, err := s.blobs.Put(t.Context(), blob.NewID(), strings.NewReader("nobody's")); err != nil {
		t.Fatal(err)
	}
}

// eachBlob does something to the file of every blob.
func eachBlob(t *testing.T, s *Store, do func(string) error) {
	for b, err := range s.blobs.List(t.Context()) {
		if err == nil {
			name := b.ID.String()
			err = do(filepath.Join(s.o.Dir, blobsName, name[:2], name[2:]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestBackup(t *testing.T) {
	s, a, inbox := populated(t, Options{})
	dir := t.TempDir()
	cursor, err := s.FeedEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), dir); mailbox.KindOf(err) != mailbox.AlreadyExists {
		t.Errorf("a second backup into the folder: %v", err)
	}
	add(t, s, inbox, mail(50, 1000)) // only here
	later, err := s.FeedEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	copied := open(t, Options{Dir: dir})
	if list := check(t, copied, false); len(list) > 0 {
		t.Errorf("the copy: %+v", list)
	}
	for uid, n := range map[imap.UID]int{3: 2, 4: 3} {
		if got := body(t, copied, inbox, uid); !bytes.Equal(got, body(t, s, inbox, uid)) {
			t.Errorf("body of %d (message %d): %d bytes", uid, n, len(got))
		}
	}
	// Nothing that was told after the backup is told again of something else.
	told, err := s.Snapshot(t.Context(), inbox)
	if err != nil {
		t.Fatal(err)
	}
	snap, err := copied.Snapshot(t.Context(), inbox)
	if err != nil {
		t.Fatal(err)
	}
	if snap.Counts.UIDNext < told.Counts.UIDNext+1000 || snap.ModSeq <= told.ModSeq || snap.Line == told.Line || snap.UIDValidity != told.UIDValidity {
		t.Errorf("the copy goes on with %+v, the store is at %+v", snap.Info, told.Info)
	}
	if _, ok, err := copied.ChangesSince(t.Context(), inbox, told.ModSeq); ok || err != nil {
		t.Errorf("changes since what the copy has not seen: %v, %v", ok, err)
	}
	var p mailstore.Page
	if err := copied.Page(t.Context(), inbox, imap.UIDSet{{Start: 1, Stop: maxUID}}, mailstore.FieldFlags, 100, &p); err != nil || len(p.Rows) != 2 {
		t.Fatalf("%d messages, %v", len(p.Rows), err)
	}
	for _, r := range p.Rows {
		if r.ModSeq <= told.ModSeq {
			t.Errorf("message %d has modseq %d, %d was told", r.UID, r.ModSeq, told.ModSeq)
		}
	}
	// The copy goes its own way: cursors from before hold, later ones do not.
	add(t, copied, inbox, mail(51, 1000))
	if events, _, err := copied.ReadFeed(t.Context(), cursor, 10); err != nil || len(events) != 1 || events[0].Account != a {
		t.Errorf("feed since the backup: %+v, %v", events, err)
	}
	if _, _, err := copied.ReadFeed(t.Context(), later, 10); mailbox.KindOf(err) != mailbox.NonExistent {
		t.Errorf("a cursor of the life that the backup has not seen: %v", err)
	}
}
