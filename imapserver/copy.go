package imapserver

import "github.com/starling-mail/starling/mailstore"

func (c *conn) copy() error    { return c.copyMessages(false, false) }
func (c *conn) uidCopy() error { return c.copyMessages(true, false) }
func (c *conn) move() error    { return c.copyMessages(false, true) }
func (c *conn) uidMove() error { return c.copyMessages(true, true) }

// copyMessages is COPY and MOVE (RFC 9051 §6.4.7, §6.4.8): all messages or none.
func (c *conn) copyMessages(byUID, move bool) error {
	args, err := c.dec.Copy(byUID)
	if err != nil {
		return err
	}
	if move {
		if err := c.mayWrite(); err != nil {
			return err
		}
	}
	to, err := c.mustHave(args.Mailbox)
	if err != nil {
		return err
	}
	which, err := c.resolve(args.Set, byUID)
	if err != nil {
		return err
	}
	if err := which.expunged(); err != nil {
		return err
	}
	transfer := c.srv.opts.Store.Copy
	if move {
		transfer = c.srv.opts.Store.Move
	}
	done, err := transfer(c.srv.commands, c.session.box, to.ID, which.UIDs)
	if err != nil {
		return err
	}
	if len(done.Source) == 0 {
		return nil
	}
	if to.ID == c.session.box && done.Change != nil {
		if err := c.session.view.Reach(c.srv.commands, done.Change.ModSeq); err != nil {
			return err
		}
	}
	copyUID := !c.lacks(mailstore.UIDPlus)
	if !move {
		if !copyUID {
			return nil
		}
		c.reply = func(tag string) {
			c.enc.CopyUID(tag, done.UIDValidity, done.Source, done.Dest, "copied")
		}
		return nil
	}
	// The EXPUNGEs follow this, and the tagged OK follows them (RFC 9051 §6.4.8).
	if copyUID {
		c.enc.CopyUID("", done.UIDValidity, done.Source, done.Dest, "moved")
	}
	if err := c.session.view.Reach(c.srv.commands, done.Expunge.ModSeq); err != nil {
		return err
	}
	c.replyModSeq("moved")
	return nil
}
