package lmtp

import (
	"context"
	"io"
	"strings"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// A recipient is one whom mail can be delivered to.
type recipient struct {
	address string // as the sender wrote it
	user    mailbox.User
	detail  string
}

// resolve finds the user whom an address means. Kinds: NonExistent; NoPerm
// where the user is disabled; Cannot where the address cannot be anybody's.
func (s *Server) resolve(ctx context.Context, address string) (recipient, error) {
	if hasControl(address) {
		return recipient{}, &mailbox.Error{Kind: mailbox.Cannot, Op: "recipient", Text: "address has a control character"}
	}
	candidates, err := s.o.Names.Recipients(address)
	if err != nil {
		return recipient{}, err
	}
	for _, c := range candidates {
		u, err := s.o.Store.User(ctx, c.Name)
		switch {
		case mailbox.KindOf(err) == mailbox.NonExistent:
			continue
		case err != nil:
			return recipient{}, err
		case u.Disabled:
			return recipient{}, &mailbox.Error{Kind: mailbox.NoPerm, Op: "recipient", Text: "user is disabled"}
		}
		return recipient{address: address, user: u, detail: c.Detail}, nil
	}
	return recipient{}, &mailbox.Error{Kind: mailbox.NonExistent, Op: "recipient", Text: "no such user"}
}

// A mail is a message with its envelope.
type mail struct {
	trace trace
	spool *spool
}

// deliver appends m for one recipient.
func (s *Server) deliver(ctx context.Context, m mail, to recipient) error {
	header := m.trace.header(to.address)
	draft, err := s.o.Store.Receive(ctx, io.MultiReader(strings.NewReader(header), m.spool.reader()), int64(len(header))+m.spool.size)
	if err != nil {
		return err
	}
	defer draft.Discard()
	box, err := s.target(ctx, to)
	if err != nil {
		return err
	}
	appended, err := s.o.Store.Append(ctx, box.ID, []mailstore.Incoming{{Draft: draft}})
	if mailbox.KindOf(err) == mailbox.NonExistent && box.Name != mailbox.Inbox {
		// The mailbox of the detail has just gone.
		if box, err = s.o.Store.Lookup(ctx, to.user.Account, mailbox.Inbox); err == nil {
			appended, err = s.o.Store.Append(ctx, box.ID, []mailstore.Incoming{{Draft: draft}})
		}
	}
	if err != nil {
		return err
	}
	s.o.Log.Info().Str("id", m.trace.id).Str("user", to.user.Name).Str("mailbox", box.Name).
		Str("uid", appended.Change.Added.String()).Int64("size", draft.Size()).Str("from", m.trace.from).Msg("mail delivered")
	return nil
}

// target returns the mailbox that mail for the recipient goes into: the one
// called as the detail is, exactly or, if it is the only one, but for case
// (addresses lose theirs on the way); otherwise INBOX.
func (s *Server) target(ctx context.Context, to recipient) (mailstore.Info, error) {
	inbox := func() (mailstore.Info, error) { return s.o.Store.Lookup(ctx, to.user.Account, mailbox.Inbox) }
	name := mailbox.CanonicalName(to.detail)
	if s.o.IgnoreDetail || mailbox.CheckName(name) != nil {
		return inbox()
	}
	box, err := s.o.Store.Lookup(ctx, to.user.Account, name)
	if mailbox.KindOf(err) != mailbox.NonExistent {
		return box, err
	}
	all, err := s.o.Store.List(ctx, to.user.Account)
	if err != nil {
		return mailstore.Info{}, err
	}
	var found []mailstore.Info
	for _, b := range all {
		if !b.ID.IsZero() && strings.EqualFold(b.Name, name) {
			found = append(found, b)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return inbox()
}

// Deliver delivers the message in r to the user with that name or address,
// which may have a detail. from is the envelope's sender, empty for none. Lines may end in
// LF. Errors are of the kinds NonExistent, NoPerm (disabled), OverQuota, TooBig,
// Cannot (an address that cannot be one), or the store's.
func (s *Server) Deliver(ctx context.Context, to, from string, r io.Reader) (err error) {
	defer func() { s.answered(err) }()
	if hasControl(from) {
		return &mailbox.Error{Kind: mailbox.Cannot, Op: "sender", Text: "address has a control character"}
	}
	rcpt, err := s.resolve(ctx, to)
	if err != nil {
		return err
	}
	m := mail{trace: s.newTrace(from, "", nil), spool: new(spool)}
	defer m.spool.close()
	if err := m.spool.receive(r, s.o.MaxMessage, s.o.TempDir); err != nil {
		return err
	}
	s.took(m.spool.size)
	return s.deliver(ctx, m, rcpt)
}
