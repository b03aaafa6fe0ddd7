package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/starling-mail/starling/mailbox"
)

// What requests and responses hold, as JSON. Requests that carry mail have it
// as their body; Append's is multipart, a part a message, with an appendPart
// in the field partField of its header.

// Request bodies.
type (
	passwordRequest struct {
		Password string `json:"password"`
	}
	disabledRequest struct {
		Disabled bool `json:"disabled"`
	}
	aliasesRequest struct {
		Aliases []string `json:"aliases"`
	}
	quotaRequest struct {
		Limits *mailbox.QuotaLimits `json:"limits"` // null: the default
	}
	recountRequest struct {
		Users []string `json:"users"`
		Mend  bool     `json:"mend"`
	}
	checkRequest struct {
		Repair bool `json:"repair"`
		Deep   bool `json:"deep"`
	}
	backupRequest struct {
		Folder string `json:"folder"`
	}
	keyRequest struct {
		Key string `json:"key"`
	}
	nameRequest struct {
		Name string `json:"name"`
	}
	adoptRequest struct {
		Validity uint32 `json:"validity"`
		Next     uint32 `json:"next"`
	}
)

// maxRequest bounds a request's JSON, in bytes.
const maxRequest = 1 << 20

// none is what a request or response without content holds.
type none struct{}

// A line is one of a response that comes bit by bit: items, then Done, or Err
// at any time. A response that ends without either was cut off.
type line[T any] struct {
	Item *T         `json:"item,omitempty"`
	Err  *errorBody `json:"error,omitempty"`
	Done bool       `json:"done,omitempty"`
}

var errCutOff = errors.New("the server's answer was cut off")

// answer makes a handler of a function from one JSON value to another.
func answer[In, Out any](f func(ctx context.Context, r *http.Request, in In) (Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&in)
		if err != nil && err != io.EOF {
			writeError(w, &mailbox.Error{Kind: mailbox.Cannot, Op: "read request", Err: err})
			return
		}
		out, err := f(r.Context(), r, in)
		if err != nil {
			writeError(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(out) // a client that is gone gets nothing
	}
}

// stream makes a handler of a function that gives items one by one; emit
// reports whether the client is still there.
func stream[In, Item any](f func(ctx context.Context, r *http.Request, in In, emit func(Item) bool) error) http.HandlerFunc {
	return items(f, false)
}

// progress is stream where somebody looks on: each item is sent at once.
func progress[In, Item any](f func(ctx context.Context, r *http.Request, in In, emit func(Item) bool) error) http.HandlerFunc {
	return items(f, true)
}

func items[In, Item any](f func(ctx context.Context, r *http.Request, in In, emit func(Item) bool) error, atOnce bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&in)
		if err != nil && err != io.EOF {
			writeError(w, &mailbox.Error{Kind: mailbox.Cannot, Op: "read request", Err: err})
			return
		}
		w.Header().Set("Content-Type", "application/jsonl")
		out := json.NewEncoder(w)
		flush := http.NewResponseController(w)
		err = f(r.Context(), r, in, func(item Item) bool {
			return out.Encode(line[Item]{Item: &item}) == nil && (!atOnce || flush.Flush() == nil)
		})
		last := line[Item]{Done: true}
		if err != nil {
			last = line[Item]{Err: bodyOf(err)}
		}
		if out.Encode(last) == nil {
			flush.Flush()
		}
	}
}
