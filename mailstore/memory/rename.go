package memory

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/rules"
)

// Rename implements mailstore.Mailboxes.
func (s *Store) Rename(ctx context.Context, id mailbox.AccountID, from, to string) error {
	const op = "Rename"
	if err := mailbox.CheckName(to); err != nil {
		return err
	}
	return s.write(ctx, op, func(t *tx) error {
		b, err := t.w.named(op, id, from)
		switch {
		case err != nil:
			return err
		case from == mailbox.Inbox:
			return t.renameInbox(b, to)
		case strings.HasPrefix(to, from+mailbox.Delimiter):
			return refuse(mailbox.Cannot, op, "a mailbox cannot move below itself")
		}
		return t.rename(b.owner, from, to)
	})
}

// rename gives a mailbox and all below it new names, top down: so a name that
// one of them gives up is free before another takes it.
func (t *tx) rename(a *account, from, to string) error {
	boxes := maps.Clone(a.boxes)
	var moving []string
	for _, name := range slices.Sorted(maps.Keys(a.boxes)) {
		if name != from && !strings.HasPrefix(name, from+mailbox.Delimiter) {
			continue
		}
		now := to + strings.TrimPrefix(name, from)
		if err := mailbox.CheckName(now); err != nil {
			return err
		}
		if boxes[now] != nil {
			return refuse(mailbox.AlreadyExists, t.op, "a mailbox of that name exists")
		}
		boxes[now] = boxes[name]
		delete(boxes, name)
		moving = append(moving, name)
	}
	for _, name := range moving {
		b := a.boxes[name]
		b.Name = to + strings.TrimPrefix(name, from)
		t.emit(mailbox.Event{Kind: mailbox.EventRenamed, Account: b.Account, Mailbox: b.ID, Name: b.Name, OldName: name})
	}
	a.boxes = boxes
	return nil
}

// renameInbox moves all messages of INBOX, with their UIDs, into a new mailbox.
func (t *tx) renameInbox(inbox *box, to string) error {
	b, err := t.create(inbox.owner, to, nil)
	if err != nil {
		return err
	}
	t.w.boxes[b.ID] = b
	if len(inbox.messages) == 0 {
		return nil
	}
	added, gone := t.next(b), t.next(inbox)
	var flags rules.Flagging
	for _, m := range inbox.messages {
		m.modseq, m.created = added.ModSeq, added.ModSeq
		rules.AddUID(&added.Added, m.uid)
		flags.Add(m.uid, m.flags)
	}
	added.Flags = flags.Changes()
	gone.Expunged = added.Added
	b.messages, b.keywords, b.Counts = inbox.messages, inbox.keywords, inbox.Counts
	inbox.messages, inbox.Counts = nil, mailbox.Counts{UIDNext: inbox.Counts.UIDNext}
	t.conclude(b, added)
	t.conclude(inbox, gone)
	return nil
}
