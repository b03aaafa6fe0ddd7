package sharded

import (
	"context"
	"io"
	"sync"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/incoming"
	"github.com/starling-mail/starling/mailstore/postgres"
)

// A draft is a message on its way in. Each shard that it is appended on gets a draft of its own, with a blob
// of its own.
type draft struct {
	*incoming.Draft
	mu        sync.Mutex
	own       map[*postgres.Store]*incoming.Draft
	discarded bool
}

// Receive implements mailstore.Messages.
func (s *Store) Receive(ctx context.Context, r io.Reader, limit int64) (mailstore.Draft, error) {
	d, err := s.receiver.Receive(ctx, r, limit)
	if err != nil {
		return nil, err
	}
	return &draft{Draft: d}, nil
}

// of returns the draft that a shard takes. Whoever else wants it waits until its bytes are there.
func (d *draft) of(ctx context.Context, store *postgres.Store, from *spool) (*incoming.Draft, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if own := d.own[store]; own != nil {
		return own, nil
	}
	own, err := store.Adopt(ctx, d.Draft, from)
	if err != nil {
		return nil, err
	}
	if d.own == nil {
		d.own = make(map[*postgres.Store]*incoming.Draft)
	}
	d.own[store] = own
	if d.discarded {
		own.Discard()
	}
	return own, nil
}

// Discard implements mailstore.Draft.
func (d *draft) Discard() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.discarded = true
	for _, own := range d.own {
		own.Discard()
	}
	d.Draft.Discard()
}

// Append implements mailstore.Messages.
func (s *Store) Append(ctx context.Context, box mailbox.ID, messages []mailstore.Incoming) (a mailstore.Appended, err error) {
	const op = "append"
	err = s.onBox(ctx, op, box, func(store *postgres.Store) (err error) {
		own := make([]mailstore.Incoming, len(messages))
		for i, m := range messages {
			d, ok := m.Draft.(*draft)
			if !ok || !d.From(s.receiver) {
				return &mailbox.Error{Kind: mailbox.Cannot, Op: op, Text: "the message was not received by this store"}
			}
			if m.Draft, err = d.of(ctx, store, s.spool); err != nil {
				return err
			}
			own[i] = m
		}
		a, err = store.Append(ctx, box, own)
		return err
	})
	return a, err
}

// UpdateFlags implements mailstore.Messages.
func (s *Store) UpdateFlags(ctx context.Context, box mailbox.ID, uids imap.UIDSet, u mailstore.FlagUpdate) (f mailstore.Flagged, err error) {
	err = s.onBox(ctx, "store flags", box, func(store *postgres.Store) (err error) {
		f, err = store.UpdateFlags(ctx, box, uids, u)
		return err
	})
	return f, err
}

// Expunge implements mailstore.Messages.
func (s *Store) Expunge(ctx context.Context, box mailbox.ID, uids imap.UIDSet) (c *mailbox.Change, err error) {
	err = s.onBox(ctx, "expunge", box, func(store *postgres.Store) (err error) {
		c, err = store.Expunge(ctx, box, uids)
		return err
	})
	return c, err
}

// Copy implements mailstore.Messages. Two mailboxes of one account are on one shard.
func (s *Store) Copy(ctx context.Context, from, to mailbox.ID, uids imap.UIDSet) (c mailstore.Copied, err error) {
	err = s.onBoth(ctx, "copy", from, to, func(store *postgres.Store) (err error) {
		c, err = store.Copy(ctx, from, to, uids)
		return err
	})
	return c, err
}

// Move implements mailstore.Messages.
func (s *Store) Move(ctx context.Context, from, to mailbox.ID, uids imap.UIDSet) (c mailstore.Copied, err error) {
	err = s.onBoth(ctx, "move", from, to, func(store *postgres.Store) (err error) {
		c, err = store.Move(ctx, from, to, uids)
		return err
	})
	return c, err
}

// onBoth is onBox for two mailboxes of one account. Of two accounts, of which the one may be on another shard, none
// can be written to as one.
func (s *Store) onBoth(ctx context.Context, op string, from, to mailbox.ID, f func(*postgres.Store) error) error {
	var owners [2]mailbox.AccountID
	for i, box := range []mailbox.ID{from, to} {
		known := false
		if owners[i], known = s.routes.boxes.get(box); !known {
			var err error
			if owners[i], err = s.owner(ctx, op, box); err != nil {
				return err
			}
			s.routes.boxes.put(box, owners[i])
		}
	}
	if owners[0] != owners[1] {
		return &mailbox.Error{Kind: mailbox.Cannot, Op: op, Text: "the mailboxes belong to different accounts"}
	}
	return s.on(ctx, op, owners[0], f)
}

// Page implements mailstore.Messages.
func (s *Store) Page(ctx context.Context, box mailbox.ID, uids imap.UIDSet, fields mailstore.Fields, limit int, p *mailstore.Page) error {
	return s.onBox(ctx, "read messages", box, func(store *postgres.Store) error { return store.Page(ctx, box, uids, fields, limit, p) })
}

// Body implements mailstore.Messages.
func (s *Store) Body(ctx context.Context, box mailbox.ID, uid imap.UID) (b mailstore.Body, err error) {
	err = s.onBox(ctx, "read body", box, func(store *postgres.Store) (err error) {
		b, err = store.Body(ctx, box, uid)
		return err
	})
	return b, err
}
