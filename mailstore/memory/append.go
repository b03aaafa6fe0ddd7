package memory

import (
	"context"
	"io"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/incoming"
	"github.com/starling-mail/starling/mailstore/rules"
)

// Receive implements mailstore.Messages. A Draft belongs to the world: any node's
// store may append it.
func (s *Store) Receive(ctx context.Context, r io.Reader, limit int64) (mailstore.Draft, error) {
	const op = "Receive"
	if err := s.before(ctx, op); err != nil {
		return nil, err
	}
	d, err := s.w.receiver.Receive(ctx, r, limit)
	if err != nil {
		return nil, err
	}
	if err := s.node.Hook(ctx, After, op); err != nil {
		d.Discard()
		return nil, err
	}
	return d, nil
}

// A newMessage is one to be added.
type newMessage struct {
	draft    *incoming.Draft
	data     []byte
	flags    mailbox.Flags
	received time.Time
	uid      imap.UID
}

// Append implements mailstore.Messages.
func (s *Store) Append(ctx context.Context, id mailbox.ID, messages []mailstore.Incoming) (mailstore.Appended, error) {
	const op = "Append"
	list := make([]newMessage, len(messages))
	for i, m := range messages {
		d, ok := m.Draft.(*incoming.Draft)
		if !ok || !d.From(s.w.receiver) || !d.Use() {
			return mailstore.Appended{}, refuse(mailbox.Cannot, op, "the message was not received by this store")
		}
		// The messages hold the bytes themselves: the draft may forget its blob.
		defer d.Done(false)
		list[i] = newMessage{draft: d, data: d.Data, flags: m.Flags, received: m.Received, uid: m.UID}
		if !d.Blob.IsZero() {
			list[i].data = s.w.blobs.bytes(d.Blob)
		}
	}
	var a mailstore.Appended
	err := s.write(ctx, op, func(t *tx) error {
		b, err := t.w.box(op, id)
		if err != nil {
			return err
		}
		a.UIDValidity = b.UIDValidity
		if len(list) == 0 {
			a.Change = &mailbox.Change{Mailbox: b.ID, Account: b.Account, Line: t.w.line, Prev: b.ModSeq, ModSeq: b.ModSeq, Counts: b.Counts}
			return nil
		}
		a.Change, err = t.append(b, list)
		return err
	})
	if err != nil {
		return mailstore.Appended{}, err
	}
	return a, nil
}

// append adds messages to b in one Change.
func (t *tx) append(b *box, list []newMessage) (*mailbox.Change, error) {
	add := mailbox.QuotaUsage{Messages: int64(len(list))}
	for _, m := range list {
		add.Storage += m.draft.Bytes
	}
	if err := b.owner.fits(t, add); err != nil {
		return nil, err
	}
	to := *b
	c := t.next(&to)
	var flags rules.Flagging
	for _, m := range list {
		if m.uid != 0 && m.uid < to.Counts.UIDNext {
			return nil, refuse(mailbox.Cannot, t.op, "the UID is taken")
		}
		uid := max(m.uid, to.Counts.UIDNext)
		if uid == maxUID { // UIDNEXT must stay a UID
			return nil, refuse(mailbox.Limit, t.op, "the mailbox has no UIDs left")
		}
		to.Counts.UIDNext = uid + 1
		f, err := to.spell(t, m.flags, true)
		if err != nil {
			return nil, err
		}
		received := m.received
		if received.IsZero() {
			received = t.now
		}
		to.messages = append(to.messages, &mail{uid: uid, modseq: c.ModSeq, created: c.ModSeq, flags: f,
			received: seconds(received), saved: seconds(t.now.UTC()), draft: m.draft, data: m.data})
		to.count(1, m.draft.Bytes, f.System)
		rules.AddUID(&c.Added, uid)
		flags.Add(uid, f)
	}
	// From here on nothing fails.
	for _, m := range to.messages[len(b.messages):] {
		m.thread = b.owner.thread(m.draft)
	}
	c.Flags = flags.Changes()
	b.owner.charge(add)
	t.conclude(&to, c)
	*b = to
	return c, nil
}

// seconds returns t as databases keep it: whole seconds, and the zone's offset.
func seconds(t time.Time) time.Time {
	_, zone := t.Zone()
	return rules.Time(t.Unix(), int64(zone))
}
