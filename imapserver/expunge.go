package imapserver

import (
	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// expunge is EXPUNGE (RFC 9051 §6.4.3).
func (c *conn) expunge() error {
	if err := c.dec.End(); err != nil {
		return err
	}
	return c.expungeUIDs(allUIDs)
}

// uidExpunge is UID EXPUNGE (RFC 9051 §6.4.9).
func (c *conn) uidExpunge() error {
	set, err := c.dec.UIDExpunge()
	if err != nil {
		return err
	}
	which, err := c.resolve(set, true)
	if err != nil {
		return err
	}
	return c.expungeUIDs(which.UIDs)
}

// expungeUIDs expunges and answers.
func (c *conn) expungeUIDs(uids imap.UIDSet) error {
	if err := c.mayWrite(); err != nil {
		return err
	}
	expunged, err := c.expungeDeleted(uids)
	if expunged {
		c.replyModSeq("expunged")
	}
	return err
}

// expungeDeleted removes those of uids that have \Deleted and that the client knows of,
// in chunks, and reports whether there was any.
func (c *conn) expungeDeleted(uids imap.UIDSet) (expunged bool, err error) {
	view := c.session.view
	var deleted imap.UIDSet
	for chunk := range chunks(view.ResolveUIDs(uids).UIDs, pageSize) {
		rows, err := view.Flags(c.srv.commands, chunk, c.rows[:0])
		c.rows = rows
		if err != nil {
			return false, err
		}
		for i := range rows {
			if rows[i].Flags.System&mailbox.Deleted != 0 {
				deleted.AddNum(rows[i].UID)
			}
		}
	}
	for chunk := range chunks(deleted, mailstore.ChunkSize) {
		change, err := c.srv.opts.Store.Expunge(c.srv.commands, c.session.box, chunk)
		if err != nil {
			return expunged, err
		}
		if change == nil {
			continue
		}
		expunged = true
		if err := view.Reach(c.srv.commands, change.ModSeq); err != nil {
			return expunged, err
		}
	}
	return expunged, nil
}
