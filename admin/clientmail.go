package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"mime/multipart"
	"net/textproto"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/transfer"
)

// A remoteMail is one account's mail in the store of a running server.
type remoteMail struct {
	client  *Client
	account mailbox.AccountID
}

func (m *remoteMail) accountPath(rest string) string { return "accounts/" + m.account.String() + rest }

func boxPath(box mailbox.ID, rest string) string { return "mailboxes/" + box.String() + rest }

func (m *remoteMail) Account() mailbox.AccountID { return m.account }

func (m *remoteMail) List(ctx context.Context) (list []mailstore.Info, err error) {
	return list, m.client.ask(ctx, "GET", m.accountPath("/mailboxes"), none{}, &list)
}

func (m *remoteMail) Create(ctx context.Context, name string) (info mailstore.Info, err error) {
	return info, m.client.ask(ctx, "POST", m.accountPath("/mailboxes"), nameRequest{name}, &info)
}

func (m *remoteMail) Subscribe(ctx context.Context, name string) error {
	return m.client.ask(ctx, "POST", m.accountPath("/subscriptions"), nameRequest{name}, &none{})
}

func (m *remoteMail) AdoptUIDs(ctx context.Context, box mailbox.ID, validity uint32, next imap.UID) error {
	return m.client.ask(ctx, "PUT", boxPath(box, "/uids"), adoptRequest{validity, uint32(next)}, &none{})
}

func (m *remoteMail) Append(ctx context.Context, box mailbox.ID, messages iter.Seq2[transfer.Message, error]) ([]imap.UID, error) {
	r, w := io.Pipe()
	form := multipart.NewWriter(w)
	done := make(chan error, 1)
	go func() {
		err := writeParts(form, messages)
		// The server must not take a form that was cut off for a whole one.
		w.CloseWithError(err)
		done <- err
	}()
	resp, err := m.client.do(ctx, "POST", boxPath(box, "/messages"), form.FormDataContentType(), r)
	r.CloseWithError(io.ErrClosedPipe) // an answer may come before all is read
	if written := <-done; written != nil && written != io.ErrClosedPipe {
		err = written // the cause
	}
	if err != nil {
		if resp != nil {
			resp.Body.Close()
		}
		return nil, err
	}
	defer resp.Body.Close()
	var uids []imap.UID
	if err := json.NewDecoder(resp.Body).Decode(&uids); err != nil {
		return nil, fmt.Errorf("%w: %w", errCutOff, err)
	}
	return uids, nil
}

// writeParts writes each message as a part.
func writeParts(form *multipart.Writer, messages iter.Seq2[transfer.Message, error]) error {
	for msg, err := range messages {
		if err != nil {
			return err
		}
		meta, err := json.Marshal(appendPart{msg.Flags, msg.Received, msg.UID})
		if err != nil {
			return err
		}
		part, err := form.CreatePart(textproto.MIMEHeader{partField: {string(meta)}})
		if err != nil {
			return err
		}
		if _, err := io.Copy(part, msg.Body); err != nil {
			return err
		}
	}
	return form.Close()
}

func (m *remoteMail) Rows(ctx context.Context, box mailbox.ID, from imap.UID) iter.Seq2[transfer.Row, error] {
	return func(yield func(transfer.Row, error) bool) {
		stopped := false
		err := follow(ctx, m.client, "GET", boxPath(box, fmt.Sprintf("/messages?from=%d", from)), none{}, func(row transfer.Row) bool {
			stopped = !yield(row, nil)
			return !stopped
		})
		if err != nil && !stopped {
			yield(transfer.Row{}, err)
		}
	}
}

func (m *remoteMail) Body(ctx context.Context, box mailbox.ID, uid imap.UID) (io.ReadCloser, error) {
	resp, err := m.client.do(ctx, "GET", boxPath(box, fmt.Sprintf("/messages/%d", uid)), "", nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}
