package postgres

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/feedcodec"
	"github.com/starling-mail/starling/mailstore/rules"
)

// Expunge implements mailstore.Messages.
func (s *Store) Expunge(ctx context.Context, id mailbox.ID, uids imap.UIDSet) (*mailbox.Change, error) {
	const op = "expunge"
	var c *mailbox.Change
	err := s.write(ctx, &request{op: op, boxes: []mailbox.ID{id}, charges: true, reads: true, run: func(t *tx) error {
		c = nil
		list, err := t.messageRows(id, uids, maxUID)
		if err != nil {
			return err
		}
		b, err := t.box(op, id)
		if err != nil {
			return err
		}
		c, err = t.expunge(op, b, list)
		return err
	}})
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (t *tx) expunge(op string, b *box, list []messageRow) (*mailbox.Change, error) {
	var gone imap.UIDSet
	var uids, bodies []int64
	var add mailbox.QuotaUsage
	for _, m := range list {
		if m.flags.System&mailbox.Deleted == 0 {
			continue
		}
		rules.AddUID(&gone, imap.UID(m.uid))
		uids, bodies = append(uids, m.uid), append(bodies, m.body)
		b.count(-1, m.size, m.flags.System)
		add.Storage -= m.size
		add.Messages--
	}
	if len(uids) == 0 {
		return nil, nil
	}
	if err := t.charge(op, b, add); err != nil {
		return nil, err
	}
	t.remove(b, uids)
	t.release(b.acct, bodies)
	c := t.next(b)
	c.Expunged = gone
	t.concludeExpunge(b, c)
	return c, nil
}

// theseMessages is a condition on messages: to be of an account and a box that
// are locked, with one of some UIDs. Each is looked for by its key: a planner that underrates the mailbox would read all
// of it. As the mailbox is locked, rows stay where they are.
const theseMessages = `ctid = ANY(ARRAY(SELECT m.ctid FROM unnest($3::bigint[]) AS u(uid),
	LATERAL (SELECT ctid FROM messages WHERE account = $1 AND box = $2 AND uid = u.uid OFFSET 0) AS m))`

// remove deletes rows of messages.
func (t *tx) remove(b *box, uids []int64) {
	t.exec(`DELETE FROM messages WHERE `+theseMessages, b.acct, b.num, uids)
}

// concludeExpunge writes the expunge log besides what conclude does.
func (t *tx) concludeExpunge(b *box, c *mailbox.Change) {
	t.exec(`INSERT INTO expunged (account, box, modseq, uids) VALUES ($1, $2, $3, $4)`, b.acct, b.num, int64(c.ModSeq), feedcodec.AppendUIDs(nil, c.Expunged))
	t.conclude(b, c)
}

// release takes owners from bodies, one for each time a body is named; those
// without owners are deleted. The account is locked, so nobody else counts owners now.
func (t *tx) release(acct int64, bodies []int64) {
	const find = `ctid = ANY(ARRAY(SELECT r.ctid FROM owned o, LATERAL (SELECT ctid FROM `
	const of = ` WHERE account = $1 AND body = o.body OFFSET 0) AS r WHERE `
	t.exec(`WITH gone AS (SELECT body, count(*) AS n FROM unnest($2::bigint[]) AS body GROUP BY body),
		owned AS (SELECT g.body, coalesce((SELECT owners FROM shared s WHERE s.account = $1 AND s.body = g.body), 1) - g.n AS remain FROM gone g),
		fewer AS (UPDATE shared s SET owners = (SELECT remain FROM owned o WHERE o.body = s.body) WHERE `+find+`shared`+of+`remain > 1))),
		alone AS (DELETE FROM shared WHERE `+find+`shared`+of+`remain <= 1))),
		dead AS (DELETE FROM bodies WHERE `+find+`bodies`+of+`remain <= 0)) RETURNING blob)
		INSERT INTO dead_blobs (blob) SELECT DISTINCT blob FROM dead WHERE blob IS NOT NULL ON CONFLICT (blob) DO UPDATE SET at = excluded.at, state = 0`, acct, bodies)
}
