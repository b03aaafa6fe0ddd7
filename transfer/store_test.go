package transfer

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// A memStore is a Store in memory that keeps the contract of mailstore.
type memStore struct {
	t       *testing.T
	account mailbox.AccountID
	boxes   []*memBox
	subs    map[string]bool
	appends int
	// fault, if set, is asked before each append is committed and after; an
	// error of it is returned.
	fault func(n int, committed bool) error
}

type memBox struct {
	mailstore.Info
	messages []memMessage
}

type memMessage struct {
	Row
	body string
}

func newMemStore(t *testing.T, names ...string) *memStore {
	s := &memStore{t: t, account: mailbox.NewAccountID(), subs: map[string]bool{}}
	for _, name := range append([]string{mailbox.Inbox}, names...) {
		s.mustCreate(name)
	}
	return s
}

func (s *memStore) mustCreate(name string) *memBox {
	info, err := s.Create(s.t.Context(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.box(info.ID)
}

func (s *memStore) box(id mailbox.ID) *memBox {
	for _, b := range s.boxes {
		if b.ID == id {
			return b
		}
	}
	s.t.Fatalf("no mailbox %v", id)
	return nil
}

func (s *memStore) named(name string) *memBox {
	for _, b := range s.boxes {
		if b.Name == name {
			return b
		}
	}
	s.t.Fatalf("no mailbox %q in %v", name, s.boxes)
	return nil
}

func (s *memStore) Account() mailbox.AccountID { return s.account }

func (s *memStore) List(context.Context) (list []mailstore.Info, err error) {
	for _, b := range s.boxes {
		info := b.Info
		info.Subscribed = s.subs[b.Name]
		list = append(list, info)
	}
	slices.SortFunc(list, func(a, b mailstore.Info) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

func (s *memStore) Create(_ context.Context, name string) (mailstore.Info, error) {
	if err := mailbox.CheckName(name); err != nil {
		return mailstore.Info{}, err
	}
	b := &memBox{Info: mailstore.Info{ID: mailbox.NewID(), Account: s.account, Name: name,
		UIDValidity: uint32(1000 + len(s.boxes)), Counts: mailbox.Counts{UIDNext: 1}}}
	s.boxes = append(s.boxes, b)
	return b.Info, nil
}

func (s *memStore) Subscribe(_ context.Context, name string) error {
	s.subs[name] = true
	return nil
}

func (s *memStore) AdoptUIDs(_ context.Context, id mailbox.ID, validity uint32, next imap.UID) error {
	b := s.box(id)
	if validity != b.UIDValidity && b.Counts.UIDNext > 1 {
		return &mailbox.Error{Kind: mailbox.Cannot, Op: "adopt"}
	}
	b.UIDValidity = validity
	b.Counts.UIDNext = max(b.Counts.UIDNext, next)
	return nil
}

func (s *memStore) Append(_ context.Context, id mailbox.ID, messages iter.Seq2[Message, error]) (uids []imap.UID, err error) {
	b := s.box(id)
	s.appends++
	var added []memMessage
	next := b.Counts.UIDNext
	for m, err := range messages {
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(m.Body)
		if err != nil {
			return nil, err
		}
		if m.UID != 0 && m.UID < next {
			return nil, &mailbox.Error{Kind: mailbox.Cannot, Op: "append", Text: "the UID is taken"}
		}
		uid := max(m.UID, next)
		next = uid + 1
		added = append(added, memMessage{Row{uid, m.Flags, m.Received, int64(len(body))}, string(body)})
		uids = append(uids, uid)
	}
	if s.fault != nil {
		if err := s.fault(s.appends, false); err != nil {
			return nil, err
		}
	}
	b.messages = append(b.messages, added...)
	b.Counts.UIDNext = next
	for _, m := range added {
		b.Counts.Size += m.Size
	}
	if s.fault != nil {
		if err := s.fault(s.appends, true); err != nil {
			return nil, err
		}
	}
	return uids, nil
}

func (s *memStore) Rows(_ context.Context, id mailbox.ID, from imap.UID) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for _, m := range s.box(id).messages {
			if m.UID >= from && !yield(m.Row, nil) {
				return
			}
		}
	}
}

func (s *memStore) Body(_ context.Context, id mailbox.ID, uid imap.UID) (io.ReadCloser, error) {
	for _, m := range s.box(id).messages {
		if m.UID == uid {
			return io.NopCloser(bytes.NewReader([]byte(m.body))), nil
		}
	}
	return nil, &mailbox.Error{Kind: mailbox.Expunged, Op: "body"}
}

// add appends one message directly, as another client would.
func (b *memBox) add(uid imap.UID, body string, received time.Time, flags ...imap.Flag) {
	uid = max(uid, b.Counts.UIDNext)
	b.messages = append(b.messages, memMessage{Row{uid, mailbox.NewFlags(flags...), received, int64(len(body))}, body})
	b.Counts.UIDNext = uid + 1
	b.Counts.Size += int64(len(body))
}

// importFrom imports a path with a journal in folder.
func importFrom(t *testing.T, s *memStore, folder, path string, o Options) (Result, []string, error) {
	t.Helper()
	source, err := Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	j, err := OpenJournal(folder, s.account, source.Path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	var warnings []string
	result, err := Import(t.Context(), s, source, j, Watcher{Warn: func(text string) { warnings = append(warnings, text) }})
	return result, warnings, err
}
