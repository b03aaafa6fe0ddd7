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

// expungeUIDs expunges and answers with HIGHESTMODSEQ where that is due (RFC 7162 §3.2.8).
func (c *conn) expungeUIDs(uids imap.UIDSet) error {
	if err := c.mayWrite(); err != nil {
		return err
	}
	last, err := c.expungeDeleted(uids)
	if err != nil {
		return err
	}
	if last > 0 && c.enabled&qResync != 0 {
		c.reply = func(tag string) {
			c.enc.NumberCode(tag, imap.StatusResponseTypeOK, "HIGHESTMODSEQ", uint64(last), "expunged")
		}
	}
	return nil
}

// expungeDeleted removes those of uids that have \Deleted and that the client knows of,
// in chunks, and returns the ModSeq of the last change, 0 if there was none.
func (c *conn) expungeDeleted(uids imap.UIDSet) (last mailbox.ModSeq, err error) {
	view := c.session.view
	var deleted imap.UIDSet
	for chunk := range chunks(view.ResolveUIDs(uids).UIDs, pageSize) {
		rows, err := view.Flags(c.srv.commands, chunk, c.rows[:0])
		c.rows = rows
		if err != nil {
			return 0, err
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
			return last, err
		}
		if change == nil {
			continue
		}
		last = change.ModSeq
		if err := view.Reach(c.srv.commands, last); err != nil {
			return last, err
		}
	}
	return last, nil
}
