package sqlite

import (
	"context"
	"time"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
)

// maintenanceStep is how many rows one step of maintenance touches, so that
// writers hardly notice it.
const maintenanceStep = 500

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
// away the messages of deleted mailboxes, deletes blobs that nobody owns any more, and
// trims the feed and the expunge log.
func (s *Store) Maintain(ctx context.Context) error {
	for _, task := range []func(*tx) (more bool, err error){
		(*tx).clearBox, (*tx).clearAccount, (*tx).trimFeed,
	} {
		for more := true; more; {
			if err := s.write(ctx, "maintain", func(t *tx) (err error) {
				more, err = task(t)
				return err
			}); err != nil {
				return err
			}
		}
	}
	if err := s.trimExpunged(ctx); err != nil {
		return err
	}
	return s.clearBlobs(ctx)
}

// clearBox removes some messages of one deleted mailbox, at last the mailbox.
func (t *tx) clearBox() (more bool, err error) {
	var num int64
	if more, err = t.row(`SELECT box FROM dead_boxes LIMIT 1`, func(r *sqlite3.Stmt) { num = r.Int(0) }); err != nil || !more {
		return false, err
	}
	var last int64
	var bodies []int64
	if err := t.rows(`SELECT uid, body FROM messages WHERE box = ? ORDER BY uid LIMIT ?`, func(r *sqlite3.Stmt) error {
		last = r.Int(0)
		bodies = append(bodies, r.Int(1))
		return nil
	}, num, maintenanceStep); err != nil {
		return false, err
	}
	if len(bodies) > 0 {
		for _, body := range bodies {
			if err := t.release(body); err != nil {
				return false, err
			}
		}
		return true, t.exec(`DELETE FROM messages WHERE box = ? AND uid <= ?`, num, last)
	}
	for _, sql := range []string{
		`DELETE FROM expunged WHERE box = ?`,
		`DELETE FROM keywords WHERE box = ?`,
		`DELETE FROM dead_boxes WHERE box = ?`,
	} {
		if err := t.exec(sql, num); err != nil {
			return false, err
		}
	}
	return true, nil
}

// clearAccount removes some of what is left of one removed account.
func (t *tx) clearAccount() (more bool, err error) {
	var acct int64
	if more, err = t.row(`SELECT account FROM dead_accounts LIMIT 1`, func(r *sqlite3.Stmt) { acct = r.Int(0) }); err != nil || !more {
		return false, err
	}
	if err := t.exec(`DELETE FROM threads WHERE account = ?1 AND key IN (SELECT key FROM threads WHERE account = ?1 LIMIT ?2)`, acct, maintenanceStep); err != nil {
		return false, err
	}
	if t.c.Changes() > 0 {
		return true, nil
	}
	return true, t.exec(`DELETE FROM dead_accounts WHERE account = ?`, acct)
}

// trimFeed removes some rows of the feed that have passed their time.
func (t *tx) trimFeed() (more bool, err error) {
	before := t.now.Add(-t.s.o.FeedRetention).UnixMicro()
	var seq, at int64
	n, stays := 0, false
	// The clock may have been set back: rows go in their order, up to the first that stays.
	if err := t.rows(`SELECT seq, at FROM feed ORDER BY seq LIMIT ?`, func(r *sqlite3.Stmt) error {
		if stays = stays || r.Int(1) >= before; !stays {
			seq, at = r.Int(0), r.Int(1)
			n++
		}
		return nil
	}, maintenanceStep); err != nil || n == 0 {
		return false, err
	}
	if err := t.exec(`DELETE FROM feed WHERE seq <= ?`, seq); err != nil {
		return false, err
	}
	return n == maintenanceStep, t.exec(`UPDATE store SET feed_floor = ?, feed_floor_at = ?`, seq, at)
}

// trimExpunged removes rows of the expunge log that have passed their time, and
// raises the floors of their mailboxes. It looks for them outside the writer, as
// it has to read the whole log.
func (s *Store) trimExpunged(ctx context.Context) error {
	const op = "trim expunge log"
	before := time.Now().Add(-s.o.ExpungeRetention).Unix()
	type old struct{ box, modseq int64 }
	for more := true; more; {
		var list []old
		if err := s.read(ctx, op, func(c *sqlite3.Conn) error {
			return rows(c, `SELECT box, max(modseq) FROM expunged WHERE at < ? GROUP BY box LIMIT ?`, func(r *sqlite3.Stmt) error {
				list = append(list, old{r.Int(0), r.Int(1)})
				return nil
			}, before, maintenanceStep)
		}); err != nil {
			return err
		}
		for _, o := range list {
			if err := s.write(ctx, op, func(t *tx) error {
				if err := t.exec(`UPDATE mailboxes SET floor = max(floor, ?) WHERE box = ?`, o.modseq, o.box); err != nil {
					return err
				}
				return t.exec(`DELETE FROM expunged WHERE box = ? AND modseq <= ?`, o.box, o.modseq)
			}); err != nil {
				return err
			}
		}
		more = len(list) == maintenanceStep
	}
	return nil
}

// clearBlobs deletes the files of blobs whose last message is gone. First the
// file, then the row: what a crash interrupts is done again.
func (s *Store) clearBlobs(ctx context.Context) error {
	const op = "delete blobs"
	if !s.keepBlobs.TryLock() {
		return nil // a backup is under way: next time
	}
	defer s.keepBlobs.Unlock()
	var ids []blob.ID
	// In the writer's goroutine, where drafts are appended: what has no draft now
	// will never have an owner again.
	if err := s.write(ctx, op, func(t *tx) error {
		return t.rows(`SELECT blob FROM dead_blobs`, func(r *sqlite3.Stmt) error {
			var id blob.ID
			copy(id[:], r.Bytes(0))
			if !s.receiver.Pending(id) {
				ids = append(ids, id)
			}
			return nil
		})
	}); err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.blobs.Delete(ctx, id); err != nil && mailbox.KindOf(err) != mailbox.NonExistent {
			return err
		}
		if err := s.write(ctx, op, func(t *tx) error { return t.exec(`DELETE FROM dead_blobs WHERE blob = ?`, id[:]) }); err != nil {
			return err
		}
	}
	return nil
}
