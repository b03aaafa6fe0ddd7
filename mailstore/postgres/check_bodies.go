package postgres

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/incoming"
	"github.com/starling-mail/starling/message"
)

// deepStep is how many bodies a deep check reads at a time: each may have up to
// 1 MiB.
const deepStep = 50

// A described body has its structure, and in a deep check its bytes.
type described struct {
	acct, num int64
	encoding  incoming.Encoding
	emailID   []byte
	structure []byte
	data      []byte // nil: in a blob, or not read
	blob      blob.ID
}

func (d *described) String() string {
	return fmt.Sprintf("account number %d: %s", d.acct, bodyName(d.num))
}

// sizes compares every message with the structure of its body.
func (c *checker) sizes() error {
	const sql = `SELECT m.account, m.box, m.uid, m.size, b.structure FROM
		(SELECT * FROM messages WHERE (account, box, uid) > ($1, $2, $3) ORDER BY account, box, uid LIMIT $4) AS m
		LEFT JOIN bodies b ON b.account = m.account AND b.body = m.body ORDER BY m.account, m.box, m.uid`
	for acct, num, uid, n := int64(0), int64(0), int64(0), checkStep; n == checkStep; {
		n = 0
		if err := c.read(stmt{sql: sql, args: []any{acct, num, uid, checkStep}, scan: func(r pgx.Rows) error {
			var size int64
			var structure []byte
			if err := r.Scan(&acct, &num, &uid, &size, &structure); err != nil {
				return err
			}
			n++
			if m, err := message.Decode(structure); err == nil && m.Size != size {
				c.found(false, "account number %d: message %d:%d: its size is %d, its structure says %d", acct, num, uid, size, m.Size)
			}
			return nil
		}}); err != nil {
			return err
		}
	}
	return nil
}

// contents looks at every body: its structure, and in a deep check its bytes,
// which must hash to its EMAILID.
func (c *checker) contents() error {
	data, step := `NULL::bytea`, checkStep
	if c.deep {
		data, step = `data`, deepStep
	}
	sql := `SELECT account, body, encoding, email_id, structure, blob, data IS NULL AND blob IS NULL, ` + data + `
		FROM bodies WHERE (account, body) > ($1, $2) ORDER BY account, body LIMIT $3`
	for acct, num, n := int64(0), int64(0), step; n == step; {
		var list []*described
		if err := c.read(stmt{sql: sql, args: []any{acct, num, step}, scan: func(r pgx.Rows) error {
			d := new(described)
			var encoding int16
			var name []byte
			var lost bool
			if err := r.Scan(&d.acct, &d.num, &encoding, &d.emailID, &d.structure, &name, &lost, &d.data); err != nil {
				return err
			}
			d.encoding = incoming.Encoding(encoding)
			copy(d.blob[:], name)
			acct, num = d.acct, d.num
			if lost {
				c.found(true, "%s has no bytes", d)
			}
			list = append(list, d)
			return nil
		}}); err != nil {
			return err
		}
		for _, d := range list {
			if err := c.content(d); err != nil {
				return err
			}
		}
		n = len(list)
	}
	return nil
}

// content reads a body's structure, and in a deep check its bytes.
func (c *checker) content(d *described) error {
	m, err := message.Decode(d.structure)
	if err != nil {
		c.found(true, "%s: its structure cannot be read", d)
		return nil
	}
	if !c.deep || d.data == nil && d.blob.IsZero() {
		return nil
	}
	hash := sha256.New()
	var size int64
	if d.blob.IsZero() {
		b, err := c.s.codec.Unpack(d.data, d.encoding, m.Size)
		if err != nil {
			c.found(true, "%s: %v", d, err)
			return nil
		}
		size = int64(len(b))
		hash.Write(b)
	} else {
		b, err := c.s.blobs.Open(c.ctx, d.blob)
		if mailbox.KindOf(err) == mailbox.NonExistent {
			return nil // blobs tells of it
		}
		if err != nil {
			return err
		}
		defer b.Close()
		if size, err = io.Copy(hash, io.NewSectionReader(b, 0, b.Size())); err != nil {
			return err
		}
	}
	if size != m.Size || !bytes.HasPrefix(hash.Sum(nil), d.emailID) {
		c.found(true, "%s: its bytes are not those that were stored", d)
	}
	return nil
}

