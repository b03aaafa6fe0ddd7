package imapserver

import (
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/tracker"
)

// pageSize is how many messages are read from the store, or told, in one go.
const pageSize = 500

// retryAfter is how long a store that could not be read is left alone.
const retryAfter = time.Second

// A session is a selected mailbox (RFC 9051 §1.2). All but idling belongs to the
// connection's owner.
type session struct {
	conn     *conn
	box      mailbox.ID
	name     string
	use      []imap.MailboxAttr // special use
	view     *tracker.View
	readOnly bool
	recent   imap.UIDSet // \Recent in this session (RFC 3501 §2.3.2)
	saved    imap.UIDSet // the result of SEARCH RETURN (SAVE): "$" (RFC 5182)

	idling atomic.Bool // news is told at once
}

// Changed wakes the connection if its client waits for news (tracker.Watcher).
func (s *session) Changed() {
	if s.idling.Load() {
		s.conn.spot.Wake()
	}
}

// unselect ends the session, if there is one.
func (c *conn) unselect() {
	if c.session == nil {
		return
	}
	c.session.view.Close()
	c.session = nil
	c.state = authenticated
}

// tell collects what has changed in the selected mailbox since the client was last
// told (P1). It fails only where the connection has to end.
func (c *conn) tell(expunges bool) error {
	s := c.session
	if s == nil {
		return nil
	}
	u := &c.update
	c.retry = time.Time{}
	// Others may change flags as fast as this client reads: what comes later waits.
	until := s.view.ModSeq()
	for {
		if err := s.view.Flush(c.srv.commands, expunges, pageSize, u); err != nil {
			// The store cannot say now. Nothing is lost: it is told later.
			c.retry = time.Now().Add(retryAfter)
			c.log(c.srv.opts.Log.Warn()).Err(err).Str("mailbox", s.name).Msg("news are held back")
			c.holdBack()
			return nil
		}
		if u.Gone != nil {
			return &byeError{text: "the selected mailbox is gone"}
		}
		if err := c.writeUpdate(u); err != nil {
			return err
		}
		if !u.More || u.ModSeq >= until {
			break
		}
	}
	if u.More && c.idle != "" {
		c.spot.Wake() // the rest in the next round, so that the client is heard between
	}
	c.holdBack()
	return nil
}

// holdBack keeps a client from asking later for what is new since the highest mod-sequence
// that it has seen, where it would miss what is withheld now (RFC 7162 §3.2), or what came while
// flags were read: one message's may have been told already, and another's of the same Change not.
func (c *conn) holdBack() {
	if c.enabled&condStore == 0 {
		return
	}
	if m := c.session.view.Tellable(); m < c.session.view.ModSeq() {
		c.highestModSeq(m)
	}
}

// writeUpdate writes one portion of news, in the order of P1.
func (c *conn) writeUpdate(u *tracker.Update) error {
	if len(u.Expunged) > 0 {
		if c.enabled&qResync != 0 {
			c.enc.Vanished(false, u.Vanished) // RFC 7162 §3.2.10
		} else {
			for _, n := range u.Expunged {
				c.enc.MailboxNumber(n, "EXPUNGE")
				if err := c.flushFull(); err != nil {
					return err
				}
			}
		}
	}
	if u.ExistsChanged {
		c.enc.MailboxNumber(u.Exists, "EXISTS")
		if err := c.tellRecent(); err != nil {
			return err
		}
	}
	if u.Keywords != nil {
		c.writeMailboxFlags(u.Keywords)
	}
	for i := range u.Flags {
		c.writeFlags(&u.Flags[i], c.tellsUID())
	}
	return c.flushFull()
}

// tellRecent claims messages that came while the mailbox is selected, and
// tells how many are recent. IMAP4rev2 has no \Recent.
func (c *conn) tellRecent() error {
	s := c.session
	if c.enabled&rev2 != 0 {
		return nil
	}
	if !s.readOnly && s.view.Unclaimed() {
		// News do not wait for the store.
		if err := c.flush(); err != nil {
			return err
		}
		s.claimRecent()
	}
	c.enc.MailboxNumber(c.countRecent(), "RECENT")
	return nil
}

// claimRecent makes what is recent this session's. A full disk must not keep anybody from
// opening a mailbox: then the messages are recent for somebody else.
func (s *session) claimRecent() {
	claimed, err := s.view.ClaimRecent(s.conn.srv.commands)
	if err != nil {
		s.conn.log(s.conn.srv.opts.Log.Warn()).Err(err).Msg("recent messages not claimed")
	}
	s.recent.AddSet(claimed)
}

// countRecent counts the recent messages that are still there.
func (c *conn) countRecent() uint32 {
	if len(c.session.recent) == 0 {
		return 0
	}
	return c.session.view.ResolveUIDs(c.session.recent).Count
}

