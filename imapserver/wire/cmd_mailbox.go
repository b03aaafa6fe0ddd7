package wire

import (
	"strings"

	"github.com/emersion/go-imap/v2"
)

// OneMailbox reads the arguments of a command that has a mailbox name and
// nothing else: DELETE, SUBSCRIBE, UNSUBSCRIBE, GETQUOTAROOT.
func (d *Decoder) OneMailbox() (string, error) {
	name, err := d.spMailbox()
	if err != nil {
		return "", err
	}
	return name, d.End()
}

func (d *Decoder) spMailbox() (string, error) {
	if err := d.SP(); err != nil {
		return "", err
	}
	return d.Mailbox()
}

// Rename reads the arguments of RENAME (RFC 9051 §6.3.6).
func (d *Decoder) Rename() (from, to string, err error) {
	if from, err = d.spMailbox(); err != nil {
		return "", "", err
	}
	if to, err = d.spMailbox(); err != nil {
		return "", "", err
	}
	return from, to, d.End()
}

// A Create is the argument list of CREATE (RFC 9051 §6.3.4).
type Create struct {
	Mailbox    string
	SpecialUse []imap.MailboxAttr // CREATE-SPECIAL-USE (RFC 6154 §3)
}

// Create reads the arguments of CREATE.
func (d *Decoder) Create() (Create, error) {
	var c Create
	var err error
	if c.Mailbox, err = d.spMailbox(); err != nil {
		return c, err
	}
	if d.accept(' ') {
		err = d.list(false, func() error {
			name, err := d.keyword()
			if err != nil {
				return err
			}
			if name != "USE" || c.SpecialUse != nil {
				return syntax("unknown CREATE parameter")
			}
			if err := d.SP(); err != nil {
				return err
			}
			c.SpecialUse = []imap.MailboxAttr{}
			return d.list(true, func() error {
				attr, err := d.useAttr()
				if err != nil {
					return err
				}
				if len(c.SpecialUse) == maxUseAttrs {
					return syntax("too many special-use attributes")
				}
				c.SpecialUse = append(c.SpecialUse, attr)
				return nil
			})
		})
		if err != nil {
			return c, err
		}
	}
	return c, d.End()
}

// maxUseAttrs bounds a list of special uses, of which eight exist.
const maxUseAttrs = 32

// useAttr reads a special use. Known ones come back in the spelling of RFC
// 6154 §2; others as they are, and the caller answers NO [USEATTR].
func (d *Decoder) useAttr() (imap.MailboxAttr, error) {
	start := d.pos
	if !d.accept('\\') || len(d.take(isAtomChar)) == 0 {
		return "", syntax("expected a special-use attribute")
	}
	name := string(d.seg[start:d.pos])
	for _, a := range [...]imap.MailboxAttr{
		imap.MailboxAttrAll, imap.MailboxAttrArchive, imap.MailboxAttrDrafts, imap.MailboxAttrFlagged,
		imap.MailboxAttrJunk, imap.MailboxAttrSent, imap.MailboxAttrTrash, imap.MailboxAttrImportant,
	} {
		if strings.EqualFold(string(a), name) {
			return a, nil
		}
	}
	return imap.MailboxAttr(name), nil
}
