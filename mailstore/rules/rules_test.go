package rules

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/emersion/go-imap/v2"
	"pgregory.net/rapid"

	"github.com/starling-mail/starling/mailbox"
)

func TestApply(t *testing.T) {
	from := mailbox.NewFlags(imap.FlagSeen, "a", "b")
	for _, c := range []struct {
		op   imap.StoreFlagsOp
		want mailbox.Flags
	}{
		{imap.StoreFlagsAdd, mailbox.NewFlags(imap.FlagSeen, imap.FlagDeleted, "a", "b", "c")},
		{imap.StoreFlagsDel, mailbox.NewFlags(imap.FlagSeen, "a")},
		{imap.StoreFlagsSet, mailbox.NewFlags(imap.FlagDeleted, "b", "c")},
	} {
		if got := Apply(from, c.op, mailbox.NewFlags(imap.FlagDeleted, "b", "c")); got != c.want {
			t.Errorf("op %v: %v, want %v", c.op, got, c.want)
		}
	}
}

// TestCount adds messages and takes them away again in another order.
func TestCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type message struct {
			size  int64
			flags mailbox.SystemFlags
		}
		var all []message
		var c mailbox.Counts
		for range rapid.IntRange(0, 20).Draw(t, "messages") {
			m := message{rapid.Int64Range(0, 1<<40).Draw(t, "size"), mailbox.SystemFlags(rapid.IntRange(0, 31).Draw(t, "flags"))}
			all = append(all, m)
			Count(&c, 1, m.size, m.flags)
		}
		var want mailbox.Counts
		for _, m := range all {
			want.Messages++
			want.Size += m.size
			if m.flags&mailbox.Seen == 0 {
				want.Unseen++
			}
			if m.flags&mailbox.Deleted != 0 {
				want.Deleted++
				want.DeletedSize += m.size
			}
		}
		if c != want {
			t.Fatalf("%+v, want %+v", c, want)
		}
		for _, m := range rapid.Permutation(all).Draw(t, "order") {
			Count(&c, -1, m.size, m.flags)
		}
		if c != (mailbox.Counts{}) {
			t.Fatalf("after all are gone: %+v", c)
		}
	})
}

func TestFlagging(t *testing.T) {
	var g Flagging
	seen := mailbox.NewFlags(imap.FlagSeen)
	for uid, f := range []mailbox.Flags{seen, {}, seen, seen, {}} {
		g.Add(imap.UID(uid+1), f)
	}
	want := []mailbox.FlagChange{{UIDs: imap.UIDSet{{Start: 1, Stop: 1}, {Start: 3, Stop: 4}}, Flags: seen}, {UIDs: imap.UIDSet{{Start: 2, Stop: 2}, {Start: 5, Stop: 5}}}}
	if got := g.Changes(); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestAddUID(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		uids := rapid.SliceOfDistinct(rapid.Uint32Range(1, 100), rapid.ID).Draw(t, "uids")
		slices.Sort(uids)
		var got, want imap.UIDSet
		for _, uid := range uids {
			AddUID(&got, imap.UID(uid))
			want.AddNum(imap.UID(uid))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || CountUIDs(got) != uint64(len(uids)) {
			t.Fatalf("%v has %d, want %v", got, CountUIDs(got), want)
		}
	})
}

func TestSpell(t *testing.T) {
	known := []string{"NonJunk", "Work"}
	f, now := Spell(known, mailbox.NewFlags(imap.FlagSeen, "nonjunk", "New"), true)
	if f != mailbox.NewFlags(imap.FlagSeen, "NonJunk", "New") || !slices.Equal(now, []string{"NonJunk", "Work", "New"}) {
		t.Errorf("add: %v, %q", f, now)
	}
	f, now = Spell(known, mailbox.NewFlags("WORK", "never"), false)
	if f != mailbox.NewFlags("Work") || !slices.Equal(now, known) {
		t.Errorf("remove: %v, %q", f, now)
	}
	// Two that begin with the same list do not write into each other's.
	roomy := append(make([]string, 0, 8), known...)
	_, a := Spell(roomy, mailbox.NewFlags("a"), true)
	_, b := Spell(roomy, mailbox.NewFlags("b"), true)
	if a[2] != "a" || b[2] != "b" {
		t.Errorf("%q, %q", a, b)
	}
}

func TestUse(t *testing.T) {
	got, err := CheckUse("test", []imap.MailboxAttr{`\sent`, `\Sent`, `\JUNK`}, []imap.MailboxAttr{imap.MailboxAttrTrash})
	if want := []imap.MailboxAttr{imap.MailboxAttrSent, imap.MailboxAttrJunk}; err != nil || !slices.Equal(got, want) || !slices.Equal(ParseUse(FormatUse(got)), want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []imap.MailboxAttr{`\All`, `\Odd`, `\Trash`} {
		if _, err := CheckUse("test", []imap.MailboxAttr{bad}, []imap.MailboxAttr{imap.MailboxAttrTrash}); mailbox.KindOf(err) != mailbox.Cannot {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if ParseUse(FormatUse(nil)) != nil {
		t.Error("no use became some")
	}
}
