package memory

import (
	"bytes"
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/message"
)

// Page implements mailstore.Messages.
func (s *Store) Page(ctx context.Context, id mailbox.ID, uids imap.UIDSet, fields mailstore.Fields, limit int, p *mailstore.Page) error {
	const op = "Page"
	p.Rows, p.ModSeq, p.More = p.Rows[:0], 0, false
	return s.read(ctx, op, func(w *World) error {
		b, err := w.box(op, id)
		if err != nil {
			return err
		}
		p.ModSeq = b.ModSeq
		size := 0
		for m := range b.in(uids) {
			if p.More = len(p.Rows) >= limit || size >= mailstore.PageSize; p.More {
				return nil
			}
			r := nextRow(p)
			if err := m.fill(r, fields); err != nil {
				return &mailbox.Error{Kind: mailbox.Corrupt, Op: op, Err: err}
			}
			size += len(r.Envelope) + len(r.Structure)
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

// fill writes the fields that are wanted into r.
func (m *mail) fill(r *mailstore.Row, fields mailstore.Fields) error {
	r.UID, r.ModSeq = m.uid, m.modseq
	if fields&mailstore.FieldFlags != 0 {
		r.Flags = m.flags
	}
	if fields&mailstore.FieldReceived != 0 {
		r.Received = m.received
	}
	if fields&mailstore.FieldSize != 0 {
		r.Size = m.draft.Bytes
	}
	if fields&mailstore.FieldSaved != 0 {
		r.Saved = m.saved
	}
	if fields&mailstore.FieldIDs != 0 {
		r.ThreadID, r.EmailID = m.thread, m.draft.EmailID
	}
	if fields&mailstore.FieldPreview != 0 {
		r.Preview = m.draft.Preview
	}
	if fields&mailstore.FieldStructure != 0 {
		r.Structure = append(r.Structure, m.draft.Structure...)
	}
	if fields&mailstore.FieldEnvelope != 0 {
		envelope, err := message.DecodeEnvelope(m.draft.Structure)
		if err != nil {
			return err
		}
		r.Envelope = append(r.Envelope, envelope...)
	}
	return nil
}

// Body implements mailstore.Messages.
func (s *Store) Body(ctx context.Context, id mailbox.ID, uid imap.UID) (mailstore.Body, error) {
	const op = "Body"
	var data []byte
	err := s.read(ctx, op, func(w *World) error {
		if b := w.boxes[id]; b != nil {
			for m := range b.in(imap.UIDSetNum(uid)) {
				data = m.data
				return nil
			}
		}
		return refuse(mailbox.Expunged, op, "")
	})
	if err != nil {
		return nil, err
	}
	return body{bytes.NewReader(data)}, nil
}
