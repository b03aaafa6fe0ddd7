package imapserver

import (
	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// create is CREATE (RFC 9051 §6.3.4, RFC 6154 §3).
func (c *conn) create() error {
	args, err := c.dec.Create()
	if err != nil {
		return err
	}
	if err := c.offers(mailstore.SpecialUse, len(args.SpecialUse) > 0); err != nil {
		return err
	}
	name := mailbox.CanonicalName(args.Mailbox)
	if err := mailbox.CheckName(name); err != nil {
		return err
	}
	_, err = c.srv.opts.Store.Create(c.srv.commands, c.user.Account, name, args.SpecialUse)
	if err != nil && len(args.SpecialUse) > 0 && mailbox.KindOf(err) == mailbox.Cannot {
		return no("USEATTR", "that special use cannot be given") // RFC 6154 §3
	}
	return err
}

// delete is DELETE (RFC 9051 §6.3.5).
func (c *conn) delete() error {
	name, err := c.dec.OneMailbox()
	if err != nil {
		return err
	}
	info, err := c.lookup(name)
	if err != nil {
		return err
	}
	if err := c.srv.opts.Store.Delete(c.srv.commands, c.user.Account, info.Name); err != nil {
		return err
	}
	if c.session != nil && c.session.box == info.ID {
		// The client's own session ends in peace, not with BYE.
		c.unselect()
		c.untagged(imap.StatusResponseTypeOK, "CLOSED", "the selected mailbox was deleted")
	}
	return nil
}

// rename is RENAME (RFC 9051 §6.3.6).
func (c *conn) rename() error {
	from, to, err := c.dec.Rename()
	if err != nil {
		return err
	}
	from, to = mailbox.CanonicalName(from), mailbox.CanonicalName(to)
	if err := mailbox.CheckName(to); err != nil {
		return err
	}
	if err := c.srv.opts.Store.Rename(c.srv.commands, c.user.Account, from, to); err != nil {
		return err
	}
	if c.session != nil && c.session.name == from && from != mailbox.Inbox {
		c.session.name = to
	}
	return nil
}

func (c *conn) subscribe() error   { return c.setSubscribed(true) }
func (c *conn) unsubscribe() error { return c.setSubscribed(false) }

// setSubscribed is SUBSCRIBE and UNSUBSCRIBE (RFC 9051 §6.3.7, §6.3.8). The mailbox need
// not exist.
func (c *conn) setSubscribed(on bool) error {
	name, err := c.dec.OneMailbox()
	if err != nil {
		return err
	}
	name = mailbox.CanonicalName(name)
	if err := mailbox.CheckName(name); err != nil && on {
		return err
	}
	return c.srv.opts.Store.Subscribe(c.srv.commands, c.user.Account, name, on)
}

// namespace is NAMESPACE (RFC 9051 §6.3.10): everybody has their own mailboxes only.
func (c *conn) namespace() error {
	if err := c.dec.End(); err != nil {
		return err
	}
	c.enc.Namespace(&imap.NamespaceData{Personal: []imap.NamespaceDescriptor{{Prefix: "", Delim: '/'}}})
	return nil
}
