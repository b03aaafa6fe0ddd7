package imapserver

import (
	"cmp"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/tracker"
)

// relayed answers with what another server tells of the messages. Which of them there are, their numbers
// and flags are the view's to say: what else that server speaks of is left out.
func (f *fetcher) relayed(uids imap.UIDSet) error {
	own, seen := f.markSeen(uids)
	err := f.relay(uids, own, seen)
	if err != nil || f.failed != nil || f.missed {
		f.session.view.Disown(own) // so that \Seen is told of all
	}
	return err
}

func (f *fetcher) relay(uids imap.UIDSet, own mailbox.ModSeq, seen imap.UIDSet) (err error) {
	view := f.session.view
	if own > 0 {
		if err := view.Reach(f.srv.commands, own); err != nil {
			return err
		}
	}
	rows, err := view.Flags(f.srv.commands, uids, f.rows[:0])
	f.rows = rows
	if err != nil {
		return err
	}
	f.missed = f.missed || uint32(len(rows)) < count(uids)
	rows = slices.DeleteFunc(rows, func(r tracker.FlagRow) bool { return r.ModSeq <= f.since })
	if len(rows) == 0 {
		return nil
	}
	var wanted imap.UIDSet
	for i := range rows {
		wanted.AddNum(rows[i].UID)
	}
	answer := f.traits.Relay.Fetch(f.srv.commands, f.session.box, wanted, f.items)
	left := len(rows)
	for err == nil {
		uid := answer.Next()
		if uid == 0 {
			break
		}
		i, ok := slices.BinarySearchFunc(rows, uid, func(r tracker.FlagRow, uid imap.UID) int { return cmp.Compare(r.UID, uid) })
		if !ok || rows[i].Number == 0 {
			continue // not asked for, or told already
		}
		err = f.relayMessage(answer, &rows[i], seen.Contains(uid))
		rows[i].Number = 0
		left--
	}
	failure := answer.Close()
	f.missed = f.missed || left > 0
	if err != nil || mailbox.KindOf(failure) == mailbox.Expunged {
		return err // why the client cannot be told any more, before why the server does not
	}
	return failure
}

// relayMessage writes the response for one message. If the server falls silent between two items, the
// response ends there.
func (f *fetcher) relayMessage(answer mailstore.Relayed, r *tracker.FlagRow, nowSeen bool) error {
	f.begin(r, nowSeen)
	told := 0
	for item := answer.Item(); item != nil; item = answer.Item() {
		if err := f.relayItem(item); err != nil {
			return err
		}
		told++
	}
	f.enc.FetchEnd()
	if told < f.unchanging {
		f.failed = no(imap.ResponseCodeUnavailable, "not all could be fetched")
	}
	return f.flushFull()
}

func (f *fetcher) relayItem(item *mailstore.RelayedItem) error {
	enc := &f.enc
	switch s := item.Section; {
	case s == nil:
		enc.FetchItem(item.Name)
		enc.Buf = append(enc.Buf, item.Value...)
	case s.Kind == wire.SectionBinarySize:
		enc.FetchBinarySize(s, item.Size)
	case item.Data == nil:
		enc.FetchSectionNIL(s)
	default:
		enc.FetchSectionLiteral(s, item.Size, item.Binary)
		return f.copyLiteral(item.Data, item.Size, !item.Binary)
	}
	return f.flushFull()
}

// unchanging counts the items that a Relay is asked for.
func unchanging(items *wire.FetchItems) int {
	n := len(items.Sections)
	for _, wanted := range []bool{items.InternalDate, items.Size, items.Envelope, items.Body, items.BodyStructure,
		items.EmailID, items.ThreadID, items.SaveDate} {
		if wanted {
			n++
		}
	}
	return n
}
