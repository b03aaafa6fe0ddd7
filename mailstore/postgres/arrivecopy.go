package postgres

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/feedcodec"
)

const (
	// moveRows is how many messages are copied in one transaction, and moveBytes how many
	// bytes of bodies, one body more or less.
	moveRows  = 500
	moveBytes = 8 << 20
	// moveKeys is how many keys of threads are.
	moveKeys = 5000
)

// allUIDs is the uid of an arrivingBox of which no message is missing.
const allUIDs = math.MaxInt64

// Copied says what a Copy has copied: messages that are new or changed, and their bytes.
type Copied struct {
	Messages int
	Bytes    int64
	Box      string // the mailbox that they are of
}

// Copy brings here what is not here yet of the account, and changed since. Report is told of it bit by bit. What is copied
// has the numbers that it has there, as far as anybody sees them.
func (a *Arrival) Copy(ctx context.Context, l *Leaving, report func(Copied)) error {
	if err := a.dropBoxes(ctx, l); err != nil {
		return err
	}
	for i := range l.boxes {
		if err := a.copyBox(ctx, l, &l.boxes[i], report); err != nil {
			return err
		}
	}
	return a.copyThreads(ctx, l)
}

// dropBoxes removes mailboxes that are not there any more.
func (a *Arrival) dropBoxes(ctx context.Context, l *Leaving) error {
	there := make(map[int64]bool)
	for _, b := range l.boxes {
		there[b.num] = true
	}
	for source, b := range a.boxes {
		if b.id == nil || there[source] {
			continue
		}
		if err := a.write(ctx, func(t *tx) error {
			t.exec(`DELETE FROM messages WHERE account = $1 AND box = $2`, a.acct, b.box)
			t.exec(`DELETE FROM expunged WHERE account = $1 AND box = $2`, a.acct, b.box)
			t.exec(`DELETE FROM mailboxes WHERE account = $1 AND box = $2`, a.acct, b.box)
			t.exec(`UPDATE arriving_boxes SET id = NULL, name = NULL WHERE account = $1 AND source = $2`, a.acct, source)
			return nil
		}); err != nil {
			return err
		}
		b.id, a.recount = nil, true
	}
	return nil
}

// number returns how a mailbox of there, which may be gone, is called here.
func (a *Arrival) number(ctx context.Context, source int64) (*arrivingBox, error) {
	if b := a.boxes[source]; b != nil {
		return b, nil
	}
	b := new(arrivingBox)
	if err := a.write(ctx, func(t *tx) error {
		return t.rows(`INSERT INTO arriving_boxes (account, source, box) VALUES ($1, $2, nextval(pg_get_serial_sequence('mailboxes', 'box'))) RETURNING box`,
			func(r pgx.Rows) error { return r.Scan(&b.box) }, a.acct, source)
	}); err != nil {
		return nil, err
	}
	a.boxes[source] = b
	return b, nil
}

// copyBox copies what has changed in one mailbox.
func (a *Arrival) copyBox(ctx context.Context, l *Leaving, from *leavingBox, report func(Copied)) error {
	to, err := a.number(ctx, from.num)
	if err != nil {
		return err
	}
	switch {
	case to.id == nil:
		// What changes from now on of what is copied is found by its modseq.
		if err := a.write(ctx, func(t *tx) error {
			t.exec(`UPDATE arriving_boxes SET id = $3, modseq = $4, uid = 0, logged = 0 WHERE account = $1 AND source = $2`, a.acct, from.num, from.id, from.modseq)
			return nil
		}); err != nil {
			return err
		}
		to.id, to.modseq, to.uid, to.logged = from.id, from.modseq, 0, 0
	case to.uid == allUIDs && to.modseq == from.modseq:
		return nil
	}
	uids, err := l.changed(from, to)
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(uids, moveRows) {
		bytes, err := a.copyMessages(ctx, l, from, to, chunk)
		if err != nil {
			return err
		}
		report(Copied{Messages: len(chunk), Bytes: bytes, Box: from.name})
	}
	if err := a.copyExpunged(ctx, l, from, to); err != nil {
		return err
	}
	err = a.write(ctx, func(t *tx) error {
		t.exec(`UPDATE arriving_boxes SET modseq = $3, uid = $4 WHERE account = $1 AND source = $2`, a.acct, from.num, from.modseq, int64(allUIDs))
		return nil
	})
	to.modseq, to.uid = from.modseq, allUIDs
	return err
}

