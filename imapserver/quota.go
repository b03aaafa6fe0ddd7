package imapserver

import (
	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/quota"
)

// getQuotaRoot is GETQUOTAROOT (RFC 9208 §4.1.2): an account has one root, for all of
// its mailboxes.
func (c *conn) getQuotaRoot() error {
	name, err := c.dec.OneMailbox()
	if err != nil {
		return err
	}
	info, err := c.lookup(name)
	if err != nil {
		return err
	}
	report, err := c.quotaReport(c.user)
	if err != nil {
		return err
	}
	if len(report.Resources) == 0 {
		c.enc.QuotaRoot(info.Name, nil)
		return nil
	}
	c.enc.QuotaRoot(info.Name, []string{report.Root})
	c.writeQuota(report)
	return nil
}

// getQuota is GETQUOTA (RFC 9208 §4.1.1).
func (c *conn) getQuota() error {
	root, err := c.dec.GetQuota()
	if err != nil {
		return err
	}
	user, err := c.quotaUser(root)
	if err != nil {
		return err
	}
	report, err := c.quotaReport(user)
	if err != nil {
		return err
	}
	if len(report.Resources) == 0 {
		// A QUOTA response has at least one resource (RFC 9208 §7).
		return no(imap.ResponseCodeNonExistent, "no limits, and so no quota root")
	}
	c.writeQuota(report)
	return nil
}

// setQuota is SETQUOTA (RFC 9208 §4.1.3), for administrators.
func (c *conn) setQuota() error {
	args, err := c.dec.SetQuota()
	if err != nil {
		return err
	}
	if !c.user.Admin {
		return no(imap.ResponseCodeNoPerm, "only administrators set quotas")
	}
	user, err := c.quotaUser(args.Root)
	if err != nil {
		return err
	}
	list := make([]quota.Limit, len(args.Limits))
	for i, l := range args.Limits {
		list[i] = quota.Limit{Name: l.Resource, Limit: l.Limit}
	}
	limits, err := quota.Limits(list)
	if err != nil {
		return err
	}
	if err := c.srv.opts.Store.SetQuota(c.srv.commands, user.Account, &limits); err != nil {
		return err
	}
	report, err := c.quotaReport(user)
	if err != nil {
		return err
	}
	c.writeQuota(report)
	return nil
}

// quotaUser returns the user whose root is called root. Only administrators learn of
// other people's.
func (c *conn) quotaUser(root string) (mailbox.User, error) {
	name, ok := quota.RootUser(root)
	if ok && name == c.user.Name {
		return c.user, nil
	}
	if !ok || !c.user.Admin {
		return mailbox.User{}, no(imap.ResponseCodeNonExistent, "no such quota root")
	}
	return c.srv.opts.Store.User(c.srv.commands, name)
}

func (c *conn) quotaReport(user mailbox.User) (quota.Report, error) {
	q, err := c.srv.opts.Store.Quota(c.srv.commands, user.Account)
	if err != nil {
		return quota.Report{}, err
	}
	return quota.NewReport(user.Name, q), nil
}

func (c *conn) writeQuota(r quota.Report) {
	if len(r.Resources) == 0 {
		return
	}
	list := make([]wire.Quota, len(r.Resources))
	for i, x := range r.Resources {
		list[i] = wire.Quota{Resource: x.Name, Usage: x.Usage, Limit: x.Limit}
	}
	c.enc.Quota(r.Root, list)
}
