package sqlite

import (
	"context"
	"errors"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
)

// failure gives an error its kind.
func failure(op string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*mailbox.Error](err); ok {
		return err
	}
	e := &mailbox.Error{Kind: mailbox.Other, Op: op, Err: err}
	if db, ok := errors.AsType[*sqlite3.Error](err); ok {
		switch {
		case db.Full():
			e.Kind, e.Text = mailbox.Unavailable, "the disk is full"
		case db.Corrupt():
			e.Kind = mailbox.Corrupt
		case db.Temporary():
			e.Kind = mailbox.Unavailable
		}
	} else if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		e.Kind = mailbox.Unavailable
	}
	return e
}

func unavailable(op string, err error) error {
	return &mailbox.Error{Kind: mailbox.Unavailable, Op: op, Err: err}
}

func unknown(op string, err error) error {
	return &mailbox.Error{Kind: mailbox.Unknown, Op: op, Err: err}
}

func refuse(kind mailbox.Kind, op, text string) error {
	return &mailbox.Error{Kind: kind, Op: op, Text: text}
}