// changed returns the UIDs of a mailbox that are to be copied, ascending.
func (l *Leaving) changed(from *leavingBox, to *arrivingBox) (uids []int64, err error) {
	scan := func(r pgx.Rows) error {
		var uid int64
		err := r.Scan(&uid)
		uids = append(uids, uid)
		return err
	}
	if err := l.rows(`SELECT uid FROM messages WHERE account = $1 AND -box = $2 AND modseq > $3 AND uid <= $4`, scan, l.acct, -from.num, to.modseq, to.uid); err != nil {
		return nil, err
	}
	slices.Sort(uids)
	if to.uid < allUIDs {
		err = l.rows(`SELECT uid FROM messages WHERE account = $1 AND box = $2 AND uid > $3 ORDER BY uid`, scan, l.acct, from.num, to.uid)
	}
	return uids, err
}

// movedRows are rows of messages, column by column.
type movedRows struct {
	uids, modseqs, created, bodies, sizes, received, saved []int64
	zones                                                  []int32
	flags                                                  []int16
	keywords                                               []string
	threads                                                [][]byte
}

// copyMessages copies some messages with their bodies.
func (a *Arrival) copyMessages(ctx context.Context, l *Leaving, from *leavingBox, to *arrivingBox, uids []int64) (bytes int64, err error) {
	var m movedRows
	if err := l.rows(`SELECT m.uid, m.modseq, m.created, m.body, m.size, m.received, m.saved, m.zone, m.flags, m.keywords, m.thread FROM unnest($3::bigint[]) AS u(uid),
		LATERAL (SELECT * FROM messages WHERE account = $1 AND box = $2 AND uid = u.uid OFFSET 0) AS m ORDER BY m.uid`, func(r pgx.Rows) error {
		var uid, modseq, created, body, size, received, saved int64
		var zone int32
		var flags int16
		var keywords string
		var thread []byte
		err := r.Scan(&uid, &modseq, &created, &body, &size, &received, &saved, &zone, &flags, &keywords, &thread)
		m.uids, m.modseqs, m.created, m.bodies = append(m.uids, uid), append(m.modseqs, modseq), append(m.created, created), append(m.bodies, body)
		m.sizes, m.received, m.saved = append(m.sizes, size), append(m.received, received), append(m.saved, saved)
		m.zones, m.flags, m.keywords, m.threads = append(m.zones, zone), append(m.flags, flags), append(m.keywords, keywords), append(m.threads, thread)
		bytes += size
		return err
	}, l.acct, from.num, uids); err != nil {
		return 0, err
	}
	if len(m.uids) == 0 {
		return 0, nil
	}
	if err := a.copyBodies(ctx, l, m.bodies); err != nil {
		return 0, err
	}
	for i, body := range m.bodies {
		if m.bodies[i], err = a.body(ctx, body); err != nil {
			return 0, err
		}
	}
	upTo := max(to.uid, m.uids[len(m.uids)-1])
	err = a.write(ctx, func(t *tx) error {
		t.exec(`INSERT INTO messages (account, box, uid, modseq, created, body, size, received, saved, zone, flags, keywords, thread)
			SELECT $1, $2, * FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::integer[],
				$11::smallint[], $12::text[], $13::bytea[])
			ON CONFLICT (account, box, uid) DO UPDATE SET modseq = excluded.modseq, flags = excluded.flags, keywords = excluded.keywords`,
			a.acct, to.box, m.uids, m.modseqs, m.created, m.bodies, m.sizes, m.received, m.saved, m.zones, m.flags, m.keywords, m.threads)
		t.exec(`UPDATE arriving_boxes SET uid = $3 WHERE account = $1 AND source = $2`, a.acct, from.num, upTo)
		return nil
	})
	for _, body := range m.bodies {
		a.touched[body] = true
	}
	to.uid = upTo
	return bytes, err
}

