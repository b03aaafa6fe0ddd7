package admin

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/starling-mail/starling/mailbox"
)

// An errorBody is an error on its way to a Client.
type errorBody struct {
	Kind mailbox.Kind `json:"kind"`
	Text string       `json:"text"`
}

// A remoteError is what a Service answered. Its text is the error's whole text.
type remoteError struct{ text string }

func (e *remoteError) Error() string { return e.text }

func bodyOf(err error) *errorBody {
	return &errorBody{Kind: mailbox.KindOf(err), Text: err.Error()}
}

// err returns the error that e describes, with its kind; nil for nil.
func (e *errorBody) err() error {
	if e == nil {
		return nil
	}
	if e.Kind > mailbox.Unknown {
		e.Kind = mailbox.Other // of a newer server
	}
	return &kindError{remoteError{e.Text}, mailbox.Error{Kind: e.Kind, Op: "control"}}
}

// A kindError reads as its text and unwraps to a mailbox.Error with the kind.
type kindError struct {
	remoteError
	kind mailbox.Error
}

func (e *kindError) Unwrap() error { return &e.kind }

// statusOf chooses the HTTP status for people with curl; Clients look at the
// kind.
func statusOf(err error) int {
	switch mailbox.KindOf(err) {
	case mailbox.NonExistent, mailbox.Expunged:
		return http.StatusNotFound
	case mailbox.AlreadyExists, mailbox.InUse:
		return http.StatusConflict
	case mailbox.Cannot, mailbox.TooBig:
		return http.StatusBadRequest
	case mailbox.NoPerm:
		return http.StatusForbidden
	case mailbox.OverQuota, mailbox.Limit:
		return http.StatusInsufficientStorage
	case mailbox.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func writeError(w http.ResponseWriter, err error) {
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		err = &mailbox.Error{Kind: mailbox.TooBig, Op: "control", Err: tooLarge}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(statusOf(err))
	json.NewEncoder(w).Encode(bodyOf(err)) // a client that is gone gets nothing
}
