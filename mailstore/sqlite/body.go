package sqlite

import (
	"bytes"
	"context"
	"fmt"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/incoming"
	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
)

// Body implements mailstore.Messages.
func (s *Store) Body(ctx context.Context, id mailbox.ID, uid imap.UID) (mailstore.Body, error) {
	const op = "read body"
	var st stored
	found := false
	var opened blob.Blob
	err := s.read(ctx, op, func(c *sqlite3.Conn) error {
		var err error
		if found, err = row(c, `SELECT m.size, b.encoding, b.data, b.blob FROM messages m JOIN bodies b ON b.body = m.body
			WHERE m.box = (SELECT box FROM mailboxes WHERE id = ?) AND m.uid = ?`, st.scan, id[:], uint32(uid)); err != nil || st.blob.IsZero() {
			return err
		}
		// Within the read: until it is open, the blob of a message that goes now
		// must not be deleted. The opened file outlives its name.
		opened, err = s.blobs.Open(ctx, st.blob)
		return err
	})
	if err != nil {
		if found && mailbox.KindOf(err) == mailbox.NonExistent {
			return nil, s.missing(ctx, id, uid, err)
		}
		return nil, err
	}
	if !found {
		return nil, refuse(mailbox.Expunged, op, "")
	}
	if opened != nil {
		if opened.Size() != st.size {
			opened.Close()
			return nil, &mailbox.Error{Kind: mailbox.Corrupt, Op: op, Err: fmt.Errorf("blob %s has %d bytes, want %d", st.blob, opened.Size(), st.size)}
		}
		return opened, nil
	}
	b, err := s.codec.Unpack(st.data, st.encoding, st.size)
	if err != nil {
		return nil, err
	}
	return inline{bytes.NewReader(b)}, nil
}

// A stored body as the database has it.
type stored struct {
	size     int64
	encoding incoming.Encoding
	data     []byte
	blob     blob.ID
}

// scan reads size, encoding, data and blob.
func (b *stored) scan(r *sqlite3.Stmt) {
	b.size, b.encoding = r.Int(0), incoming.Encoding(r.Int(1))
	b.data = bytes.Clone(r.Bytes(2))
	copy(b.blob[:], r.Bytes(3))
}

// missing tells why a blob was not there: the message went between the snapshot
// and the opening, or the store is damaged.
func (s *Store) missing(ctx context.Context, id mailbox.ID, uid imap.UID, cause error) error {
	const op = "read body"
	there := false
	if err := s.read(ctx, op, func(c *sqlite3.Conn) (err error) {
		there, err = row(c, `SELECT 1 FROM messages WHERE box = (SELECT box FROM mailboxes WHERE id = ?) AND uid = ?`, func(*sqlite3.Stmt) {}, id[:], uint32(uid))
		return err
	}); err != nil {
		return err
	}
	if there {
		return &mailbox.Error{Kind: mailbox.Corrupt, Op: op, Err: cause}
	}
	return &mailbox.Error{Kind: mailbox.Expunged, Op: op, Err: cause}
}

// inline is a body that was in the database.
type inline struct{ *bytes.Reader }

func (inline) Close() error { return nil }
