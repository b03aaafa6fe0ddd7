package postgres

import (
	"bytes"
	"context"
	"fmt"

	"github.com/emersion/go-imap/v2"
	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/incoming"
)

// Body implements mailstore.Messages. Blobs outlive their messages by
// Options.BodyGrace; so long may one be read after its message is gone.
func (s *Store) Body(ctx context.Context, id mailbox.ID, uid imap.UID) (mailstore.Body, error) {
	const op = "read body"
	var size int64
	var encoding int16
	var data, name []byte
	found := false
	query := stmt{sql: `SELECT m.size, c.encoding, c.data, c.blob FROM mailboxes b JOIN messages m ON m.account = b.account AND m.box = b.box
		JOIN bodies c ON c.account = m.account AND c.body = m.body WHERE b.id = $1 AND m.uid = $2`, args: []any{id[:], int64(uid)},
		scan: func(r pgx.Rows) error {
			found = true
			return r.Scan(&size, &encoding, &data, &name)
		}}
	if err := s.read(ctx, op, []stmt{query}); err != nil {
		return nil, err
	}
	if !found {
		return nil, refuse(mailbox.Expunged, op, "")
	}
	if name == nil {
		b, err := s.codec.Unpack(data, incoming.Encoding(encoding), size)
		if err != nil {
			return nil, err
		}
		return inline{bytes.NewReader(b)}, nil
	}
	var blobID blob.ID
	copy(blobID[:], name)
	opened, err := s.blobs.Open(ctx, blobID)
	if mailbox.KindOf(err) == mailbox.NonExistent {
		// The message went meanwhile, or the store is damaged.
		found = false
		if err := s.read(ctx, op, []stmt{query}); err != nil {
			return nil, err
		}
		if found {
			return nil, corrupt(op, err)
		}
		return nil, &mailbox.Error{Kind: mailbox.Expunged, Op: op, Err: err}
	}
	if err != nil {
		return nil, err
	}
	if opened.Size() != size {
		opened.Close()
		return nil, corrupt(op, fmt.Errorf("blob %s has %d bytes, want %d", blobID, opened.Size(), size))
	}
	return opened, nil
}

// inline is a body that was in the database.
type inline struct{ *bytes.Reader }

func (inline) Close() error { return nil }
