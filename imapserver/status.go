package imapserver

import (
	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailstore"
)

// status is STATUS (RFC 9051 §6.3.11).
func (c *conn) status() error {
	args, err := c.dec.Status()
	if err != nil {
		return err
	}
	if err := c.offersStatus(&args.Items); err != nil {
		return err
	}
	if args.Items.HighestModSeq {
		c.useCondStore() // RFC 7162 §3.1.2
	}
	info, err := c.lookup(args.Mailbox)
	if err != nil {
		return err
	}
	return c.writeStatus(&args.Items, &info)
}

// writeStatus writes the STATUS response for one mailbox.
func (c *conn) writeStatus(items *imap.StatusOptions, info *mailstore.Info) error {
	n := &info.Counts
	data := imap.StatusData{
		Mailbox: info.Name, NumMessages: &n.Messages, UIDNext: n.UIDNext, UIDValidity: info.UIDValidity,
		NumUnseen: &n.Unseen, NumDeleted: &n.Deleted, Size: &n.Size, DeletedStorage: &n.DeletedSize,
		HighestModSeq: uint64(info.ModSeq),
	}
	if items.NumRecent {
		recent, err := c.recentIn(info)
		if err != nil {
			return err
		}
		data.NumRecent = &recent
	}
	if items.AppendLimit {
		limit := uint32(min(c.srv.settings.Load().AppendLimit, 1<<32-1))
		data.AppendLimit = &limit
	}
	c.enc.MailboxStatus(items, &data)
	return nil
}

// recentIn counts the messages that no session has claimed yet (RFC 3501 §6.3.10).
func (c *conn) recentIn(info *mailstore.Info) (n uint32, err error) {
	for from := info.RecentFrom; from < info.Counts.UIDNext; {
		set := imap.UIDSet{{Start: from, Stop: info.Counts.UIDNext - 1}}
		if err := c.srv.opts.Store.Page(c.srv.commands, info.ID, set, 0, pageSize, &c.page); err != nil {
			return 0, err
		}
		n += uint32(len(c.page.Rows))
		if !c.page.More {
			break
		}
		from = c.page.Rows[len(c.page.Rows)-1].UID + 1
	}
	return n, nil
}