// body returns how a body of there is called here.
func (a *Arrival) body(ctx context.Context, body int64) (int64, error) {
	b, err := a.number(ctx, body>>32)
	if err != nil {
		return 0, err
	}
	return b.box<<32 | body&(1<<32-1), nil
}

// theseBodies are some bodies of an account. Each is looked for by its key, whatever the planner thinks.
const theseBodies = `unnest($2::bigint[]) AS u(body), LATERAL (SELECT * FROM bodies WHERE account = $1 AND body = u.body OFFSET 0) AS b`

// copyBodies copies those of some bodies that are not here.
func (a *Arrival) copyBodies(ctx context.Context, l *Leaving, bodies []int64) error {
	missing := make(map[int64]int64) // how they are called there, by how they will be here
	for _, body := range bodies {
		here, err := a.body(ctx, body)
		if err != nil {
			return err
		}
		missing[here] = body
	}
	wanted := make([]int64, 0, len(missing))
	for here := range missing {
		wanted = append(wanted, here)
	}
	if err := a.s.read(ctx, opMove, []stmt{{sql: `SELECT b.body FROM ` + theseBodies, args: []any{a.acct, wanted}, scan: func(r pgx.Rows) error {
		var here int64
		err := r.Scan(&here)
		delete(missing, here)
		return err
	}}}); err != nil {
		return err
	}
	wanted = wanted[:0]
	for _, there := range missing {
		wanted = append(wanted, there)
	}
	if len(wanted) == 0 {
		return nil
	}
	// No more at a time than memory is meant for.
	var batch []int64
	var batches [][]int64
	size := 0
	if err := l.rows(`SELECT b.body, octet_length(b.structure) + coalesce(octet_length(b.data), 0) FROM `+theseBodies+` ORDER BY b.body`, func(r pgx.Rows) error {
		var body int64
		var n int
		err := r.Scan(&body, &n)
		if batch, size = append(batch, body), size+n; size >= moveBytes {
			batches = append(batches, batch)
			batch, size = nil, 0
		}
		return err
	}, l.acct, wanted); err != nil {
		return err
	}
	for _, batch := range append(batches, batch) {
		if err := a.copyBatch(ctx, l, batch); err != nil {
			return err
		}
	}
	return nil
}

// copyBatch copies some bodies that are not here.
func (a *Arrival) copyBatch(ctx context.Context, l *Leaving, bodies []int64) error {
	var numbers []int64
	var encodings []int16
	var emailIDs, previews, blobs, structures, datas [][]byte
	if err := l.rows(`SELECT b.body, b.encoding, b.email_id, b.preview, b.blob, b.structure, b.data FROM `+theseBodies, func(r pgx.Rows) error {
		var body int64
		var encoding int16
		var emailID, preview, name, structure, data []byte
		err := r.Scan(&body, &encoding, &emailID, &preview, &name, &structure, &data)
		numbers, encodings = append(numbers, body), append(encodings, encoding)
		emailIDs, previews, blobs = append(emailIDs, emailID), append(previews, preview), append(blobs, name)
		structures, datas = append(structures, structure), append(datas, data)
		return err
	}, l.acct, bodies); err != nil {
		return err
	}
	for i := range numbers {
		var err error
		if numbers[i], err = a.body(ctx, numbers[i]); err != nil {
			return err
		}
		if blobs[i] != nil {
			if blobs[i], err = a.copyBlob(ctx, l, blob.ID(blobs[i])); err != nil {
				return err
			}
		}
	}
	return a.write(ctx, func(t *tx) error {
		t.exec(`INSERT INTO bodies (account, body, encoding, email_id, preview, blob, structure, data)
			SELECT $1, * FROM unnest($2::bigint[], $3::smallint[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bytea[], $8::bytea[]) ON CONFLICT DO NOTHING`,
			a.acct, numbers, encodings, emailIDs, previews, blobs, structures, datas)
		return nil
	})
}

