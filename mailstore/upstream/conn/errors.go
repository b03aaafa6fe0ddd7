package conn

import (
	"errors"
	"fmt"

	"github.com/emersion/go-imap/v2"
)

// ErrClosed is the reason in a *NetworkError after Close or Logout.
var ErrClosed = errors.New("connection is closed")

// A StatusError is a server's NO or BAD to a command (RFC 9051 §7.1.2, §7.1.3). Nothing
// else is wrong: the connection goes on.
type StatusError struct {
	Command string // such as "UID FETCH"; never its arguments
	Type    imap.StatusResponseType
	Code    imap.ResponseCode // upper case, such as NONEXISTENT, TRYCREATE, OVERQUOTA; empty if there was none
	Text    string            // the server's, for people; at most 1 KiB
}

func (e *StatusError) Error() string {
	if e.Code != "" {
		return fmt.Sprintf("%s: server says %s [%s] %q", e.Command, e.Type, e.Code, e.Text)
	}
	return fmt.Sprintf("%s: server says %s %q", e.Command, e.Type, e.Text)
}

// A ByeError is a server's BYE (RFC 9051 §7.1.5): the connection has ended.
type ByeError struct {
	Code imap.ResponseCode // as in StatusError
	Text string
}

func (e *ByeError) Error() string {
	if e.Code != "" {
		return fmt.Sprintf("server says BYE [%s] %q", e.Code, e.Text)
	}
	return fmt.Sprintf("server says BYE %q", e.Text)
}

// A ProtocolError is a response that does not follow the grammar, comes where it cannot, or
// passes a limit. The connection has ended.
type ProtocolError struct {
	Msg string // holds nothing that the server sent
}

func (e *ProtocolError) Error() string { return "server broke the protocol: " + e.Msg }

// A NetworkError is a connection that could not be made or has ended. Err may be a
// time-out (os.ErrDeadlineExceeded), the cause of a context that ended, io.EOF, ErrClosed.
type NetworkError struct {
	Op  string // "dial", "TLS", "read", "write" or "close"
	Err error
}

func (e *NetworkError) Error() string { return e.Op + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *NetworkError) Unwrap() error { return e.Err }

// CodeOf returns the response code of the NO, BAD or BYE in err's tree, or "".
func CodeOf(err error) imap.ResponseCode {
	if e, ok := errors.AsType[*StatusError](err); ok {
		return e.Code
	}
	if e, ok := errors.AsType[*ByeError](err); ok {
		return e.Code
	}
	return ""
}
