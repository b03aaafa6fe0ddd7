package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/quota"
	"github.com/starling-mail/starling/transfer"
)

// NewHandler serves s to Clients.
func NewHandler(s *Service) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /v1/users", answer(func(ctx context.Context, _ *http.Request, _ none) ([]User, error) {
		return s.Users(ctx)
	}))
	mux.Handle("POST /v1/users", answer(func(ctx context.Context, _ *http.Request, in NewUser) (User, error) {
		return s.AddUser(ctx, in)
	}))
	mux.Handle("PUT /v1/users/{user}/password", answer(func(ctx context.Context, r *http.Request, in passwordRequest) (none, error) {
		return none{}, s.SetPassword(ctx, r.PathValue("user"), in.Password)
	}))
	mux.Handle("PUT /v1/users/{user}/disabled", answer(func(ctx context.Context, r *http.Request, in disabledRequest) (none, error) {
		return none{}, s.SetDisabled(ctx, r.PathValue("user"), in.Disabled)
	}))
	mux.Handle("PUT /v1/users/{user}/aliases", answer(func(ctx context.Context, r *http.Request, in aliasesRequest) (none, error) {
		return none{}, s.SetAliases(ctx, r.PathValue("user"), in.Aliases)
	}))
	mux.Handle("DELETE /v1/users/{user}", answer(func(ctx context.Context, r *http.Request, _ none) (none, error) {
		return none{}, s.RemoveUser(ctx, r.PathValue("user"))
	}))
	mux.Handle("GET /v1/users/{user}/quota", answer(func(ctx context.Context, r *http.Request, _ none) (mailbox.Quota, error) {
		return s.Quota(ctx, r.PathValue("user"))
	}))
	mux.Handle("PUT /v1/users/{user}/quota", answer(func(ctx context.Context, r *http.Request, in quotaRequest) (none, error) {
		return none{}, s.SetQuota(ctx, r.PathValue("user"), in.Limits)
	}))
	mux.Handle("POST /v1/users/{user}/move", stream(func(ctx context.Context, r *http.Request, in moveRequest, emit func(mailstore.MoveReport) bool) error {
		return s.MoveAccount(ctx, r.PathValue("user"), in.To, func(m mailstore.MoveReport) { emit(m) })
	}))
	mux.Handle("GET /v1/users/{user}/shard", answer(func(ctx context.Context, r *http.Request, _ none) (string, error) {
		return s.ShardOf(ctx, r.PathValue("user"))
	}))
	mux.Handle("POST /v1/recount", stream(recount(s)))
	mux.Handle("POST /v1/check", stream(func(ctx context.Context, _ *http.Request, in checkRequest, emit func(mailstore.Finding) bool) error {
		return s.Check(ctx, mailstore.CheckOptions(in), func(f mailstore.Finding) { emit(f) })
	}))
	mux.Handle("POST /v1/backup", answer(func(ctx context.Context, _ *http.Request, in backupRequest) (none, error) {
		return none{}, s.Backup(ctx, in.Folder)
	}))
	mux.Handle("GET /v1/cluster", answer(func(ctx context.Context, _ *http.Request, _ none) (Cluster, error) {
		return s.Cluster(ctx)
	}))
	handleRunning(mux, s)
	mux.HandleFunc("POST /v1/deliver", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if err := s.Deliver(r.Context(), q.Get("to"), q.Get("from"), r.Body); err != nil {
			writeError(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	handleMail(mux, s)
	return mux
}

// handleRunning serves what a running server is told to do.
func handleRunning(mux *http.ServeMux, s *Service) {
	mux.Handle("GET /v1/drain", answer(func(ctx context.Context, _ *http.Request, _ none) (Drain, error) {
		return s.DrainDefaults(ctx)
	}))
	drain := func(f func(context.Context, Drain, func(DrainStep)) error) http.Handler {
		return progress(func(ctx context.Context, _ *http.Request, in Drain, emit func(DrainStep) bool) error {
			return f(ctx, in, func(step DrainStep) { emit(step) })
		})
	}
	mux.Handle("POST /v1/drain", drain(s.Drain))
	mux.Handle("POST /v1/leave", drain(s.Leave))
	mux.Handle("DELETE /v1/drain", answer(func(ctx context.Context, _ *http.Request, _ none) (none, error) {
		return none{}, s.Admit(ctx)
	}))
	mux.Handle("GET /v1/cluster/keys", answer(func(ctx context.Context, _ *http.Request, _ none) ([]ClusterKey, error) {
		return s.Keys(ctx)
	}))
	mux.Handle("POST /v1/cluster/keys", answer(func(ctx context.Context, _ *http.Request, in keyRequest) (none, error) {
		return none{}, s.AddKey(ctx, in.Key)
	}))
	mux.Handle("PUT /v1/cluster/keys/{fingerprint}", answer(func(ctx context.Context, r *http.Request, in KeyChange) (none, error) {
		return none{}, s.UseKey(ctx, r.PathValue("fingerprint"), in)
	}))
	mux.Handle("DELETE /v1/cluster/keys/{fingerprint}", answer(func(ctx context.Context, r *http.Request, in KeyChange) (none, error) {
		return none{}, s.RemoveKey(ctx, r.PathValue("fingerprint"), in)
	}))
}

// A recounted is a quota.Recounted, or at the end a quota.Summary.
type recounted struct {
	User    string             `json:"user"`
	Was, Is mailbox.QuotaUsage `json:",omitzero"`
	Err     *errorBody         `json:"error,omitempty"`
	Summary *quota.Summary     `json:"summary,omitempty"`
}

func recount(s *Service) func(context.Context, *http.Request, recountRequest, func(recounted) bool) error {
	return func(ctx context.Context, _ *http.Request, in recountRequest, emit func(recounted) bool) error {
		sum, err := s.Recount(ctx, in.Users, in.Mend, func(r quota.Recounted) {
			out := recounted{User: r.User, Was: r.Was, Is: r.Is}
			if r.Err != nil {
				out.Err = bodyOf(r.Err)
			}
			emit(out)
		})
		emit(recounted{Summary: &sum})
		return err
	}
}

// handleMail serves the mail of accounts.
func handleMail(mux *http.ServeMux, s *Service) {
	mux.Handle("GET /v1/users/{user}/account", answer(func(ctx context.Context, r *http.Request, _ none) (string, error) {
		u, err := s.user(ctx, r.PathValue("user"))
		return u.Account.String(), err
	}))
	mux.Handle("GET /v1/accounts/{account}/mailboxes", answer(func(ctx context.Context, r *http.Request, _ none) ([]mailstore.Info, error) {
		m, err := s.mailOf(r)
		if err != nil {
			return nil, err
		}
		return m.List(ctx)
	}))
	mux.Handle("POST /v1/accounts/{account}/mailboxes", answer(func(ctx context.Context, r *http.Request, in nameRequest) (mailstore.Info, error) {
		m, err := s.mailOf(r)
		if err != nil {
			return mailstore.Info{}, err
		}
		return m.Create(ctx, in.Name)
	}))
	mux.Handle("POST /v1/accounts/{account}/subscriptions", answer(func(ctx context.Context, r *http.Request, in nameRequest) (none, error) {
		m, err := s.mailOf(r)
		if err != nil {
			return none{}, err
		}
		return none{}, m.Subscribe(ctx, in.Name)
	}))
	mux.Handle("PUT /v1/mailboxes/{box}/uids", answer(func(ctx context.Context, r *http.Request, in adoptRequest) (none, error) {
		box, err := mailbox.ParseID(r.PathValue("box"))
		if err != nil {
			return none{}, badRequest(err)
		}
		return none{}, (&mail{store: s.Store}).AdoptUIDs(ctx, box, in.Validity, imap.UID(in.Next))
	}))
	mux.Handle("GET /v1/mailboxes/{box}/messages", stream(func(ctx context.Context, r *http.Request, _ none, emit func(transfer.Row) bool) error {
		box, err := mailbox.ParseID(r.PathValue("box"))
		if err != nil {
			return badRequest(err)
		}
		from, err := strconv.ParseUint(r.FormValue("from"), 10, 32)
		if err != nil {
			return badRequest(err)
		}
		for row, err := range (&mail{store: s.Store}).Rows(ctx, box, imap.UID(from)) {
			if err != nil || !emit(row) {
				return err
			}
		}
		return nil
	}))
	mux.HandleFunc("POST /v1/mailboxes/{box}/messages", s.append)
	mux.HandleFunc("GET /v1/mailboxes/{box}/messages/{uid}", s.body)
}

func (s *Service) mailOf(r *http.Request) (*mail, error) {
	account, err := mailbox.ParseAccountID(r.PathValue("account"))
	if err != nil {
		return nil, badRequest(err)
	}
	return &mail{store: s.Store, account: account}, nil
}

func badRequest(err error) error {
	return &mailbox.Error{Kind: mailbox.Cannot, Op: "read request", Err: err}
}

// partField is where a part of an Append says what it is.
const partField = "X-Message"

// An appendPart describes one message of an Append.
type appendPart struct {
	Flags    mailbox.Flags `json:"flags"`
	Received time.Time     `json:"received"`
	UID      imap.UID      `json:"uid,omitempty"`
}

func (s *Service) append(w http.ResponseWriter, r *http.Request) {
	box, err := mailbox.ParseID(r.PathValue("box"))
	if err != nil {
		writeError(w, badRequest(err))
		return
	}
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		writeError(w, badRequest(err))
		return
	}
	parts := multipart.NewReader(r.Body, params["boundary"])
	uids, err := (&mail{store: s.Store}).Append(r.Context(), box, partMessages(parts))
	if err != nil {
		writeError(w, err)
		return
	}
	json.NewEncoder(w).Encode(uids) // a client that is gone gets nothing
}

func partMessages(parts *multipart.Reader) iter.Seq2[transfer.Message, error] {
	return func(yield func(transfer.Message, error) bool) {
		for {
			part, err := parts.NextRawPart()
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(transfer.Message{}, badRequest(err))
				return
			}
			var p appendPart
			if err := json.Unmarshal([]byte(part.Header.Get(partField)), &p); err != nil {
				yield(transfer.Message{}, badRequest(fmt.Errorf("%s: %w", partField, err)))
				return
			}
			if !yield(transfer.Message{Flags: p.Flags, Received: p.Received, UID: p.UID, Body: part}, nil) {
				return
			}
		}
	}
}

func (s *Service) body(w http.ResponseWriter, r *http.Request) {
	box, err := mailbox.ParseID(r.PathValue("box"))
	uid, err2 := strconv.ParseUint(r.PathValue("uid"), 10, 32)
	if err != nil || err2 != nil {
		writeError(w, badRequest(fmt.Errorf("no such message: %s", r.URL.Path)))
		return
	}
	body, err := s.Store.Body(r.Context(), box, imap.UID(uid))
	if err != nil {
		writeError(w, err)
		return
	}
	defer body.Close()
	w.Header().Set("Content-Type", "message/rfc822")
	w.Header().Set("Content-Length", strconv.FormatInt(body.Size(), 10))
	io.Copy(w, io.NewSectionReader(body, 0, body.Size())) // cut short, the length tells the client
}
