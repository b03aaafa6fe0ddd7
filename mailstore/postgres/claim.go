package postgres

import (
	"context"

	"github.com/emersion/go-imap/v2"
	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/mailbox"
)

// ClaimRecent implements mailstore.Mailboxes. Where nothing is left to claim
// nothing is locked.
func (s *Store) ClaimRecent(ctx context.Context, id mailbox.ID, upTo imap.UID) (imap.UID, error) {
	const op = "claim recent messages"
	first := int64(0)
	scan := func(r pgx.Rows) error { return r.Scan(&first) }
	if err := s.read(ctx, op, []stmt{{sql: `SELECT recent_from FROM mailboxes WHERE id = $1`, args: []any{id[:]}, scan: scan}}); err != nil {
		return 0, err
	}
	if first == 0 {
		return 0, refuse(mailbox.NonExistent, op, "no such mailbox")
	}
	if first >= int64(upTo) {
		return imap.UID(first), nil
	}
	if err := s.write(ctx, &request{op: op, boxes: []mailbox.ID{id}, reads: true, run: func(t *tx) error {
		b, err := t.box(op, id)
		if err != nil {
			return err
		}
		if first = int64(b.RecentFrom); first < int64(upTo) {
			b.RecentFrom = upTo // for another that claims in this transaction
			t.exec(`UPDATE mailboxes SET recent_from = $3 WHERE account = $1 AND box = $2`, b.acct, b.num, int64(upTo))
		}
		return nil
	}}); err != nil {
		return 0, err
	}
	return imap.UID(first), nil
}

// AdoptUIDs implements mailstore.UIDAdopter.
func (s *Store) AdoptUIDs(ctx context.Context, id mailbox.ID, validity uint32, next imap.UID) error {
	const op = "adopt UIDs"
	if validity == 0 {
		return refuse(mailbox.Cannot, op, "a UIDVALIDITY cannot be 0")
	}
	return s.write(ctx, &request{op: op, boxes: []mailbox.ID{id}, charges: true, reads: true, run: func(t *tx) error {
		b, err := t.box(op, id)
		if err != nil {
			return err
		}
		if validity != b.UIDValidity {
			if b.Counts.UIDNext != 1 {
				return refuse(mailbox.Cannot, op, "the mailbox has had messages under another UIDVALIDITY")
			}
			b.UIDValidity = validity
			// So that no mailbox of the account gets it again.
			t.exec(`UPDATE accounts SET uidvalidity = greatest(uidvalidity, $2) WHERE account = $1`, b.acct, int64(validity))
			t.emit(mailbox.Event{Kind: mailbox.EventUIDValidityChanged, Account: b.Account, Mailbox: b.ID, Name: b.Name})
		}
		b.Counts.UIDNext = max(b.Counts.UIDNext, next)
		return nil
	}})
}
