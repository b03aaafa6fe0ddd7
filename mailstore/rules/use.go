package rules

import (
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// specialUses are those that a mailbox can be made with (RFC 6154, RFC 8457).
// \All and \Flagged would be views of other mailboxes, which no store has.
var specialUses = [...]imap.MailboxAttr{imap.MailboxAttrArchive, imap.MailboxAttrDrafts, imap.MailboxAttrImportant,
	imap.MailboxAttrJunk, imap.MailboxAttrSent, imap.MailboxAttrTrash}

// CheckUse returns the special uses in their usual spelling, without repeats,
// or an error of kind Cannot that says why they cannot be given beside those that are taken.
func CheckUse(op string, use, taken []imap.MailboxAttr) (list []imap.MailboxAttr, err error) {
	for _, u := range use {
		i := slices.IndexFunc(specialUses[:], func(s imap.MailboxAttr) bool { return strings.EqualFold(string(s), string(u)) })
		if i < 0 {
			return nil, &mailbox.Error{Kind: mailbox.Cannot, Op: op, Text: "no such special use"}
		}
		if slices.Contains(taken, specialUses[i]) {
			return nil, &mailbox.Error{Kind: mailbox.Cannot, Op: op, Text: "another mailbox has that special use"}
		}
		if !slices.Contains(list, specialUses[i]) {
			list = append(list, specialUses[i])
		}
	}
	return list, nil
}

// FormatUse writes special uses as ParseUse reads them.
func FormatUse(use []imap.MailboxAttr) string {
	words := make([]string, len(use))
	for i, u := range use {
		words[i] = string(u)
	}
	return strings.Join(words, " ")
}

// ParseUse reads special uses that are separated by spaces.
func ParseUse(s string) (use []imap.MailboxAttr) {
	for attr := range strings.FieldsSeq(s) {
		use = append(use, imap.MailboxAttr(attr))
	}
	return use
}
