package admin

import (
	"context"
	"io"
	"iter"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/transfer"
)

// A mail is one account's mail in an open store. It refuses mailboxes of other
// accounts only in so far as their IDs cannot be guessed.
type mail struct {
	store   mailstore.Store
	account mailbox.AccountID
}

func (m *mail) Account() mailbox.AccountID { return m.account }

func (m *mail) List(ctx context.Context) ([]mailstore.Info, error) {
	return m.store.List(ctx, m.account)
}

func (m *mail) Create(ctx context.Context, name string) (mailstore.Info, error) {
	return m.store.Create(ctx, m.account, name, nil)
}

func (m *mail) Subscribe(ctx context.Context, name string) error {
	return m.store.Subscribe(ctx, m.account, name, true)
}

func (m *mail) AdoptUIDs(ctx context.Context, box mailbox.ID, validity uint32, next imap.UID) error {
	a, ok := m.store.(mailstore.UIDAdopter)
	if !ok {
		return &mailbox.Error{Kind: mailbox.Cannot, Op: "adopt UIDs", Text: "this kind of store numbers its messages itself"}
	}
	return a.AdoptUIDs(ctx, box, validity, next)
}

func (m *mail) Append(ctx context.Context, box mailbox.ID, messages iter.Seq2[transfer.Message, error]) ([]imap.UID, error) {
	var batch []mailstore.Incoming
	defer func() {
		for _, in := range batch {
			in.Draft.Discard()
		}
	}()
	for msg, err := range messages {
		if err != nil {
			return nil, err
		}
		draft, err := m.store.Receive(ctx, msg.Body, transfer.MaxMessage)
		if err != nil {
			return nil, err
		}
		batch = append(batch, mailstore.Incoming{Draft: draft, Flags: msg.Flags, Received: msg.Received, UID: msg.UID})
	}
	if len(batch) == 0 {
		return nil, nil
	}
	added, err := m.store.Append(ctx, box, batch)
	if err != nil {
		return nil, err
	}
	uids, _ := added.Change.Added.Nums() // a store's sets are static
	return uids, nil
}

// pageRows is how many rows are read from the store at a time.
const pageRows = 500

func (m *mail) Rows(ctx context.Context, box mailbox.ID, from imap.UID) iter.Seq2[transfer.Row, error] {
	return func(yield func(transfer.Row, error) bool) {
		var page mailstore.Page
		for more := true; more; more = page.More {
			uids := imap.UIDSet{imap.UIDRange{Start: from, Stop: 1<<32 - 1}}
			fields := mailstore.FieldFlags | mailstore.FieldReceived | mailstore.FieldSize
			if err := m.store.Page(ctx, box, uids, fields, pageRows, &page); err != nil {
				yield(transfer.Row{}, err)
				return
			}
			for _, r := range page.Rows {
				if !yield(transfer.Row{UID: r.UID, Flags: r.Flags, Received: r.Received, Size: r.Size}, nil) {
					return
				}
				from = r.UID + 1
			}
		}
	}
}

func (m *mail) Body(ctx context.Context, box mailbox.ID, uid imap.UID) (io.ReadCloser, error) {
	body, err := m.store.Body(ctx, box, uid)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(body, 0, body.Size()), body}, nil
}
