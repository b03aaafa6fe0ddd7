package imapserver

import (
	"context"
	"errors"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/mailbox"
)

// A statusError is a command's answer other than OK.
type statusError struct {
	kind imap.StatusResponseType // NO or BAD
	code imap.ResponseCode       // empty: none
	text string
}

func (e *statusError) Error() string { return string(e.kind) + " " + e.text }

func no(code imap.ResponseCode, text string) error {
	return &statusError{imap.StatusResponseTypeNo, code, text}
}

func bad(text string) error {
	return &statusError{imap.StatusResponseTypeBad, "", text}
}

// A byeError ends the connection and tells the client why (RFC 9051 §7.1.5).
type byeError struct {
	code imap.ResponseCode // empty: none
	text string
}

func (e *byeError) Error() string { return "BYE " + e.text }

// errLogout ends the connection after LOGOUT, which has been answered.
var errLogout = errors.New("logout")

// codes are the response codes (RFC 9051 §7.1) for the kinds of failures that a
// client causes or may cure.
var codes = map[mailbox.Kind]imap.ResponseCode{
	mailbox.NonExistent:   "NONEXISTENT",
	mailbox.AlreadyExists: "ALREADYEXISTS",
	mailbox.OverQuota:     "OVERQUOTA",
	mailbox.TooBig:        "TOOBIG",
	mailbox.Limit:         "LIMIT",
	mailbox.Unavailable:   "UNAVAILABLE",
	mailbox.NoPerm:        "NOPERM",
	mailbox.Cannot:        "CANNOT",
	mailbox.InUse:         "INUSE",
	mailbox.Expunged:      "EXPUNGEISSUED",
	mailbox.Corrupt:       "CORRUPTION",
	mailbox.Unknown:       "UNAVAILABLE",
}

// statusFor turns a command's failure into its answer. It returns nil for errors
// that end the connection: those of the client's stream, and byeError.
func statusFor(err error) *statusError {
	if _, ok := errors.AsType[*byeError](err); ok || err == errLogout || gone(err) {
		return nil
	}
	if e, ok := errors.AsType[*statusError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*wire.SyntaxError](err); ok {
		if e.Desync {
			return nil
		}
		return &statusError{imap.StatusResponseTypeBad, "", e.Msg}
	}
	if e, ok := errors.AsType[*wire.TooBigError](err); ok {
		return &statusError{imap.StatusResponseTypeBad, "TOOBIG", e.Error()}
	}
	if e, ok := errors.AsType[*wire.BadCharsetError](err); ok {
		return &statusError{imap.StatusResponseTypeNo, "BADCHARSET (US-ASCII UTF-8)", e.Error()}
	}
	if e, ok := errors.AsType[*mailbox.Error](err); ok {
		text := e.Text
		if text == "" {
			text = e.Kind.String()
		}
		code, known := codes[e.Kind]
		if !known {
			code = "SERVERBUG"
		}
		return &statusError{imap.StatusResponseTypeNo, code, text}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &statusError{imap.StatusResponseTypeNo, imap.ResponseCodeUnavailable, "temporarily unavailable"}
	}
	return &statusError{imap.StatusResponseTypeNo, imap.ResponseCodeServerBug, "internal error"}
}

// untagged appends "* OK [code] text" or the like.
func (c *conn) untagged(kind imap.StatusResponseType, code imap.ResponseCode, text string) {
	c.enc.Status("", kind, code, text)
}

// flush writes what was collected. It blocks while the client does not take it,
// until the write timeout; so no lock may be held.
func (c *conn) flush() error {
	if len(c.enc.Buf) == 0 {
		return nil
	}
	n, err := c.stream.Write(c.enc.Buf)
	c.srv.counters.sent.Add(uint64(n))
	c.enc.Buf = c.enc.Buf[:0]
	c.spoke = time.Now()
	if err != nil {
		return &clientError{err}
	}
	return nil
}

// flushFull writes what was collected if it is much.
func (c *conn) flushFull() error {
	if len(c.enc.Buf) < writeBuffer {
		return nil
	}
	return c.flush()
}
