package sqlite

import (
	"context"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/rules"
	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
	"github.com/starling-mail/starling/message"
)

// contentFields are those that need a row of contents too.
const contentFields = mailstore.FieldEnvelope | mailstore.FieldStructure | mailstore.FieldPreview | mailstore.FieldIDs

// pageQuery is the statement that reads the fields. It is cached by its text, of
// which there are few.
func pageQuery(fields mailstore.Fields) string {
	var q strings.Builder
	q.WriteString(`SELECT m.uid, m.modseq`)
	for _, f := range []struct {
		fields  mailstore.Fields
		columns string
	}{
		{mailstore.FieldFlags, `, m.flags, m.keywords`},
		{mailstore.FieldReceived, `, m.received, m.zone`},
		{mailstore.FieldSize, `, m.size`},
		{mailstore.FieldSaved, `, m.saved`},
		{mailstore.FieldIDs, `, m.thread, c.email_id`},
		{mailstore.FieldPreview, `, c.preview`},
		{mailstore.FieldEnvelope | mailstore.FieldStructure, `, c.structure`},
	} {
		if fields&f.fields != 0 {
			q.WriteString(f.columns)
		}
	}
	q.WriteString(` FROM messages m`)
	if fields&contentFields != 0 {
		// CROSS: a message may lack its contents only if the store is damaged, and
		// the order of reading is that of messages.
		q.WriteString(` CROSS JOIN contents c ON c.body = m.body`)
	}
	q.WriteString(` WHERE m.box = ? AND m.uid BETWEEN ? AND ? ORDER BY m.uid LIMIT ?`)
	return q.String()
}

// Page implements mailstore.Messages.
func (s *Store) Page(ctx context.Context, id mailbox.ID, uids imap.UIDSet, fields mailstore.Fields, limit int, p *mailstore.Page) error {
	const op = "read messages"
	p.Rows, p.ModSeq, p.More = p.Rows[:0], 0, false
	return s.read(ctx, op, func(c *sqlite3.Conn) error {
		var num int64
		ok, err := row(c, `SELECT box, modseq FROM mailboxes WHERE id = ?`, func(r *sqlite3.Stmt) {
			num = r.Int(0)
			p.ModSeq = mailbox.ModSeq(r.Int(1))
		}, id[:])
		if err != nil {
			return err
		}
		if !ok {
			return refuse(mailbox.NonExistent, op, "no such mailbox")
		}
		words, size := rules.Words{}, 0
		q := pageQuery(fields)
		for _, r := range uids {
			if err := rows(c, q, func(r *sqlite3.Stmt) error {
				if p.More = p.More || len(p.Rows) == limit || size >= mailstore.PageSize; p.More {
					return nil
				}
				row := nextRow(p)
				err := scanRow(r, fields, words, row)
				size += len(row.Envelope) + len(row.Structure)
				return err
			}, num, uint32(r.Start), uint32(r.Stop), limit-len(p.Rows)+1); err != nil {
				return err
			}
			if p.More {
				break
			}
		}
		return nil
	})
}

// nextRow adds a row to p: an old one, so that its memory is used again.
func nextRow(p *mailstore.Page) *mailstore.Row {
	n := len(p.Rows)
	if n < cap(p.Rows) {
		p.Rows = p.Rows[:n+1]
	} else {
		p.Rows = append(p.Rows, mailstore.Row{})
	}
	r := &p.Rows[n]
	*r = mailstore.Row{Envelope: r.Envelope[:0], Structure: r.Structure[:0]}
	return r
}

// scanRow reads a row of pageQuery.
func scanRow(r *sqlite3.Stmt, fields mailstore.Fields, words rules.Words, m *mailstore.Row) error {
	m.UID, m.ModSeq = imap.UID(r.Int(0)), mailbox.ModSeq(r.Int(1))
	i := 2
	if fields&mailstore.FieldFlags != 0 {
		m.Flags = mailbox.Flags{System: mailbox.SystemFlags(r.Int(i)), Keywords: words.Text(r.Bytes(i + 1))}
		i += 2
	}
	if fields&mailstore.FieldReceived != 0 {
		m.Received = rules.Time(r.Int(i), r.Int(i+1))
		i += 2
	}
	if fields&mailstore.FieldSize != 0 {
		m.Size = r.Int(i)
		i++
	}
	if fields&mailstore.FieldSaved != 0 {
		m.Saved = rules.Time(r.Int(i), 0)
		i++
	}
	if fields&mailstore.FieldIDs != 0 {
		copy(m.ThreadID[:], r.Bytes(i))
		copy(m.EmailID[:], r.Bytes(i+1))
		i += 2
	}
	if fields&mailstore.FieldPreview != 0 {
		m.Preview = r.Text(i)
		i++
	}
	if fields&(mailstore.FieldEnvelope|mailstore.FieldStructure) == 0 {
		return nil
	}
	stored := r.Bytes(i)
	if fields&mailstore.FieldStructure != 0 {
		m.Structure = append(m.Structure, stored...)
	}
	if fields&mailstore.FieldEnvelope != 0 {
		envelope, err := message.DecodeEnvelope(stored)
		if err != nil {
			return &mailbox.Error{Kind: mailbox.Corrupt, Op: "read messages", Err: err}
		}
		m.Envelope = append(m.Envelope, envelope...)
	}
	return nil
}
