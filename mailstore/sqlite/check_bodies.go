package sqlite

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
	"github.com/starling-mail/starling/message"
)

// checkStep is how many rows are read in one snapshot.
const checkStep = 200

// ownersQuery finds bodies that are owned by another number of messages than is
// written down, or that lack a row.
const ownersQuery = `WITH owned AS (SELECT body, count(*) AS n FROM messages GROUP BY body),
	every AS (SELECT body FROM owned UNION SELECT body FROM bodies UNION SELECT body FROM contents UNION SELECT body FROM shared)
	SELECT e.body, coalesce(o.n, 0), coalesce(s.owners, 1), b.body IS NOT NULL, c.body IS NOT NULL FROM every e
	LEFT JOIN owned o ON o.body = e.body LEFT JOIN shared s ON s.body = e.body
	LEFT JOIN bodies b ON b.body = e.body LEFT JOIN contents c ON c.body = e.body
	WHERE coalesce(o.n, 0) <> coalesce(s.owners, 1) OR b.body IS NULL OR c.body IS NULL`

// An ownership is a row of ownersQuery.
type ownership struct {
	body, messages, written int64
	stored, described       bool
}

func (o ownership) String() string {
	where := fmt.Sprintf("body %d:%d", o.body>>32, o.body&maxUID)
	switch {
	case o.messages == 0:
		return where + " has no message"
	case !o.stored:
		return fmt.Sprintf("%s is missing, %d messages have it", where, o.messages)
	case !o.described:
		return fmt.Sprintf("%s has no structure, %d messages have it", where, o.messages)
	default:
		return fmt.Sprintf("%s has %d messages, %d are written down", where, o.messages, o.written)
	}
}

func (o ownership) lost() bool { return o.messages > 0 && !(o.stored && o.described) }

