package feedcodec

import (
	"reflect"
	"testing"

	"github.com/emersion/go-imap/v2"
	"pgregory.net/rapid"

	"github.com/starling-mail/starling/mailbox"
)

// drawUIDs draws a static set: ascending, disjoint, at most n ranges.
func drawUIDs(t *rapid.T, n int) (set imap.UIDSet) {
	last := uint64(0)
	for range rapid.IntRange(0, n).Draw(t, "ranges") {
		start := last + 2 + rapid.Uint64Range(0, 1<<28).Draw(t, "gap")
		stop := start + rapid.Uint64Range(0, 1<<20).Draw(t, "length")
		if stop > 1<<32-1 {
			break
		}
		set = append(set, imap.UIDRange{Start: imap.UID(start), Stop: imap.UID(stop)})
		last = stop
	}
	return set
}

func drawEvent(t *rapid.T) mailbox.Event {
	e := mailbox.Event{Kind: mailbox.EventKind(rapid.IntRange(1, 11).Draw(t, "kind")), Account: mailbox.NewAccountID()}
	if rapid.Bool().Draw(t, "mailbox") {
		e.Mailbox = mailbox.NewID()
	}
	e.Name = rapid.StringN(0, 20, 80).Draw(t, "name")
	e.OldName = rapid.StringN(0, 20, 80).Draw(t, "old name")
	if rapid.Bool().Draw(t, "user") {
		e.User = mailbox.NewAccountID()
	}
	if rapid.Bool().Draw(t, "change") {
		c := &mailbox.Change{Mailbox: e.Mailbox, Account: e.Account, Line: rapid.Uint64().Draw(t, "line"), Prev: mailbox.ModSeq(rapid.Uint32().Draw(t, "prev"))}
		c.ModSeq = c.Prev + mailbox.ModSeq(rapid.Uint32().Draw(t, "step"))
		c.Added, c.Expunged = drawUIDs(t, 5), drawUIDs(t, 5)
		for range rapid.IntRange(0, 3).Draw(t, "flag changes") {
			f := mailbox.FlagChange{UIDs: drawUIDs(t, 3), Flags: mailbox.Flags{System: mailbox.SystemFlags(rapid.Byte().Draw(t, "flags")), Keywords: rapid.String().Draw(t, "keywords")}}
			if rapid.Bool().Draw(t, "private") {
				f.User = mailbox.NewAccountID()
			}
			c.Flags = append(c.Flags, f)
		}
		c.Counts = mailbox.Counts{Messages: rapid.Uint32().Draw(t, "messages"), Size: rapid.Int64Min(0).Draw(t, "size"), UIDNext: imap.UID(rapid.Uint32().Draw(t, "next"))}
		c.Truncated = rapid.Bool().Draw(t, "truncated")
		e.Change = c
	}
	return e
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvent(t)
		b := Encode(e)
		got, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, e) {
			t.Fatalf("%+v %+v came back as %+v %+v", e, e.Change, got, got.Change)
		}
		// A later version may add to it.
		b[2] |= 1 << 7
		if got, err := Decode(append(b, rapid.SliceOf(rapid.Byte()).Draw(t, "added")...)); err != nil || !reflect.DeepEqual(got, e) {
			t.Fatalf("with fields that are not known %+v, %v", got, err)
		}
		if n := rapid.IntRange(0, len(b)-1).Draw(t, "cut"); n < len(b) {
			if _, err := Decode(b[:n]); err == nil {
				t.Fatalf("%d of %d bytes are an event", n, len(b))
			}
		}
	})
}

func TestLargeChangeIsTruncated(t *testing.T) {
	c := &mailbox.Change{Line: 1, Prev: 1, ModSeq: 2}
	for uid := imap.UID(1); uid < 1<<17; uid += 2 {
		c.Added = append(c.Added, imap.UIDRange{Start: uid, Stop: uid})
	}
	got, err := Decode(Encode(mailbox.ChangeEvent(c)))
	if err != nil || !got.Change.Truncated || got.Change.Added != nil || got.Change.ModSeq != 2 {
		t.Errorf("%v, %+v", err, got.Change)
	}
	if len(c.Added) != 1<<16 || c.Truncated {
		t.Error("the event itself was changed")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{})
	f.Add(Encode(mailbox.Event{Kind: mailbox.EventRenamed, Name: "a", OldName: "b"}))
	f.Add(Encode(mailbox.ChangeEvent(&mailbox.Change{Mailbox: mailbox.ID{1}, Account: mailbox.AccountID{2}, Line: 3, Prev: 4, ModSeq: 5,
		Added: imap.UIDSet{{Start: 1, Stop: 3}}, Flags: []mailbox.FlagChange{{UIDs: imap.UIDSet{{Start: 1, Stop: 3}}, Flags: mailbox.NewFlags("a", "b")}}})))
	f.Fuzz(func(t *testing.T, b []byte) {
		DecodeUIDs(b)
		e, err := Decode(b)
		if err != nil {
			return
		}
		again, err := Decode(appendEvent(nil, e))
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Fatalf("%+v came back as %+v, %v", e, again, err)
		}
	})
}