// isRecent reports whether a message has \Recent in this session.
func (s *session) isRecent(uid imap.UID) bool {
	return len(s.recent) > 0 && s.recent.Contains(uid)
}

// writeFlags writes a FETCH response with a message's flags.
func (c *conn) writeFlags(r *tracker.FlagRow, uid bool) {
	c.enc.FetchBegin(r.Number)
	if uid {
		c.enc.FetchUID(r.UID)
	}
	c.writeFlagItems(r.UID, r.Flags, r.ModSeq)
	c.enc.FetchEnd()
}

// writeFlagItems writes FLAGS and, for clients that know it, MODSEQ.
func (c *conn) writeFlagItems(uid imap.UID, flags mailbox.Flags, modSeq mailbox.ModSeq) {
	c.writeFlagList(uid, flags)
	if c.enabled&condStore != 0 {
		c.enc.FetchModSeq(uint64(modSeq))
	}
}

// writeFlagList writes the FLAGS item, with \Recent where that is due.
func (c *conn) writeFlagList(uid imap.UID, flags mailbox.Flags) {
	c.enc.FetchItem("FLAGS")
	c.enc.Raw("(")
	start := len(c.enc.Buf)
	c.enc.Buf = flags.Append(c.enc.Buf)
	if c.session.isRecent(uid) {
		if len(c.enc.Buf) > start {
			c.enc.SP()
		}
		c.enc.Raw(string(wire.FlagRecent))
	}
	c.enc.Raw(")")
}

// resolved are the messages that a command is about.
type resolved struct {
	tracker.Resolved
	byUID bool
}

// expunged is the answer to a command with sequence numbers some of whose messages
// are gone although the client has not been told yet.
func (r resolved) expunged() error {
	if r.byUID || len(r.Gone) == 0 {
		return nil
	}
	return no("EXPUNGEISSUED", "some of the messages no longer exist")
}

// resolve turns a set of a command into UIDs, once, at the command's start.
func (c *conn) resolve(set imap.NumSet, byUID bool) (resolved, error) {
	view := c.session.view
	if imap.IsSearchRes(set) {
		return resolved{view.ResolveUIDs(c.session.saved), true}, nil
	}
	switch set := set.(type) {
	case imap.UIDSet:
		return resolved{view.ResolveUIDs(set), true}, nil
	case imap.SeqSet:
		r, err := view.Resolve(set)
		if n, _ := view.Told(); err != nil && n == 0 && set.Dynamic() {
			// "1:*" in an empty mailbox is a mistake (RFC 9051 §9, seq-number), which so
			// many clients make that they are understood.
			err = nil
		}
		if err != nil {
			return resolved{}, bad("no message has that number")
		}
		return resolved{r, byUID}, nil
	}
	return resolved{}, bad("not a set of messages")
}

// chunks cuts a set into sets of at most n UIDs. The set must be static, and each
// UID in it must stand for a message, so that its size is bounded.
func chunks(set imap.UIDSet, n uint32) func(yield func(imap.UIDSet) bool) {
	return func(yield func(imap.UIDSet) bool) {
		var chunk imap.UIDSet
		room := n
		for _, r := range set {
			for r.Start <= r.Stop {
				size := min(uint32(r.Stop-r.Start)+1, room)
				chunk = append(chunk, imap.UIDRange{Start: r.Start, Stop: r.Start + imap.UID(size) - 1})
				if room -= size; room == 0 {
					if !yield(chunk) {
						return
					}
					chunk, room = nil, n
				}
				if r.Start+imap.UID(size) < r.Start { // the last UID there can be
					break
				}
				r.Start += imap.UID(size)
			}
		}
		if len(chunk) > 0 {
			yield(chunk)
		}
	}
}

// eachRow reads uids of the selected mailbox page by page and calls do for each message that
// is there. The view has reached what was read before do sees any of it. A row is valid during the call.
func (c *conn) eachRow(uids imap.UIDSet, fields mailstore.Fields, do func(*mailstore.Row) error) error {
	s := c.session
	for len(uids) > 0 {
		if err := c.srv.opts.Store.Page(c.srv.commands, s.box, uids, fields, pageSize, &c.page); err != nil {
			return err
		}
		if err := s.view.Reach(c.srv.commands, c.page.ModSeq); err != nil {
			return err
		}
		if len(c.page.Rows) == 0 {
			return nil
		}
		for i := range c.page.Rows {
			if err := do(&c.page.Rows[i]); err != nil {
				return err
			}
		}
		if !c.page.More {
			return nil
		}
		last := c.page.Rows[len(c.page.Rows)-1].UID
		uids = intersect(uids, imap.UIDSet{{Start: last + 1, Stop: maxUID}})
	}
	return nil
}
