package imapserver

import (
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// A listed is a name that LIST may tell: a mailbox, a name subscribed to, or one that
// is there only because something is below it.
type listed struct {
	mailstore.Info
	children        bool // something is below it
	subscribedBelow bool // something below it is subscribed to
}

// names returns all names of the user's, and those above them, sorted.
func (c *conn) names() ([]listed, error) {
	infos, err := c.srv.opts.Store.List(c.srv.commands, c.user.Account)
	if err != nil {
		return nil, err
	}
	all := make(map[string]*listed, len(infos))
	for _, info := range infos {
		all[info.Name] = &listed{Info: info}
	}
	for _, info := range infos {
		for _, parent := range mailbox.Parents(info.Name) {
			p := all[parent]
			if p == nil {
				p = &listed{Info: mailstore.Info{Name: parent}}
				all[parent] = p
			}
			p.children = p.children || !info.ID.IsZero()
			p.subscribedBelow = p.subscribedBelow || info.Subscribed
		}
	}
	list := make([]listed, 0, len(all))
	for _, l := range all {
		list = append(list, *l)
	}
	slices.SortFunc(list, func(a, b listed) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// list is LIST (RFC 9051 §6.3.9) with LIST-EXTENDED, LIST-STATUS and SPECIAL-USE.
func (c *conn) list() error {
	args, err := c.dec.List()
	if err != nil {
		return err
	}
	if !args.Extended && args.Patterns[0] == "" {
		// A request for the delimiter.
		c.enc.List(&imap.ListData{Attrs: []imap.MailboxAttr{imap.MailboxAttrNoSelect}, Delim: '/'})
		return nil
	}
	if st := args.Options.ReturnStatus; st != nil {
		if err := c.offersStatus(st); err != nil {
			return err
		}
		if st.HighestModSeq {
			c.useCondStore()
		}
	}
	names, err := c.names()
	if err != nil {
		return err
	}
	wanted, err := newPatterns(args.Reference, args.Patterns)
	if err != nil {
		return err
	}
	o := &args.Options
	for i := range names {
		n := &names[i]
		if !wanted.match(n.Name) {
			continue
		}
		var child *imap.ListDataChildInfo
		if o.SelectRecursiveMatch && o.SelectSubscribed && !o.SelectSpecialUse && n.subscribedBelow {
			child = &imap.ListDataChildInfo{Subscribed: true} // RFC 5258 §4
		}
		if child == nil && !selects(o, n) {
			continue
		}
		c.enc.List(&imap.ListData{Mailbox: n.Name, Delim: '/', Attrs: attrs(o, n, args.Extended || c.enabled&rev2 != 0), ChildInfo: child})
		if o.ReturnStatus != nil && !n.ID.IsZero() {
			if err := c.writeStatus(o.ReturnStatus, &n.Info); err != nil {
				return err
			}
		}
		if err := c.flushFull(); err != nil {
			return err
		}
	}
	return nil
}

// selects reports whether the selection options let a name through (RFC 5258 §3.1).
func selects(o *imap.ListOptions, n *listed) bool {
	if o.SelectSubscribed && !n.Subscribed || o.SelectSpecialUse && len(n.SpecialUse) == 0 {
		return false
	}
	// A name that is no mailbox is told if it leads to one, or if asked for by subscription.
	return !n.ID.IsZero() || n.children || o.SelectSubscribed
}

// attrs returns the attributes of a name. Clients that do not know LIST-EXTENDED know
// \Noselect for a name that is no mailbox.
func attrs(o *imap.ListOptions, n *listed, extended bool) []imap.MailboxAttr {
	var list []imap.MailboxAttr
	switch {
	case n.ID.IsZero() && extended:
		list = append(list, imap.MailboxAttrNonExistent)
	case n.ID.IsZero():
		list = append(list, imap.MailboxAttrNoSelect)
	}
	if n.children {
		list = append(list, imap.MailboxAttrHasChildren)
	} else {
		list = append(list, imap.MailboxAttrHasNoChildren)
	}
	if n.Subscribed && (o.ReturnSubscribed || o.SelectSubscribed) {
		list = append(list, imap.MailboxAttrSubscribed)
	}
	return append(list, n.SpecialUse...)
}

// lsub is LSUB (RFC 3501 §6.3.9). A name that only leads to subscribed ones is told,
// with \Noselect, where "%" would otherwise hide them.
func (c *conn) lsub() error {
	args, err := c.dec.LSub()
	if err != nil {
		return err
	}
	if args.Patterns[0] == "" {
		c.enc.LSub(&imap.ListData{Attrs: []imap.MailboxAttr{imap.MailboxAttrNoSelect}, Delim: '/'})
		return nil
	}
	names, err := c.names()
	if err != nil {
		return err
	}
	wanted, err := newPatterns(args.Reference, args.Patterns)
	if err != nil {
		return err
	}
	byLevel := strings.HasSuffix(args.Patterns[0], "%")
	for i := range names {
		n := &names[i]
		if !wanted.match(n.Name) || !n.Subscribed && !(byLevel && n.subscribedBelow) {
			continue
		}
		data := imap.ListData{Mailbox: n.Name, Delim: '/'}
		if !n.Subscribed {
			data.Attrs = []imap.MailboxAttr{imap.MailboxAttrNoSelect}
		}
		c.enc.LSub(&data)
		if err := c.flushFull(); err != nil {
			return err
		}
	}
	return nil
}
