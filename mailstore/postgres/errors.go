package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/starling-mail/starling/mailbox"
)

// SQLSTATEs that are treated in a way of their own (PostgreSQL, appendix A).
const (
	stateStale         = "STAR1" // of starling_must
	stateSerialization = "40001"
	stateDeadlock      = "40P01"
	stateReadOnly      = "25006"
	stateCheck         = "23514"
	stateLocked        = "55P03"
	stateDiskFull      = "53100"
	stateBadEncoding   = "22021"
	stateFuture        = "22023" // of pg_xact_status: the transaction has yet to come
)

// stateOf returns the SQLSTATE of an error that the server sent, or "".
func stateOf(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code
	}
	return ""
}

// transient reports whether the same transaction may succeed when it is run
// again at once.
func transient(err error) bool {
	s := stateOf(err)
	return s == stateSerialization || s == stateDeadlock
}

// A connError is a failure of the connection: what the server did after it last
// answered is not known.
type connError struct{ err error }

func (e *connError) Error() string { return e.err.Error() }
func (e *connError) Unwrap() error { return e.err }

// severed reports whether err says that there is no connection any more. An
// error that has its Kind has been dealt with.
func severed(err error) bool {
	if _, ok := errors.AsType[*mailbox.Error](err); ok {
		return false
	}
	if _, ok := errors.AsType[*connError](err); ok {
		return true
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Severity == "FATAL" || pg.Severity == "PANIC")
}

// failure gives an error its kind.
func failure(op string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*mailbox.Error](err); ok {
		return err
	}
	e := &mailbox.Error{Kind: mailbox.Other, Op: op, Err: err}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		e.Kind = kindOf(pg.Code)
		if pg.Code == stateDiskFull {
			e.Text = "the disk is full"
		}
		return e
	}
	if severed(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		e.Kind = mailbox.Unavailable
	}
	return e
}

func kindOf(state string) mailbox.Kind {
	switch state {
	case stateReadOnly, stateSerialization, stateDeadlock, stateStale,
		"25P03",     // idle in transaction too long
		stateLocked, // not to be had in time
		"57014",     // statement timeout
		"58030":     // input/output error
		return mailbox.Unavailable
	case stateBadEncoding, "22P05":
		return mailbox.Cannot
	case "XX001", "XX002":
		return mailbox.Corrupt
	}
	switch state[:min(2, len(state))] {
	case "08", // connection exceptions
		"28", // not allowed to log in
		"3D", // no such database
		"53", // out of resources
		"57": // shutting down, starting up
		return mailbox.Unavailable
	}
	return mailbox.Other
}

func unavailable(op string, err error) error {
	return &mailbox.Error{Kind: mailbox.Unavailable, Op: op, Err: err}
}

func unknown(op string, err error) error {
	return &mailbox.Error{Kind: mailbox.Unknown, Op: op, Err: err}
}

func corrupt(op string, err error) error {
	return &mailbox.Error{Kind: mailbox.Corrupt, Op: op, Err: err}
}

func refuse(kind mailbox.Kind, op, text string) error {
	return &mailbox.Error{Kind: kind, Op: op, Text: text}
}
