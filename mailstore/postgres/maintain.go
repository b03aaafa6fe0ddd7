package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// maintenanceStep is how many rows one step of maintenance touches, so that
	// writers hardly notice it.
	maintenanceStep = 500
	// maintenanceLock is the advisory lock of the node that does a step.
	maintenanceLock = 0x53746172
)

// maintain clears away what is gone and what has passed its time, until ctx
// ends.
func (s *Store) maintain(ctx context.Context) {
	tick := time.NewTicker(s.o.MaintainEvery)
	defer tick.Stop()
	for {
		if err := s.Maintain(ctx); err != nil && ctx.Err() == nil {
			s.o.Log.Warn().Err(err).Msg("maintenance of the mail store")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Maintain does at once what is otherwise done every MaintainEvery: it clears
// away the messages of deleted mailboxes, trims the feed and the expunge log, and deletes blobs that
// nobody owns any more. Of several nodes one at a time does a step of it.
func (s *Store) Maintain(ctx context.Context) error {
	for _, task := range []func(*tx) (more bool, err error){
		(*tx).clearBox, (*tx).clearAccount, (*tx).extendFeed, (*tx).trimFeed, (*tx).trimExpunged, (*tx).doomBlobs, (*tx).clearBlobs, (*tx).forgetBlobs,
	} {
		for more := true; more; {
			err := s.step(ctx, func(t *tx) (err error) {
				more, err = task(t)
				return err
			})
			switch {
			case stateOf(err) == stateLocked: // by somebody who takes long: next time
				more = false
			case err != nil:
				return err
			}
		}
	}
	return s.findOrphans(ctx)
}

// step runs f in a transaction of its own, while no other node does.
func (s *Store) step(ctx context.Context, f func(*tx) error) error {
	return s.write(ctx, &request{op: "maintain", run: func(t *tx) error {
		t.exec(`SELECT pg_advisory_xact_lock($1)`, maintenanceLock)
		return f(t)
	}})
}

// ago is an argument of a statement that has to do with a time in the past: the
// database's clock is the one that counts.
func ago(d time.Duration) int64 { return d.Microseconds() }

// clearBox removes some messages of one deleted mailbox, at last the mailbox.
func (t *tx) clearBox() (more bool, err error) {
	var acct, box int64
	if err := t.rows(`SELECT account, box FROM dead_boxes LIMIT 1`, func(r pgx.Rows) error { return r.Scan(&acct, &box) }); err != nil || box == 0 {
		return false, err
	}
	var uids, bodies []int64
	t.exec(`SELECT 1 FROM accounts WHERE account = $1 FOR UPDATE`, acct) // it may be gone too
	if err := t.rows(`SELECT uid, body FROM messages WHERE account = $1 AND box = $2 ORDER BY uid LIMIT $3`, func(r pgx.Rows) error {
		var uid, body int64
		err := r.Scan(&uid, &body)
		uids, bodies = append(uids, uid), append(bodies, body)
		return err
	}, acct, box, maintenanceStep); err != nil {
		return false, err
	}
	if len(uids) > 0 {
		t.exec(`DELETE FROM messages WHERE account = $1 AND box = $2 AND uid <= $3`, acct, box, uids[len(uids)-1])
		t.release(acct, bodies)
		return true, nil
	}
	t.exec(`DELETE FROM expunged WHERE account = $1 AND box = $2`, acct, box)
	t.exec(`DELETE FROM dead_boxes WHERE account = $1 AND box = $2`, acct, box)
	return true, nil
}

// clearAccount removes some of what is left of one removed account.
func (t *tx) clearAccount() (more bool, err error) {
	var acct, cleared int64
	if err := t.rows(`SELECT account FROM dead_accounts LIMIT 1`, func(r pgx.Rows) error { return r.Scan(&acct) }); err != nil || acct == 0 {
		return false, err
	}
	if err := t.rows(`WITH gone AS (DELETE FROM threads WHERE account = $1 AND key IN (SELECT key FROM threads WHERE account = $1 LIMIT $2) RETURNING 1)
		SELECT count(*) FROM gone`, func(r pgx.Rows) error { return r.Scan(&cleared) }, acct, maintenanceStep); err != nil {
		return false, err
	}
	if cleared == 0 {
		t.exec(`DELETE FROM dead_accounts WHERE account = $1`, acct)
	}
	return true, nil
}

// trimExpunged removes some rows of the expunge log that have passed their time,
// and raises the floors of their mailboxes. What is arriving from another shard is trimmed there.
func (t *tx) trimExpunged() (more bool, err error) {
	var accts, boxes, modseqs []int64
	n := 0
	if err := t.rows(`SELECT account, box, max(modseq), count(*) FROM
		(SELECT * FROM expunged e WHERE at < clock_timestamp() - $1 * interval '1 microsecond' AND NOT EXISTS (SELECT FROM arrivals a WHERE a.account = e.account)
			ORDER BY at LIMIT $2) AS old GROUP BY account, box`, func(r pgx.Rows) error {
		var acct, box, modseq int64
		var count int
		err := r.Scan(&acct, &box, &modseq, &count)
		accts, boxes, modseqs, n = append(accts, acct), append(boxes, box), append(modseqs, modseq), n+count
		return err
	}, ago(t.s.o.ExpungeRetention), maintenanceStep); err != nil || n == 0 {
		return false, err
	}
	const old = `unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS o(account, box, modseq)`
	t.exec(`SELECT 1 FROM `+old+` JOIN mailboxes m ON m.account = o.account AND m.box = o.box ORDER BY m.id FOR UPDATE OF m`, accts, boxes, modseqs)
	t.exec(`UPDATE mailboxes m SET floor = greatest(floor, o.modseq) FROM `+old+` WHERE m.account = o.account AND m.box = o.box`, accts, boxes, modseqs)
	t.exec(`DELETE FROM expunged e USING `+old+` WHERE e.account = o.account AND e.box = o.box AND e.modseq <= o.modseq`, accts, boxes, modseqs)
	return n == maintenanceStep, nil
}
