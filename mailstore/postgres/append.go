package postgres

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

// maxUID is the highest UID (RFC 9051 §2.3.1.1).
const maxUID = 1<<32 - 1

// Bounds of one statement that inserts: rows, and bytes of bodies.
const (
	insertRows  = 1000
	insertBytes = 8 << 20
)

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

// Append implements mailstore.Messages. Messages appended together share the
// body of a draft that is among them several times.
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
	err := s.write(ctx, &request{op: op, boxes: []mailbox.ID{id}, charges: true, reads: len(list) == 0, run: func(t *tx) error {
		b, err := t.box(op, id)
		if err != nil {
			return err
		}
		a.UIDValidity = b.UIDValidity
		if len(list) == 0 {
			a.Change = &mailbox.Change{Mailbox: b.ID, Account: b.Account, Line: t.line, Prev: b.ModSeq, ModSeq: b.ModSeq, Counts: b.Counts}
			return nil
		}
		a.Change, err = t.append(op, b, list)
		return err
	}})
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

// append adds messages to b in one Change. It reads nothing.
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
	rows := newRows{t: t, b: b, modseq: c.ModSeq, bodies: make(map[*incoming.Draft]int64)}
	for _, m := range list {
		if m.uid != 0 && m.uid < b.Counts.UIDNext {
			return nil, refuse(mailbox.Cannot, op, "the UID is taken")
		}
		uid := max(m.uid, b.Counts.UIDNext)
		if uid == maxUID { // UIDNEXT must stay a UID
			return nil, refuse(mailbox.Limit, op, "the mailbox has no UIDs left")
		}
		b.Counts.UIDNext = uid + 1
		f, err := t.spell(op, b, m.flags, true)
		if err != nil {
			return nil, err
		}
		rows.add(uid, f, m)
		b.count(1, m.draft.Bytes, f.System)
		rules.AddUID(&c.Added, uid)
		flags.Add(uid, f)
	}
	rows.end()
	c.Flags = flags.Changes()
	t.conclude(b, c)
	return c, nil
}

// newRows collects the rows of new messages and queues them, many in a
// statement.
type newRows struct {
	t      *tx
	b      *box
	modseq mailbox.ModSeq
	bodies map[*incoming.Draft]int64 // by the draft that has it
	shared map[int64]int64           // owners of bodies with several

	// Columns of messages.
	uids, sizes, received, owned []int64
	flags                        []int16
	zones                        []int32
	keywords                     []string
	keys, threads                [][]byte

	// Columns of bodies.
	numbers                                      []int64
	encodings                                    []int16
	emailIDs, previews, blobs, structures, datas [][]byte
	bytes                                        int
}

func (n *newRows) add(uid imap.UID, f mailbox.Flags, m newMessage) {
	if len(n.uids) == insertRows || n.bytes > insertBytes {
		n.flush()
	}
	d := m.draft
	body, again := n.bodies[d]
	if !again {
		body = n.b.num<<32 | int64(uid)
		n.bodies[d] = body
		n.body(body, d)
	} else {
		if n.shared == nil {
			n.shared = make(map[int64]int64)
		}
		n.shared[body] = max(n.shared[body], 1) + 1
	}
	received := m.received
	if received.IsZero() {
		received = n.t.now
	}
	_, zone := received.Zone()
	// What the message answers decides about its thread before its own ID does.
	keys := make([]byte, 0, 16*len(d.Keys))
	for i := range d.Keys {
		if d.HasID {
			i = (i + 1) % len(d.Keys)
		}
		keys = append(keys, d.Keys[i][:]...)
	}
	n.uids, n.sizes, n.owned = append(n.uids, int64(uid)), append(n.sizes, d.Bytes), append(n.owned, body)
	n.received, n.zones = append(n.received, received.Unix()), append(n.zones, int32(zone))
	n.flags, n.keywords = append(n.flags, int16(f.System)), append(n.keywords, f.Keywords)
	n.keys, n.threads = append(n.keys, keys), append(n.threads, d.Thread[:])
}

func (n *newRows) body(body int64, d *incoming.Draft) {
	var blob []byte
	if !d.Blob.IsZero() {
		blob = d.Blob[:]
		// It may have lost an owner before. If it lost its last one long ago, it is too
		// late to have it again.
		n.t.exec(`WITH again AS (DELETE FROM dead_blobs WHERE blob = $1 RETURNING state) SELECT starling_must(NOT EXISTS (SELECT FROM again WHERE state > 0))`, blob)
	}
	n.numbers, n.encodings, n.blobs = append(n.numbers, body), append(n.encodings, int16(d.Encoding)), append(n.blobs, blob)
	n.emailIDs, n.previews = append(n.emailIDs, d.EmailID[:]), append(n.previews, []byte(d.Preview))
	n.structures, n.datas = append(n.structures, d.Structure), append(n.datas, d.Data)
	n.bytes += len(d.Structure) + len(d.Data)
}

// flush queues what was collected.
func (n *newRows) flush() {
	if len(n.numbers) > 0 {
		n.t.exec(`INSERT INTO bodies (account, body, encoding, email_id, preview, blob, structure, data)
			SELECT $1, * FROM unnest($2::bigint[], $3::smallint[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bytea[], $8::bytea[])`,
			n.b.acct, n.numbers, n.encodings, n.emailIDs, n.previews, n.blobs, n.structures, n.datas)
	}
	if len(n.uids) > 0 {
		n.t.exec(`INSERT INTO messages (account, box, modseq, created, saved, uid, size, received, zone, flags, keywords, body, thread)
			SELECT $1, $2, $3, $3, $4, u.uid, u.size, u.received, u.zone, u.flags, u.keywords, u.body, starling_thread($1, u.keys, u.thread)
			FROM unnest($5::bigint[], $6::bigint[], $7::bigint[], $8::integer[], $9::smallint[], $10::text[], $11::bigint[], $12::bytea[], $13::bytea[])
				AS u(uid, size, received, zone, flags, keywords, body, keys, thread)`,
			n.b.acct, n.b.num, int64(n.modseq), n.t.now.Unix(), n.uids, n.sizes, n.received, n.zones, n.flags, n.keywords, n.owned, n.keys, n.threads)
	}
	*n = newRows{t: n.t, b: n.b, modseq: n.modseq, bodies: n.bodies, shared: n.shared}
}

// end queues the rest.
func (n *newRows) end() {
	n.flush()
	if len(n.shared) == 0 {
		return
	}
	bodies, owners := make([]int64, 0, len(n.shared)), make([]int64, 0, len(n.shared))
	for body, n := range n.shared {
		bodies, owners = append(bodies, body), append(owners, n)
	}
	n.t.exec(`INSERT INTO shared (account, body, owners) SELECT $1, * FROM unnest($2::bigint[], $3::bigint[])`, n.b.acct, bodies, owners)
}
