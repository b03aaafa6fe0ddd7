package sqlite

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
)

// ClaimRecent implements mailstore.Mailboxes. Where nothing is left to claim it
// does not trouble the writer.
func (s *Store) ClaimRecent(ctx context.Context, id mailbox.ID, upTo imap.UID) (first imap.UID, err error) {
	const op = "claim recent messages"
	if err := s.read(ctx, op, func(c *sqlite3.Conn) (err error) {
		first, err = recentFrom(c, op, id)
		return err
	}); err != nil || first >= upTo {
		return first, err
	}
	if err := s.write(ctx, op, func(t *tx) (err error) {
		if first, err = recentFrom(t.c, op, id); err != nil || first >= upTo {
			return err
		}
		return t.exec(`UPDATE mailboxes SET recent_from = ? WHERE id = ?`, uint32(upTo), id[:])
	}); err != nil {
		return 0, err
	}
	return first, nil
}

func recentFrom(c *sqlite3.Conn, op string, id mailbox.ID) (first imap.UID, err error) {
	ok, err := row(c, `SELECT recent_from FROM mailboxes WHERE id = ?`, func(r *sqlite3.Stmt) { first = imap.UID(r.Int(0)) }, id[:])
	if err == nil && !ok {
		err = refuse(mailbox.NonExistent, op, "no such mailbox")
	}
	return first, err
}

// AdoptUIDs implements mailstore.UIDAdopter.
func (s *Store) AdoptUIDs(ctx context.Context, id mailbox.ID, validity uint32, next imap.UID) error {
	const op = "adopt UIDs"
	if validity == 0 {
		return refuse(mailbox.Cannot, op, "a UIDVALIDITY cannot be 0")
	}
	return s.write(ctx, op, func(t *tx) error {
		b, err := findBox(t.c, op, id)
		if err != nil {
			return err
		}
		if next > b.Counts.UIDNext {
			if err := t.exec(`UPDATE mailboxes SET uidnext = ? WHERE box = ?`, uint32(next), b.num); err != nil {
				return err
			}
		}
		if validity == b.UIDValidity {
			return nil
		}
		if b.Counts.UIDNext != 1 {
			return refuse(mailbox.Cannot, op, "the mailbox has had messages under another UIDVALIDITY")
		}
		if err := t.exec(`UPDATE mailboxes SET uidvalidity = ? WHERE box = ?`, validity, b.num); err != nil {
			return err
		}
		// So that no mailbox of the account gets it again.
		if err := t.exec(`UPDATE accounts SET uidvalidity = max(uidvalidity, ?) WHERE account = ?`, validity, b.acct); err != nil {
			return err
		}
		return t.emit(mailbox.Event{Kind: mailbox.EventUIDValidityChanged, Account: b.Account, Mailbox: b.ID, Name: b.Name})
	})
}