// copyBlob copies a large body and returns its name here.
func (a *Arrival) copyBlob(ctx context.Context, l *Leaving, id blob.ID) ([]byte, error) {
	from, err := l.s.blobs.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	to := blob.NewID()
	n, err := a.s.blobs.Put(ctx, to, io.NewSectionReader(from, 0, from.Size()))
	if err == nil && n != from.Size() {
		err = corrupt(opMove, fmt.Errorf("blob %s has %d bytes, %d were read", id, from.Size(), n))
	}
	return to[:], err
}

// copyExpunged copies what came to the expunge log, and removes what it names.
func (a *Arrival) copyExpunged(ctx context.Context, l *Leaving, from *leavingBox, to *arrivingBox) error {
	for more := true; more; {
		var modseqs, at, gone []int64
		var sets [][]byte
		if err := l.rows(`SELECT modseq, (extract(epoch FROM at) * 1000000)::bigint, uids FROM expunged WHERE account = $1 AND box = $2 AND modseq > $3 ORDER BY modseq LIMIT $4`,
			func(r pgx.Rows) error {
				var modseq, micros int64
				var set []byte
				if err := r.Scan(&modseq, &micros, &set); err != nil {
					return err
				}
				uids, err := feedcodec.DecodeUIDs(set)
				if err != nil {
					return corrupt(opMove, err)
				}
				modseqs, at, sets, gone = append(modseqs, modseq), append(at, micros), append(sets, set), append(gone, numbers(uids)...)
				return nil
			}, l.acct, from.num, to.logged, moveRows); err != nil {
			return err
		}
		if len(modseqs) == 0 {
			return nil
		}
		last := modseqs[len(modseqs)-1]
		var bodies []int64
		if err := a.write(ctx, func(t *tx) error {
			bodies = nil
			if err := t.rows(`DELETE FROM messages WHERE account = $1 AND box = $2 AND uid = ANY($3) RETURNING body`, func(r pgx.Rows) error {
				var body int64
				err := r.Scan(&body)
				bodies = append(bodies, body)
				return err
			}, a.acct, to.box, gone); err != nil {
				return err
			}
			t.exec(`INSERT INTO expunged (account, box, modseq, at, uids) SELECT $1, $2, e.modseq, to_timestamp(e.at / 1000000.0), e.uids
				FROM unnest($3::bigint[], $4::bigint[], $5::bytea[]) AS e(modseq, at, uids) ON CONFLICT DO NOTHING`, a.acct, to.box, modseqs, at, sets)
			t.exec(`UPDATE arriving_boxes SET logged = $3 WHERE account = $1 AND source = $2`, a.acct, from.num, last)
			return nil
		}); err != nil {
			return err
		}
		for _, body := range bodies {
			a.touched[body] = true
		}
		to.logged, more = last, len(modseqs) == moveRows
	}
	return nil
}

// copyThreads copies what came to the threads. Nothing of them is ever changed or, as long as the account is there, removed.
func (a *Arrival) copyThreads(ctx context.Context, l *Leaving) error {
	last := []byte{}
	for more := true; more; {
		var keys, threads [][]byte
		scan := func(r pgx.Rows) error {
			var key, thread []byte
			err := r.Scan(&key, &thread)
			keys, threads = append(keys, key), append(threads, thread)
			return err
		}
		// Transactions are numbered round a circle. Of those of long ago some look new: they come again.
		sql, args := `SELECT key, thread FROM threads WHERE account = $1 AND key > $2 ORDER BY key LIMIT $3`, []any{l.acct, last, moveKeys}
		if a.since != nil {
			sql = `SELECT key, thread FROM threads WHERE account = $1 AND key > $2 AND (xmin::text::bigint - $4 + 4294967296) % 4294967296 < 2147483648 ORDER BY key LIMIT $3`
			args = append(args, int64(*a.since))
		}
		if err := l.rows(sql, scan, args...); err != nil {
			return err
		}
		if len(keys) > 0 {
			if err := a.write(ctx, func(t *tx) error {
				t.exec(`INSERT INTO threads (account, key, thread) SELECT $1, * FROM unnest($2::bytea[], $3::bytea[])
					ON CONFLICT (account, key) DO UPDATE SET thread = excluded.thread WHERE threads.thread <> excluded.thread`, a.acct, keys, threads)
				return nil
			}); err != nil {
				return err
			}
			last = keys[len(keys)-1]
		}
		more = len(keys) == moveKeys
	}
	since := l.since
	a.since = &since
	return nil
}

