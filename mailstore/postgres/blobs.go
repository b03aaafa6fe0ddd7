package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/mailbox"
)

// The states of a blob that has lost its last message.
const (
	blobUnowned = 0 // a draft may still give it a message
	blobDoomed  = 1 // it is going to be deleted: no message may have it again
	blobDeleted = 2 // remembered for longer than any draft lives
)

const (
	// blobStep is how many blobs one step deletes.
	blobStep = 20
	// orphansEvery is how often blobs without a message are looked for.
	orphansEvery = 24 * time.Hour
)

// shareBlobs makes sure that this node has the blobs that the others have: among
// them is one with the store's own id for its name. The first node puts it there.
func (s *Store) shareBlobs(ctx context.Context) error {
	const op = "open blobs"
	return s.write(ctx, &request{op: op, run: func(t *tx) error {
		marked := false
		if err := t.rows(`SELECT blobs_marked FROM store FOR UPDATE`, func(r pgx.Rows) error { return r.Scan(&marked) }); err != nil {
			return err
		}
		id := blob.ID(s.system)
		b, err := s.blobs.Open(ctx, id)
		switch {
		case err == nil:
			b.Close()
		case marked && mailbox.KindOf(err) == mailbox.NonExistent:
			return refuse(mailbox.Cannot, op, "the large messages of this mail store are not here: all nodes need the same folder or bucket, and this one has another")
		case mailbox.KindOf(err) != mailbox.NonExistent:
			return err
		default:
			if _, err := s.blobs.Put(ctx, id, strings.NewReader("This is where the mail store "+id.String()+" keeps large messages.\n")); err != nil {
				return err
			}
		}
		if !marked {
			t.exec(`UPDATE store SET blobs_marked = true`)
		}
		return nil
	}})
}

// doomBlobs decides which blobs are to go: those that have had no message for
// Options.BodyGrace. Who reads one was given that time.
func (t *tx) doomBlobs() (more bool, err error) {
	var ids, doomed [][]byte
	if err := t.rows(`SELECT blob FROM dead_blobs WHERE state = $1 AND at <= clock_timestamp() - $2 * interval '1 microsecond' ORDER BY at LIMIT $3 FOR UPDATE`,
		func(r pgx.Rows) error {
			var id []byte
			err := r.Scan(&id)
			ids = append(ids, id)
			return err
		}, blobUnowned, ago(t.s.o.BodyGrace), maintenanceStep); err != nil || len(ids) == 0 {
		return false, err
	}
	for _, id := range ids {
		if !t.s.receiver.Pending(blob.ID(id)) {
			doomed = append(doomed, id)
		}
	}
	// Those that have a message stay. Those that a draft may still want are looked
	// at again after as long a time.
	t.exec(`DELETE FROM dead_blobs d WHERE d.blob = ANY($1) AND EXISTS (SELECT FROM bodies b WHERE b.blob = d.blob)`, ids)
	t.exec(`UPDATE dead_blobs SET at = clock_timestamp(), state = CASE WHEN blob = ANY($2) THEN $3::smallint ELSE state END WHERE blob = ANY($1)`, ids, doomed, blobDoomed)
	return len(ids) == maintenanceStep, nil
}

// clearBlobs deletes some blobs that are doomed. What a crash interrupts is done
// again.
func (t *tx) clearBlobs() (more bool, err error) {
	var ids [][]byte
	if err := t.rows(`SELECT blob FROM dead_blobs WHERE state = $1 ORDER BY at LIMIT $2`, func(r pgx.Rows) error {
		var id []byte
		err := r.Scan(&id)
		ids = append(ids, id)
		return err
	}, blobDoomed, blobStep); err != nil || len(ids) == 0 {
		return false, err
	}
	for _, id := range ids {
		if err := t.s.blobs.Delete(t.ctx, blob.ID(id)); err != nil {
			return false, err
		}
	}
	t.exec(`UPDATE dead_blobs SET at = clock_timestamp(), state = $2 WHERE blob = ANY($1)`, ids, blobDeleted)
	return len(ids) == blobStep, nil
}

// forgetBlobs drops what is remembered of blobs that went long ago.
func (t *tx) forgetBlobs() (more bool, err error) {
	t.exec(`DELETE FROM dead_blobs WHERE state = $1 AND at < clock_timestamp() - $2 * interval '1 microsecond'`, blobDeleted, ago(t.s.o.OrphanAge))
	return false, nil
}

// findOrphans looks for blobs that never got a message, as their node died
// between storing the one and the other, and has them deleted. It does so once in a
// while.
func (s *Store) findOrphans(ctx context.Context) error {
	due := false
	if err := s.step(ctx, func(t *tx) error {
		return t.rows(`UPDATE store SET orphans_at = clock_timestamp() WHERE orphans_at < clock_timestamp() - $1 * interval '1 microsecond' RETURNING true`,
			func(r pgx.Rows) error { return r.Scan(&due) }, ago(orphansEvery))
	}); err != nil || !due {
		return err
	}
	return s.collectOrphans(ctx)
}

func (s *Store) collectOrphans(ctx context.Context) error {
	const op = "find orphans"
	before := time.Now().Add(-s.o.OrphanAge)
	var ids [][]byte
	mark := func() error {
		list := ids
		ids = nil
		return s.write(ctx, &request{op: op, run: func(t *tx) error {
			t.exec(`INSERT INTO dead_blobs (blob) SELECT o.blob FROM unnest($1::bytea[]) AS o(blob)
				WHERE NOT EXISTS (SELECT FROM bodies b WHERE b.blob = o.blob) ON CONFLICT DO NOTHING`, list)
			return nil
		}})
	}
	for info, err := range s.blobs.List(ctx) {
		if err != nil {
			return err
		}
		if info.ID == blob.ID(s.system) || info.Modified.After(before) || s.receiver.Pending(info.ID) {
			continue
		}
		if ids = append(ids, info.ID[:]); len(ids) == maintenanceStep {
			if err := mark(); err != nil {
				return err
			}
		}
	}
	return mark()
}
