package imapserver

import (
	"slices"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailstore"
)

// extension is a set of what a client has asked for with ENABLE, or by using it.
type extension uint8

const (
	condStore  extension = 1 << iota // RFC 7162 §3.1: FETCH responses carry MODSEQ
	qResync                          // RFC 7162 §3.2: VANISHED instead of EXPUNGE
	utf8Accept                       // RFC 6855
	rev2                             // RFC 9051
)

// offered is what is offered after login, by what it needs.
var offered = []struct {
	needs mailstore.Ability
	caps  []imap.Cap
}{
	{0, []imap.Cap{"IDLE", "NAMESPACE", "CHILDREN", "UNSELECT"}},
	{mailstore.UIDPlus, []imap.Cap{"UIDPLUS"}},
	{mailstore.Moving, []imap.Cap{"MOVE"}},
	{0, []imap.Cap{"LIST-EXTENDED", "LIST-STATUS", "SPECIAL-USE"}},
	{mailstore.SpecialUse, []imap.Cap{"CREATE-SPECIAL-USE"}},
	{mailstore.Sizes, []imap.Cap{"STATUS=SIZE"}},
	{0, []imap.Cap{"ESEARCH", "SEARCHRES"}},
	{mailstore.Binary, []imap.Cap{"BINARY"}},
	{mailstore.ModSeqs, []imap.Cap{"CONDSTORE", "QRESYNC"}},
	{0, []imap.Cap{"UTF8=ACCEPT"}},
	{mailstore.QuotaRoots, []imap.Cap{"QUOTA", "QUOTA=RES-STORAGE", "QUOTA=RES-MESSAGE"}},
}

// capabilities are what is offered in this state (RFC 9051 §6.1.1).
func (c *conn) capabilities() []imap.Cap {
	caps := []imap.Cap{"IMAP4rev1", "IMAP4rev2", "ID", "SASL-IR", "LITERAL+", "ENABLE"}
	if c.lacks(mailstore.Rev2) {
		caps = slices.Delete(caps, 1, 2)
	}
	if c.state == notAuthenticated {
		if c.mayStartTLS() {
			caps = append(caps, "STARTTLS")
		}
		if c.mayLogin() {
			for _, m := range c.srv.opts.Auth.Mechanisms() {
				caps = append(caps, imap.Cap("AUTH="+m))
			}
			return caps
		}
		return append(caps, "LOGINDISABLED")
	}
	for _, o := range offered {
		if !c.lacks(o.needs) {
			caps = append(caps, o.caps...)
		}
	}
	caps = append(caps, imap.Cap("APPENDLIMIT="+strconv.FormatInt(c.srv.settings.Load().AppendLimit, 10)))
	if c.user.Admin && !c.lacks(mailstore.QuotaRoots) {
		caps = append(caps, "QUOTASET") // RFC 9208 §4.1.3
	}
	if c.mayCompress() {
		caps = append(caps, "COMPRESS=DEFLATE")
	}
	return caps
}

func (c *conn) capability() error {
	if err := c.dec.End(); err != nil {
		return err
	}
	c.enc.Raw("* ")
	c.enc.Capability(c.capabilities())
	c.enc.CRLF()
	return nil
}

// enable is ENABLE (RFC 9051 §6.3.1). What is not known is passed over.
func (c *conn) enable() error {
	names, err := c.dec.Enable()
	if err != nil {
		return err
	}
	var now []string
	for _, name := range names {
		var bits extension
		var needs mailstore.Ability
		switch name {
		case "CONDSTORE":
			bits, needs = condStore, mailstore.ModSeqs
		case "QRESYNC":
			bits, needs = qResync|condStore, mailstore.ModSeqs // RFC 7162 §3.2.3
		case "UTF8=ACCEPT":
			bits = utf8Accept
		case "IMAP4REV2":
			bits, needs, name = rev2, mailstore.Rev2, "IMAP4rev2"
		}
		if bits != 0 && !c.lacks(needs) {
			if bits&condStore != 0 {
				c.useCondStore()
			}
			c.enabled |= bits
			now = append(now, name) // also what was on already
		}
	}
	c.tune()
	c.enc.Raw("* ENABLED")
	if len(now) > 0 {
		c.enc.Raw(" " + strings.Join(now, " "))
	}
	c.enc.CRLF()
	return nil
}

// id is ID (RFC 2971). What clients tell goes to the log, for whoever has to find
// out which of them misbehaves.
func (c *conn) id() error {
	fields, err := c.dec.ID()
	if err != nil {
		return err
	}
	if e := c.log(c.srv.opts.Log.Debug()); e.Enabled() {
		for _, f := range fields {
			e = e.Str("id_"+f.Name, f.Value)
		}
		e.Msg("client identified itself")
	}
	c.enc.ID(c.srv.opts.ID)
	return nil
}

// noop is NOOP, and CHECK: there is nothing to do for it. What is new is told at
// the end of every command.
func (c *conn) noop() error { return c.dec.End() }

func (c *conn) logout() error {
	if err := c.dec.End(); err != nil {
		return err
	}
	c.unselect() // there is nothing to tell any more
	c.untagged(imap.StatusResponseTypeBye, "", "logging out")
	c.after = func(c *conn) error {
		_ = c.flush()
		return errLogout
	}
	return nil
}