// Seal copies what there is one row of, and with it the account is here as it is there. It stays hidden until
// it is activated.
func (a *Arrival) Seal(ctx context.Context, l *Leaving) error {
	var rows, names, masks []string
	var sources, boxes []int64
	var ids [][]byte
	for _, b := range l.boxes {
		rows, names, ids = append(rows, b.row), append(names, b.name), append(ids, append(slices.Clone(b.id), maskID...))
		masks = append(masks, fmt.Sprintf("%s%x", maskName, b.id))
		sources, boxes = append(sources, b.num), append(boxes, a.boxes[b.num].box)
	}
	var subscriptions []string
	if err := l.rows(`SELECT name FROM subscriptions WHERE account = $1`, func(r pgx.Rows) error {
		var name string
		err := r.Scan(&name)
		subscriptions = append(subscriptions, name)
		return err
	}, l.acct); err != nil {
		return err
	}
	touched := make([]int64, 0, len(a.touched))
	for body := range a.touched {
		touched = append(touched, body)
	}
	err := a.write(ctx, func(t *tx) error {
		taken := ""
		if err := t.rows(`SELECT name FROM names WHERE name IN (SELECT jsonb_array_elements_text($1::text::jsonb -> 'names')) LIMIT 1`, func(r pgx.Rows) error { return r.Scan(&taken) }, l.owner); err != nil {
			return err
		}
		if taken != "" {
			return refuse(mailbox.AlreadyExists, opMove, "the name "+taken+" is taken there")
		}
		t.exec(`DELETE FROM accounts WHERE account = $1`, a.acct)
		t.exec(`INSERT INTO accounts OVERRIDING SYSTEM VALUE SELECT (jsonb_populate_record(NULL::accounts, $2::text::jsonb || jsonb_build_object('account', $1::bigint, 'id', $3::bytea))).*`,
			a.acct, l.row, append(a.id[:], maskID...))
		t.exec(`DELETE FROM mailboxes WHERE account = $1`, a.acct)
		t.exec(`INSERT INTO mailboxes OVERRIDING SYSTEM VALUE SELECT (jsonb_populate_record(NULL::mailboxes, b.r::jsonb || jsonb_build_object('account', $1::bigint, 'box', b.box, 'name', b.mask, 'id', b.id))).*
			FROM unnest($2::text[], $3::bigint[], $4::text[], $5::bytea[]) AS b(r, box, mask, id)`, a.acct, rows, boxes, masks, ids)
		t.exec(`UPDATE arriving_boxes b SET name = n.name FROM unnest($2::bigint[], $3::text[]) AS n(source, name) WHERE b.account = $1 AND b.source = n.source`, a.acct, sources, names)
		t.exec(`DELETE FROM subscriptions WHERE account = $1`, a.acct)
		t.exec(`INSERT INTO subscriptions (account, name) SELECT $1, name FROM unnest($2::text[]) AS name`, a.acct, subscriptions)
		switch {
		case a.recount:
			t.own(a.acct)
		case len(touched) > 0:
			t.ownSome(a.acct, touched)
		}
		t.exec(`UPDATE arrivals SET owner = $2::text::jsonb WHERE account = $1`, a.acct, l.owner)
		return nil
	})
	if err == nil {
		a.recount = false
		clear(a.touched)
	}
	return err
}