// owners compares the bodies with the messages that have them.
func (c *checker) owners() error {
	var list []ownership
	look := func(db *sqlite3.Conn) error {
		list = nil
		return rows(db, ownersQuery, func(r *sqlite3.Stmt) error {
			list = append(list, ownership{r.Int(0), r.Int(1), r.Int(2), r.Int(3) != 0, r.Int(4) != 0})
			return nil
		})
	}
	if err := c.s.read(c.ctx, opCheck, look); err != nil {
		return err
	}
	if len(list) > 0 && c.repair {
		if err := c.s.write(c.ctx, opCheck, func(t *tx) error {
			if err := look(t.c); err != nil {
				return err
			}
			for _, o := range list {
				if err := t.mendOwners(o); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	for _, o := range list {
		c.found(c.repair && !o.lost(), o.lost(), "%s", o)
	}
	return nil
}

// mendOwners writes down how many messages have a body; one without is removed.
func (t *tx) mendOwners(o ownership) error {
	if err := t.exec(`DELETE FROM shared WHERE body = ?`, o.body); err != nil {
		return err
	}
	switch {
	case o.messages == 0:
		return t.release(o.body)
	case o.messages > 1:
		return t.exec(`INSERT INTO shared (body, owners) VALUES (?, ?)`, o.body, o.messages)
	}
	return nil
}

// A described body has its bytes, hash and structure.
type described struct {
	num int64
	stored
	emailID   []byte
	structure []byte
}

// contents reads every body: it must hash to its EMAILID and be as long as its
// structure says.
func (c *checker) contents() error {
	for last, n := int64(-1), checkStep; n == checkStep; {
		n = 0
		var list []described
		if err := c.s.read(c.ctx, opCheck, func(db *sqlite3.Conn) error {
			return rows(db, `SELECT 0, b.encoding, b.data, b.blob, b.body, c.email_id, c.structure FROM bodies b JOIN contents c ON c.body = b.body
				WHERE b.body > ? ORDER BY b.body LIMIT ?`, func(r *sqlite3.Stmt) error {
				d := described{num: r.Int(4), emailID: bytes.Clone(r.Bytes(5)), structure: bytes.Clone(r.Bytes(6))}
				d.scan(r)
				list = append(list, d)
				return nil
			}, last, checkStep)
		}); err != nil {
			return err
		}
		for i := range list {
			d := &list[i]
			fault, err := c.content(d)
			if err != nil {
				return err
			}
			if fault != "" {
				c.found(false, true, "body %d:%d: %s", d.num>>32, d.num&maxUID, fault)
			}
			last = d.num
			n++
		}
	}
	return nil
}

// content tells what is wrong with a body.
func (c *checker) content(d *described) (fault string, err error) {
	m, err := message.Decode(d.structure)
	if err != nil {
		return "its structure cannot be read", nil
	}
	hash := sha256.New()
	var size int64
	if d.blob.IsZero() {
		b, err := c.s.codec.Unpack(d.data, d.encoding, m.Size)
		if err != nil {
			return err.Error(), nil
		}
		size = int64(len(b))
		hash.Write(b)
	} else {
		b, err := c.s.blobs.Open(c.ctx, d.blob)
		if mailbox.KindOf(err) == mailbox.NonExistent {
			// Unless the message went meanwhile.
			there, e := c.owned(d.blob)
			if e != nil || !there {
				return "", e
			}
			return "its blob " + d.blob.String() + " is missing", nil
		}
		if err != nil {
			return "", err
		}
		defer b.Close()
		if size, err = io.Copy(hash, io.NewSectionReader(b, 0, b.Size())); err != nil {
			return "its blob " + d.blob.String() + " cannot be read: " + err.Error(), nil
		}
	}
	switch {
	case size != m.Size:
		return fmt.Sprintf("it has %d bytes, its structure says %d", size, m.Size), nil
	case !bytes.HasPrefix(hash.Sum(nil), d.emailID):
		return "its bytes are not those that were stored", nil
	}
	return "", nil
}

// owned reports whether a body has the blob.
func (c *checker) owned(id blob.ID) (there bool, err error) {
	err = c.s.read(c.ctx, opCheck, func(db *sqlite3.Conn) (err error) {
		there, err = row(db, `SELECT 1 FROM bodies WHERE blob = ?`, func(*sqlite3.Stmt) {}, id[:])
		return err
	})
	return there, err
}

// sizes compares the messages of a mailbox with their structures.
func (c *checker) sizes(num int64) error {
	for last, n := int64(0), checkStep; n == checkStep; {
		n = 0
		if err := c.s.read(c.ctx, opCheck, func(db *sqlite3.Conn) error {
			return rows(db, `SELECT m.uid, m.size, c.structure FROM messages m CROSS JOIN contents c ON c.body = m.body
				WHERE m.box = ? AND m.uid > ? ORDER BY m.uid LIMIT ?`, func(r *sqlite3.Stmt) error {
				last = r.Int(0)
				n++
				if m, err := message.Decode(r.Bytes(2)); err == nil && m.Size != r.Int(1) {
					c.found(false, false, "message %d:%d: its size is %d, its structure says %d", num, last, r.Int(1), m.Size)
				}
				return nil
			}, num, last, checkStep)
		}); err != nil {
			return err
		}
	}
	return nil
}

// blobs finds blobs that nobody owns: leftovers of a crash between storing a
// blob and committing its message.
func (c *checker) blobs() error {
	for info, err := range c.s.blobs.List(c.ctx) {
		if err != nil {
			return err
		}
		// In this order: a draft's blob has its owner before the draft ends.
		if c.s.receiver.Pending(info.ID) {
			continue
		}
		var there bool
		if err := c.s.read(c.ctx, opCheck, func(db *sqlite3.Conn) (err error) {
			there, err = row(db, `SELECT 1 FROM bodies WHERE blob = ?1 UNION ALL SELECT 1 FROM dead_blobs WHERE blob = ?1`, func(*sqlite3.Stmt) {}, info.ID[:])
			return err
		}); err != nil {
			return err
		}
		if there {
			continue
		}
		if c.repair {
			if err := c.s.blobs.Delete(c.ctx, info.ID); err != nil {
				return err
			}
		}
		c.found(c.repair, false, "blob %s of %d bytes has no message", info.ID, info.Size)
	}
	return nil
}