// blobs compares the blobs with the bodies that are in them. A node may store and
// delete some meanwhile, so what seems to be missing is looked at again.
func (c *checker) blobs() error {
	there, err := c.listed()
	if err != nil {
		return err
	}
	for last, n := []byte{}, checkStep; n == checkStep; {
		n = 0
		var missing []blob.ID
		if err := c.read(stmt{sql: `SELECT blob FROM bodies WHERE blob > $1 ORDER BY blob LIMIT $2`, args: []any{last, checkStep}, scan: func(r pgx.Rows) error {
			var id blob.ID
			if err := r.Scan(&last); err != nil {
				return err
			}
			copy(id[:], last)
			n++
			if _, ok := slices.BinarySearch(there, short(id)); !ok {
				missing = append(missing, id)
			}
			return nil
		}}); err != nil {
			return err
		}
		for _, id := range slices.Compact(missing) {
			if err := c.missing(id); err != nil {
				return err
			}
		}
	}
	return nil
}

// short stands for a blob in memory. Names are random, so that two blobs have
// the same is not to be expected.
func short(id blob.ID) uint64 { return binary.BigEndian.Uint64(id[:]) }

// listed goes through all blobs and returns them, sorted. It tells of those of
// another size than their body has, and of old ones that no body has.
func (c *checker) listed() (there []uint64, err error) {
	before := time.Now().Add(-c.s.o.OrphanAge - orphansEvery)
	var page []blob.Info
	for info, err := range c.s.blobs.List(c.ctx) {
		if err != nil {
			return nil, err
		}
		there = append(there, short(info.ID))
		if info.ID == blob.ID(c.s.system) || c.s.receiver.Pending(info.ID) {
			continue
		}
		if page = append(page, info); len(page) == checkStep {
			if err := c.owned(page, before); err != nil {
				return nil, err
			}
			page = page[:0]
		}
	}
	slices.Sort(there)
	return there, c.owned(page, before)
}

// owned compares some blobs with the bodies that have them.
func (c *checker) owned(page []blob.Info, before time.Time) error {
	ids := make([][]byte, len(page))
	for i := range page {
		ids[i] = page[i].ID[:]
	}
	type owner struct {
		structure    []byte
		dead, doomed bool
	}
	owners := make(map[blob.ID]owner)
	if err := c.read(stmt{sql: `SELECT u.blob, (SELECT structure FROM bodies b WHERE b.blob = u.blob LIMIT 1), d.blob IS NOT NULL, coalesce(d.state > 0, false)
		FROM unnest($1::bytea[]) AS u(blob) LEFT JOIN dead_blobs d ON d.blob = u.blob`, args: []any{ids}, scan: func(r pgx.Rows) error {
		var id []byte
		var o owner
		err := r.Scan(&id, &o.structure, &o.dead, &o.doomed)
		owners[blob.ID(id)] = o
		return err
	}}); err != nil {
		return err
	}
	for _, b := range page {
		switch o := owners[b.ID]; {
		case o.structure != nil && o.doomed:
			c.found(true, "blob %s is going to be deleted, and a body has it", b.ID)
		case o.structure != nil:
			if m, err := message.Decode(o.structure); err == nil && m.Size != b.Size {
				c.found(true, "blob %s has %d bytes, the structure of its body says %d", b.ID, b.Size, m.Size)
			}
		case !o.dead && b.Modified.Before(before):
			c.found(false, "blob %s of %d bytes has no message", b.ID, b.Size)
		}
	}
	return nil
}

// missing tells of a blob that is not there although a body has it.
func (c *checker) missing(id blob.ID) error {
	b, err := c.s.blobs.Open(c.ctx, id)
	if err == nil {
		return b.Close()
	}
	if mailbox.KindOf(err) != mailbox.NonExistent {
		return err
	}
	return c.read(stmt{sql: `SELECT account, body FROM bodies WHERE blob = $1`, args: []any{id[:]}, scan: func(r pgx.Rows) error {
		d := new(described)
		err := r.Scan(&d.acct, &d.num)
		c.found(true, "%s: its blob %s is missing", d, id)
		return err
	}})
}
