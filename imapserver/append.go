package imapserver

import (
	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// append is APPEND (RFC 9051 §6.3.12). Whatever can be refused is refused before the
// message's bytes are asked for.
func (c *conn) append() error {
	args, err := c.dec.Append()
	if err != nil {
		return err
	}
	if args.UTF8 && !c.dec.UTF8 {
		return bad("enable UTF8=ACCEPT first") // RFC 6855 §4
	}
	if err := c.offers(mailstore.Binary, args.Message.Binary && !args.UTF8); err != nil {
		return err
	}
	if err := checkFlags(args.Flags); err != nil {
		return err
	}
	box, err := c.mustHave(args.Mailbox)
	if err != nil {
		return err
	}
	if err := c.mayAppend(args.Message); err != nil {
		return err
	}
	if err := args.Message.Accept(); err != nil {
		return err
	}
	draft, err := c.srv.opts.Store.Receive(c.srv.commands, args.Message, args.Message.Size)
	if err != nil {
		return err
	}
	defer draft.Discard()
	if err := c.dec.AppendEnd(args); err != nil {
		return err
	}
	done, err := c.srv.opts.Store.Append(c.srv.commands, box.ID, []mailstore.Incoming{
		{Draft: draft, Flags: mailbox.NewFlags(args.Flags...), Received: args.Date},
	})
	if err != nil {
		return err
	}
	if c.session != nil && c.session.box == box.ID && done.Change != nil {
		if err := c.session.view.Reach(c.srv.commands, done.Change.ModSeq); err != nil {
			return err
		}
	}
	if !c.lacks(mailstore.UIDPlus) {
		c.reply = func(tag string) {
			c.enc.AppendUID(tag, done.UIDValidity, done.New(), "APPEND completed")
		}
	}
	return nil
}

// mayAppend refuses a message that is too large, or that the quota has no room for.
func (c *conn) mayAppend(m *wire.Literal) error {
	if m.Size == 0 {
		return no(imap.ResponseCodeCannot, "a message cannot be empty")
	}
	if limit := c.srv.settings.Load().AppendLimit; m.Size > limit {
		return no(imap.ResponseCodeTooBig, "the message is larger than this server takes") // RFC 7889 §4
	}
	q, err := c.srv.opts.Store.Quota(c.srv.commands, c.user.Account)
	if err != nil {
		return err
	}
	if !q.Limits.Fits(q.Usage, mailbox.QuotaUsage{Storage: m.Size, Messages: 1}) {
		return no(imap.ResponseCodeOverQuota, "the mailbox is full")
	}
	return nil
}
