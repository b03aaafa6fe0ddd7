package postgres

import (
	"context"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/rules"
	"github.com/starling-mail/starling/message"
)

// pageRanges is how many ranges of UIDs one statement looks at. It bounds what
// is read beyond what is asked for.
const pageRanges = 64

// contentFields are those that need a row of bodies too.
const contentFields = mailstore.FieldEnvelope | mailstore.FieldStructure | mailstore.FieldPreview | mailstore.FieldIDs

// pageQuery is the statement that reads the fields.
func pageQuery(fields mailstore.Fields) string {
	var q strings.Builder
	q.WriteString(`SELECT m.uid, greatest(m.modseq, m.base)`)
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
	q.WriteString(` FROM (SELECT m.*, b.base FROM mailboxes b, unnest($2::bigint[], $3::bigint[]) AS s(first, last), LATERAL
		(SELECT * FROM messages m WHERE m.account = b.account AND m.box = b.box AND m.uid BETWEEN s.first AND s.last ORDER BY m.uid LIMIT $4) AS m
		WHERE b.id = $1 ORDER BY m.uid LIMIT $4) AS m`)
	if fields&contentFields != 0 {
		q.WriteString(` JOIN bodies c ON c.account = m.account AND c.body = m.body ORDER BY m.uid`)
	}
	return q.String()
}

// Page implements mailstore.Messages. Up to pageRanges ranges are one round
// trip.
func (s *Store) Page(ctx context.Context, id mailbox.ID, uids imap.UIDSet, fields mailstore.Fields, limit int, p *mailstore.Page) error {
	const op = "read messages"
	p.Rows, p.ModSeq, p.More = p.Rows[:0], 0, false
	scan := rowScanner(fields, limit, p)
	found := func(r pgx.Rows) error {
		var modseq int64
		err := r.Scan(&modseq)
		p.ModSeq = mailbox.ModSeq(modseq)
		return err
	}
	query := pageQuery(fields)
	list := []stmt{{sql: `SELECT modseq FROM mailboxes WHERE id = $1`, args: []any{id[:]}, scan: found}}
	next := func(chunk imap.UIDSet) stmt {
		from, to := spans(chunk)
		return stmt{sql: query, args: []any{id[:], from, to, int64(limit - len(p.Rows) + 1)}, scan: scan}
	}
	var err error
	if len(uids) <= pageRanges {
		if len(uids) > 0 {
			list = append(list, next(uids))
		}
		err = s.readAll(ctx, op, list)
	} else {
		err = s.pageByChunks(ctx, op, uids, list[0], next, p)
	}
	if err == nil && p.ModSeq == 0 {
		err = refuse(mailbox.NonExistent, op, "no such mailbox")
	}
	return err
}

// pageByChunks reads a set of many ranges until the page is full, on one
// snapshot.
func (s *Store) pageByChunks(ctx context.Context, op string, uids imap.UIDSet, first stmt, next func(imap.UIDSet) stmt, p *mailstore.Page) error {
	if s.lanes.closed() {
		return unavailable(op, errClosed)
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return failure(op, s.session(ctx, func(c *pgx.Conn) error {
		list := []stmt{{sql: `begin isolation level repeatable read read only`}, first}
		for chunk := range slices.Chunk(uids, pageRanges) {
			if err := send(ctx, c, append(list, next(chunk)), false); err != nil {
				return err
			}
			if list = nil; p.More {
				break
			}
		}
		return send(ctx, c, []stmt{{sql: `commit`}}, false)
	}))
}

// rowScanner reads rows of pageQuery into p, at most limit.
func rowScanner(fields mailstore.Fields, limit int, p *mailstore.Page) func(pgx.Rows) error {
	var uid, modseq, received, size, saved int64
	var flags int16
	var zone int32
	// These are valid until the next row is read.
	var keywords, structure, preview, thread, emailID pgtype.DriverBytes
	dest := []any{&uid, &modseq}
	for _, f := range []struct {
		fields mailstore.Fields
		dest   []any
	}{
		{mailstore.FieldFlags, []any{&flags, &keywords}},
		{mailstore.FieldReceived, []any{&received, &zone}},
		{mailstore.FieldSize, []any{&size}},
		{mailstore.FieldSaved, []any{&saved}},
		{mailstore.FieldIDs, []any{&thread, &emailID}},
		{mailstore.FieldPreview, []any{&preview}},
		{mailstore.FieldEnvelope | mailstore.FieldStructure, []any{&structure}},
	} {
		if fields&f.fields != 0 {
			dest = append(dest, f.dest...)
		}
	}
	words := rules.Words{}
	return func(r pgx.Rows) error {
		if len(p.Rows) == limit {
			p.More = true
			return nil
		}
		if err := r.Scan(dest...); err != nil {
			return err
		}
		m := nextRow(p)
		m.UID, m.ModSeq = imap.UID(uid), mailbox.ModSeq(modseq)
		if fields&mailstore.FieldFlags != 0 {
			m.Flags = mailbox.Flags{System: mailbox.SystemFlags(flags), Keywords: words.Text(keywords)}
		}
		if fields&mailstore.FieldReceived != 0 {
			m.Received = rules.Time(received, int64(zone))
		}
		if fields&mailstore.FieldSaved != 0 {
			m.Saved = rules.Time(saved, 0)
		}
		m.Size, m.Preview = size, string(preview)
		copy(m.ThreadID[:], thread)
		copy(m.EmailID[:], emailID)
		if fields&mailstore.FieldStructure != 0 {
			m.Structure = append(m.Structure, structure...)
		}
		if fields&mailstore.FieldEnvelope != 0 {
			envelope, err := message.DecodeEnvelope(structure)
			if err != nil {
				return corrupt("read messages", err)
			}
			m.Envelope = append(m.Envelope, envelope...)
		}
		return nil
	}
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
