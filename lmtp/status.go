package lmtp

import (
	"errors"

	"github.com/emersion/go-smtp"

	"github.com/starling-mail/starling/mailbox"
)

// status turns an error into the reply for one recipient (RFC 5321 §4.2, RFC
// 3463). What is not known to be for good is for a time: the sender keeps the mail.
func (s *Server) status(err error) error {
	if err == nil {
		return nil
	}
	if reply, ok := errors.AsType[*smtp.SMTPError](err); ok {
		return reply // go-smtp's own, from reading the message
	}
	switch mailbox.KindOf(err) {
	case mailbox.NonExistent:
		return reply(550, 5, 1, 1, "no such user here")
	case mailbox.NoPerm:
		return reply(450, 4, 2, 1, "mailbox is disabled, try again later")
	case mailbox.OverQuota:
		if s.o.OverQuotaPermanent {
			return reply(552, 5, 2, 2, "mailbox is full")
		}
		return reply(452, 4, 2, 2, "mailbox is full, try again later")
	case mailbox.TooBig:
		return reply(552, 5, 3, 4, "message is too big")
	case mailbox.Limit:
		return reply(452, 4, 3, 1, "limit reached, try again later")
	case mailbox.Cannot:
		return reply(553, 5, 1, 3, "not an address that mail can be delivered to")
	}
	return reply(451, 4, 3, 0, "temporary failure, try again later")
}

func reply(code, class, subject, detail int, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{class, subject, detail}, Message: text}
}
