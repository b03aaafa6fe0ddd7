package imapserver

import (
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/tracker"
)

func (c *conn) selectMailbox() error { return c.selectOrExamine(false) }
func (c *conn) examine() error       { return c.selectOrExamine(true) }

// selectOrExamine is SELECT or EXAMINE (RFC 9051 §6.3.2, §6.3.3). A failed one
// leaves no mailbox selected.
func (c *conn) selectOrExamine(readOnly bool) error {
	args, err := c.dec.Select()
	if err != nil {
		return err
	}
	if err := c.offers(mailstore.ModSeqs, args.CondStore || args.QResync != nil); err != nil {
		return err
	}
	if args.QResync != nil && c.enabled&qResync == 0 {
		return bad("enable QRESYNC first") // RFC 7162 §3.2.5
	}
	if c.session != nil {
		c.unselect()
		c.untagged(imap.StatusResponseTypeOK, "CLOSED", "previous mailbox closed") // RFC 9051 §7.1
	}
	if args.CondStore || args.QResync != nil {
		c.enabled |= condStore // told below
	}
	info, err := c.lookup(args.Mailbox)
	if err != nil {
		return err
	}
	s := &session{conn: c, box: info.ID, name: info.Name, use: info.SpecialUse, readOnly: readOnly}
	if s.view, err = c.srv.opts.Trackers.Open(c.srv.commands, info.ID, s); err != nil {
		return err
	}
	c.session, c.state = s, selected
	if args.QResync != nil {
		// The client may know more than this node yet, from another one. A message that it knows must not come to it as a new one, whose
		// flags need no telling. If the store does not know either, or cannot be asked, that shows below.
		if err := s.view.Reach(c.srv.commands, mailbox.ModSeq(args.QResync.ModSeq)); err != nil {
			c.log(c.srv.opts.Log.Debug()).Err(err).Msg("a client knows more than this node")
		}
	}
	is := s.view.Select()
	var m missed
	if args.QResync != nil {
		// Before anything is told: a client that hears of a HIGHESTMODSEQ might go by it even if SELECT fails.
		if m, err = c.missed(args.QResync, is.UIDValidity); err != nil {
			c.unselect()
			return err
		}
	}
	c.describe(is)
	if err := c.resync(m); err != nil {
		c.unselect()
		return err
	}
	c.reply = func(tag string) {
		if readOnly {
			c.enc.Status(tag, imap.StatusResponseTypeOK, "READ-ONLY", "EXAMINE completed")
		} else {
			c.enc.Status(tag, imap.StatusResponseTypeOK, "READ-WRITE", "SELECT completed")
		}
	}
	return nil
}

// describe writes what SELECT reports of a mailbox.
func (c *conn) describe(is tracker.Selected) {
	s := c.session
	c.writeMailboxFlags(is.Keywords)
	c.enc.MailboxNumber(is.Messages, "EXISTS")
	if c.enabled&rev2 == 0 {
		switch {
		case s.readOnly: // sees what is recent, and leaves it to others
			if from := max(is.Recent, 1); is.UIDNext > from {
				s.recent = imap.UIDSet{{Start: from, Stop: is.UIDNext - 1}}
			}
		default:
			s.claimRecent()
		}
		c.enc.MailboxNumber(c.countRecent(), "RECENT")
		if is.FirstUnseen > 0 {
			c.enc.NumberCode("", imap.StatusResponseTypeOK, "UNSEEN", uint64(is.FirstUnseen), "first unseen message")
		}
	} else {
		c.enc.List(&imap.ListData{Mailbox: s.name, Delim: '/', Attrs: s.use}) // RFC 9051 §6.3.2
	}
	c.enc.NumberCode("", imap.StatusResponseTypeOK, "UIDVALIDITY", uint64(is.UIDValidity), "UIDs valid")
	c.enc.NumberCode("", imap.StatusResponseTypeOK, "UIDNEXT", uint64(is.UIDNext), "next UID")
	if c.lacks(mailstore.ModSeqs) {
		c.untagged(imap.StatusResponseTypeOK, "NOMODSEQ", "no mod-sequences here") // RFC 7162 §3.1.2.2
		return
	}
	c.highestModSeq(is.ModSeq)
}

// systemFlags are those that can be stored, in the order in which they are told.
var systemFlags = []imap.Flag{imap.FlagAnswered, imap.FlagFlagged, imap.FlagDeleted, imap.FlagSeen, imap.FlagDraft}

// writeMailboxFlags writes FLAGS and PERMANENTFLAGS (RFC 9051 §7.3.5, §7.1).
func (c *conn) writeMailboxFlags(keywords []string) {
	flags := make([]imap.Flag, 0, len(systemFlags)+len(keywords)+1)
	flags = append(flags, systemFlags...)
	for _, k := range keywords {
		flags = append(flags, imap.Flag(k))
	}
	c.enc.MailboxFlags(flags)
	switch {
	case c.session.readOnly:
		c.enc.PermanentFlags(nil, "read-only")
	case len(keywords) >= c.srv.settings.Load().MaxKeywords:
		c.enc.PermanentFlags(flags, "flags that are kept; there is no room for more keywords")
	default:
		c.enc.PermanentFlags(append(flags, imap.FlagWildcard), "flags that are kept")
	}
}

// close is CLOSE (RFC 9051 §6.4.1): messages with \Deleted go without a word.
func (c *conn) close() error {
	if err := c.dec.End(); err != nil {
		return err
	}
	if !c.session.readOnly {
		if _, err := c.expungeDeleted(allUIDs); err != nil {
			return err
		}
	}
	c.unselect()
	return nil
}

// unselectCommand is UNSELECT (RFC 9051 §6.4.2).
func (c *conn) unselectCommand() error {
	if err := c.dec.End(); err != nil {
		return err
	}
	c.unselect()
	return nil
}

// lookup finds a mailbox of the user's.
func (c *conn) lookup(name string) (mailstore.Info, error) {
	return c.srv.opts.Store.Lookup(c.srv.commands, c.user.Account, mailbox.CanonicalName(name))
}

// mustHave is lookup for the destination of a message: where there is no such
// mailbox, the client is told that it may create it (RFC 9051 §7.1, TRYCREATE).
func (c *conn) mustHave(name string) (mailstore.Info, error) {
	info, err := c.lookup(name)
	if mailbox.KindOf(err) == mailbox.NonExistent && !strings.EqualFold(name, mailbox.Inbox) {
		err = no(imap.ResponseCodeTryCreate, "no such mailbox")
	}
	return info, err
}
