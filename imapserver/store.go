package imapserver

import (
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

func (c *conn) store() error    { return c.storeFlags(false) }
func (c *conn) uidStore() error { return c.storeFlags(true) }

// storeFlags is STORE and UID STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3). It works in
// chunks, each a transaction of its own.
func (c *conn) storeFlags(byUID bool) error {
	args, err := c.dec.Store(byUID)
	if err != nil {
		return err
	}
	if err := c.mayWrite(); err != nil {
		return err
	}
	if err := c.offers(mailstore.ModSeqs, args.Conditional); err != nil {
		return err
	}
	update, err := flagUpdate(&args)
	if err != nil {
		return err
	}
	if args.Conditional {
		c.useCondStore()
	}
	which, err := c.resolve(args.Set, byUID)
	if err != nil {
		return err
	}
	var modified imap.UIDSet
	var own mailbox.ModSeq // of the first Change
	missed := false
	// A client that is told NO has to learn what was done nevertheless.
	failed := func(err error) error {
		c.session.view.Disown(own)
		return err
	}
	for chunk := range chunks(which.UIDs, mailstore.ChunkSize) {
		done, err := c.srv.opts.Store.UpdateFlags(c.srv.commands, c.session.box, chunk, update)
		if err != nil {
			return failed(err)
		}
		modified.AddSet(done.Modified)
		var changed imap.UIDSet
		if done.Change != nil {
			if err := c.session.view.Reach(c.srv.commands, done.Change.ModSeq); err != nil {
				return failed(err)
			}
			if c.session.own(done.Change, chunk) && own == 0 {
				own = done.Change.ModSeq
			}
			changed = intersect(changedBy(done.Change), chunk)
		}
		// New keywords are told before a message that has them.
		if err := c.tell(false); err != nil {
			return err
		}
		gone, err := c.tellStored(&args, subtract(chunk, done.Modified), changed, byUID)
		if err != nil {
			return failed(err)
		}
		missed = missed || gone
	}
	if len(modified) > 0 {
		return c.replyModified(modified, byUID)
	}
	if args.Flags.Silent {
		return nil // RFC 2180 §4.2.2: what is gone needs no flags
	}
	if missed && !byUID {
		return no("EXPUNGEISSUED", "some of the messages no longer exist")
	}
	return which.expunged()
}

// flagUpdate turns the arguments into what the store understands.
func flagUpdate(args *wire.Store) (mailstore.FlagUpdate, error) {
	if err := checkFlags(args.Flags.Flags); err != nil {
		return mailstore.FlagUpdate{}, err
	}
	u := mailstore.FlagUpdate{Op: args.Flags.Op, Flags: mailbox.NewFlags(args.Flags.Flags...)}
	if args.Conditional {
		m := mailbox.ModSeq(args.UnchangedSince)
		u.UnchangedSince = &m
	}
	return u, nil
}

// checkFlags refuses flags that are not a client's to set (RFC 9051 §2.3.2).
func checkFlags(flags []imap.Flag) error {
	for _, f := range flags {
		if strings.HasPrefix(string(f), `\`) && mailbox.SystemFlag(f) == 0 && !strings.EqualFold(string(f), string(wire.FlagRecent)) {
			return bad("unknown system flag")
		}
	}
	return nil
}

// tellStored tells the flags that a chunk's messages have now, unless the client asked for
// silence. Then it still has to learn the new mod-sequences (RFC 7162 §3.1.3).
// It reports whether a message was gone.
func (c *conn) tellStored(args *wire.Store, chunk, changed imap.UIDSet, byUID bool) (gone bool, err error) {
	silent := args.Flags.Silent
	switch {
	case silent && c.enabled&condStore == 0:
		return false, nil
	case silent && !args.Conditional:
		chunk = changed
	}
	for part := range chunks(chunk, pageSize) {
		rows, err := c.session.view.Flags(c.srv.commands, part, c.rows[:0])
		c.rows = rows
		if err != nil {
			return false, err
		}
		gone = gone || uint32(len(rows)) < count(part)
		for i := range rows {
			r := &rows[i]
			if !silent {
				c.writeFlags(r, byUID || c.tellsUID())
				continue
			}
			c.enc.FetchBegin(r.Number)
			if byUID || c.tellsUID() {
				c.enc.FetchUID(r.UID)
			}
			c.enc.FetchModSeq(uint64(r.ModSeq))
			c.enc.FetchEnd()
		}
		if err := c.flushFull(); err != nil {
			return false, err
		}
	}
	return gone, nil
}

// replyModified says which messages were left alone because they had changed.
func (c *conn) replyModified(modified imap.UIDSet, byUID bool) error {
	var set imap.NumSet = modified
	if !byUID {
		var seqs imap.SeqSet
		for part := range chunks(modified, pageSize) {
			uids, _ := part.Nums()
			for _, n := range c.session.view.Numbers(uids, nil) {
				if n > 0 {
					seqs.AddNum(n)
				}
			}
		}
		set = seqs
		if len(seqs) == 0 {
			return no("EXPUNGEISSUED", "the messages no longer exist")
		}
	}
	c.reply = func(tag string) {
		c.enc.Modified(tag, imap.StatusResponseTypeOK, set, "conditional STORE failed for some messages")
	}
	return nil
}

// mayWrite refuses changes to a mailbox that was opened with EXAMINE.
func (c *conn) mayWrite() error {
	if c.session.readOnly {
		return no("READ-ONLY", "the mailbox is open for reading only")
	}
	return nil
}
