package imapserver

import (
	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// lacks reports whether the mailboxes of the client's account cannot do all of a. Before login
// it goes by what the accounts of the Server have in common.
func (c *conn) lacks(a mailstore.Ability) bool { return c.traits.Lacks&a != 0 }

// errUnknown is what a client gets for what it has not been offered.
var errUnknown = bad("unknown command, item or argument")

// offers returns errUnknown if a command uses something, used, for which a is needed.
func (c *conn) offers(a mailstore.Ability, used bool) error {
	if used && c.lacks(a) {
		return errUnknown
	}
	return nil
}

// offersItems is offers for the items of a FETCH.
func (c *conn) offersItems(items *wire.FetchItems) error {
	if c.traits.Lacks == 0 {
		return nil
	}
	binary := false
	for i := range items.Sections {
		k := items.Sections[i].Kind
		binary = binary || k == wire.SectionBinary || k == wire.SectionBinarySize
	}
	var uses mailstore.Ability
	for _, item := range []struct {
		wanted bool
		needs  mailstore.Ability
	}{
		{items.ModSeq, mailstore.ModSeqs},
		{items.EmailID || items.ThreadID, mailstore.ObjectIDs},
		{items.SaveDate, mailstore.SaveDates},
		{binary, mailstore.Binary},
	} {
		if item.wanted {
			uses |= item.needs
		}
	}
	return c.offers(uses, true)
}

// offersStatus is offers for the items of a STATUS.
func (c *conn) offersStatus(o *imap.StatusOptions) error {
	if err := c.offers(mailstore.ModSeqs, o.HighestModSeq); err != nil {
		return err
	}
	return c.offers(mailstore.Sizes, o.Size || o.NumDeleted || o.DeletedStorage)
}

// own keeps a Change that this session has made from being told as news. If it says more than what was done to
// uids, which the client is told otherwise, all of it is news.
func (s *session) own(change *mailbox.Change, uids imap.UIDSet) bool {
	if len(subtract(changedBy(change), uids)) > 0 {
		return false
	}
	s.view.Own(change.ModSeq)
	return true
}

// endLogin says that the client is no longer logged in.
func (c *conn) endLogin(account mailbox.AccountID) {
	if s, ok := c.srv.opts.Store.(mailstore.Sessions); ok {
		s.EndSession(account)
	}
}
