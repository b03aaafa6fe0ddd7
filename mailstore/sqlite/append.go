package sqlite

import (
	"context"
	"io"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/incoming"
	"github.com/starling-mail/starling/mailstore/rules"
	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
)

// maxUID is the highest UID (RFC 9051 §2.3.1.1).
const maxUID = 1<<32 - 1

// Receive implements mailstore.Messages.
func (s *Store) Receive(ctx context.Context, r io.Reader, limit int64) (mailstore.Draft, error) {
	d, err := s.receiver.Receive(ctx, r, limit)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// A newMessage is one row to be added, with its draft.
type newMessage struct {
	draft    *incoming.Draft
	flags    mailbox.Flags
	received time.Time
	uid      imap.UID
}

// Append implements mailstore.Messages.
func (s *Store) Append(ctx context.Context, id mailbox.ID, messages []mailstore.Incoming) (mailstore.Appended, error) {
	const op = "append"
	list := make([]newMessage, len(messages))
	for i, m := range messages {
		d, ok := m.Draft.(*incoming.Draft)
		if !ok || !d.From(s.receiver) || !d.Use() {
			release(list[:i], false)
			return mailstore.Appended{}, refuse(mailbox.Cannot, op, "the message was not received by this store")
		}
		list[i] = newMessage{draft: d, flags: m.Flags, received: m.Received, uid: m.UID}
	}
	var a mailstore.Appended
	err := s.write(ctx, op, func(t *tx) error {
		b, err := findBox(t.c, op, id)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			a.UIDValidity = b.UIDValidity
			a.Change = &mailbox.Change{Mailbox: b.ID, Account: b.Account, Line: s.line, Prev: b.ModSeq, ModSeq: b.ModSeq, Counts: b.Counts}
			return nil
		}
		c, err := t.append(op, &b, list)
		if err != nil {
			return err
		}
		a = mailstore.Appended{UIDValidity: b.UIDValidity, Change: c}
		return nil
	})
	release(list, err == nil || mailbox.KindOf(err) == mailbox.Unknown)
	if err != nil {
		return mailstore.Appended{}, err
	}
	return a, nil
}

func release(list []newMessage, stored bool) {
	for _, m := range list {
		m.draft.Done(stored)
	}
}

// append adds messages to b in one Change.
func (t *tx) append(op string, b *box, list []newMessage) (*mailbox.Change, error) {
	add := mailbox.QuotaUsage{Messages: int64(len(list))}
	for _, m := range list {
		add.Storage += m.draft.Bytes
	}
	if err := t.charge(op, b, add); err != nil {
		return nil, err
	}
	c := t.next(b)
	var flags rules.Flagging
	spelling := &vocabulary{t: t, op: op, box: b.num}
	for _, m := range list {
		if m.uid != 0 && m.uid < b.Counts.UIDNext {
			return nil, refuse(mailbox.Cannot, op, "the UID is taken")
		}
		uid := max(m.uid, b.Counts.UIDNext)
		if uid == maxUID { // UIDNEXT must stay a UID
			return nil, refuse(mailbox.Limit, op, "the mailbox has no UIDs left")
		}
		b.Counts.UIDNext = uid + 1
		f, err := spelling.use(m.flags, true)
		if err != nil {
			return nil, err
		}
		if err := t.insert(b, c.ModSeq, uid, f, m); err != nil {
			return nil, err
		}
		b.count(1, m.draft.Bytes, f.System)
		rules.AddUID(&c.Added, uid)
		flags.Add(uid, f)
	}
	c.Flags = flags.Changes()
	return c, t.conclude(b, c)
}

// insert writes one message's rows.
func (t *tx) insert(b *box, modseq mailbox.ModSeq, uid imap.UID, f mailbox.Flags, m newMessage) error {
	d := m.draft
	body, err := t.store(b.num<<32|int64(uid), d)
	if err != nil {
		return err
	}
	thread, err := t.thread(b.acct, d)
	if err != nil {
		return err
	}
	received := m.received
	if received.IsZero() {
		received = t.now
	}
	_, zone := received.Zone()
	return t.exec(`INSERT INTO messages (box, uid, modseq, created, flags, keywords, size, received, zone, saved, body, thread)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		b.num, uint32(uid), int64(modseq), int64(modseq), int(f.System), f.Keywords, d.Bytes, received.Unix(), zone, t.now.Unix(), body, thread[:])
}

// store writes the draft's body and contents under a new number, or adds an
// owner to those that an earlier append of the draft wrote.
func (t *tx) store(body int64, d *incoming.Draft) (int64, error) {
	if d.Body != 0 {
		// The number may be another body's by now, if the append that wrote it was
		// rolled back. What has the same hash is the same message in any case.
		same, err := t.row(`SELECT 1 FROM contents WHERE body = ? AND email_id = ?`, func(*sqlite3.Stmt) {}, d.Body, d.EmailID[:])
		if err != nil {
			return 0, err
		}
		if same {
			return d.Body, t.share(d.Body)
		}
	}
	var name []byte
	if !d.Blob.IsZero() {
		name = d.Blob[:]
		if err := t.exec(`DELETE FROM dead_blobs WHERE blob = ?`, name); err != nil {
			return 0, err
		}
	}
	if err := t.exec(`INSERT INTO bodies (body, encoding, data, blob) VALUES (?, ?, ?, ?)`, body, int(d.Encoding), d.Data, name); err != nil {
		return 0, err
	}
	if err := t.exec(`INSERT INTO contents (body, email_id, structure, preview) VALUES (?, ?, ?, ?)`, body, d.EmailID[:], d.Structure, d.Preview); err != nil {
		return 0, err
	}
	d.Body = body
	return body, nil
}

// share adds an owner to a body.
func (t *tx) share(body int64) error {
	return t.exec(`INSERT INTO shared (body, owners) VALUES (?, 2) ON CONFLICT (body) DO UPDATE SET owners = owners + 1`, body)
}

// thread finds the thread of a message, or begins one, and remembers the message
// IDs that belong to it.
func (t *tx) thread(acct int64, d *incoming.Draft) (thread [16]byte, err error) {
	thread = d.Thread
	if len(d.Keys) == 0 {
		return thread, nil
	}
	known := make([]bool, len(d.Keys))
	found := false
	// What the message answers decides before its own ID does.
	look := func(i int) error {
		known[i], err = t.row(`SELECT thread FROM threads WHERE account = ? AND key = ?`, func(r *sqlite3.Stmt) {
			if !found {
				copy(thread[:], r.Bytes(0))
				found = true
			}
		}, acct, d.Keys[i][:])
		return err
	}
	own := 0
	if d.HasID {
		own = 1
	}
	for i := own; i < len(d.Keys); i++ {
		if err := look(i); err != nil {
			return thread, err
		}
	}
	if d.HasID {
		if err := look(0); err != nil {
			return thread, err
		}
	}
	for i, k := range d.Keys {
		if known[i] {
			continue
		}
		if err := t.exec(`INSERT OR IGNORE INTO threads (account, key, thread) VALUES (?, ?, ?)`, acct, k[:], thread[:]); err != nil {
			return thread, err
		}
	}
	return thread, nil
}
