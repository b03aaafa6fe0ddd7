package lmtp

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"github.com/starling-mail/starling/auth"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fakeStore keeps mail in memory. The names of its users say how it fails.
type fakeStore struct {
	mu      sync.Mutex
	users   map[string]mailbox.User
	boxes   []mailstore.Info
	mail    map[mailbox.ID][]string
	drafts  int // not discarded
	appends chan struct{}
}

// failures are the errors of Append for users of these names.
var failures = map[string]mailbox.Kind{
	"full": mailbox.OverQuota, "limited": mailbox.Limit, "down": mailbox.Unavailable, "unsure": mailbox.Unknown, "other": mailbox.Other, "big": mailbox.TooBig,
}

func newFakeStore() *fakeStore {
	f := &fakeStore{users: map[string]mailbox.User{}, mail: map[mailbox.ID][]string{}}
	for _, name := range []string{"alice", "bob", "panic", "stuck", "disabled", "full", "limited", "down", "unsure", "other", "big", "zoë"} {
		u := mailbox.User{Name: name + "@example.org", Account: mailbox.NewAccountID(), Disabled: name == "disabled"}
		f.users[u.Name] = u
		f.box(name, "INBOX")
	}
	return f
}

func (f *fakeStore) account(user string) mailbox.AccountID {
	return f.users[user+"@example.org"].Account
}

func (f *fakeStore) box(user, name string) mailbox.ID {
	id := mailbox.NewID()
	f.boxes = append(f.boxes, mailstore.Info{ID: id, Account: f.account(user), Name: name})
	return id
}

// delivered returns what is in a mailbox.
func (f *fakeStore) delivered(user, name string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.boxes {
		if b.Account == f.account(user) && b.Name == name {
			return f.mail[b.ID]
		}
	}
	return nil
}

func failed(op string, kind mailbox.Kind) error { return &mailbox.Error{Kind: kind, Op: op} }

func (f *fakeStore) User(_ context.Context, name string) (mailbox.User, error) {
	if name == "lookup-down@example.org" {
		return mailbox.User{}, failed("user", mailbox.Unavailable)
	}
	if name == "ally@example.org" { // an alias
		name = "alice@example.org"
	}
	if u, ok := f.users[name]; ok {
		return u, nil
	}
	return mailbox.User{}, failed("user", mailbox.NonExistent)
}

func (f *fakeStore) Lookup(_ context.Context, account mailbox.AccountID, name string) (mailstore.Info, error) {
	for _, b := range f.boxes {
		if b.Account == account && b.Name == name && !b.ID.IsZero() {
			return b, nil
		}
	}
	return mailstore.Info{}, failed("lookup", mailbox.NonExistent)
}

func (f *fakeStore) List(_ context.Context, account mailbox.AccountID) (list []mailstore.Info, err error) {
	for _, b := range f.boxes {
		if b.Account == account {
			list = append(list, b)
		}
	}
	return list, nil
}

type fakeDraft struct {
	f    *fakeStore
	text string
}

func (d *fakeDraft) Size() int64 { return int64(len(d.text)) }

func (d *fakeDraft) Discard() {
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	d.f.drafts--
}

func (f *fakeStore) Receive(_ context.Context, r io.Reader, limit int64) (mailstore.Draft, error) {
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, failed("receive", mailbox.TooBig)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drafts++
	return &fakeDraft{f, string(text)}, nil
}

func (f *fakeStore) Append(ctx context.Context, box mailbox.ID, messages []mailstore.Incoming) (mailstore.Appended, error) {
	if f.appends != nil {
		f.appends <- struct{}{}
		<-f.appends
	}
	for name, u := range f.users {
		if u.Account != f.owner(box) {
			continue
		}
		name, _, _ = strings.Cut(name, "@")
		if kind, ok := failures[name]; ok {
			return mailstore.Appended{}, failed("append", kind)
		}
		if name == "panic" {
			panic("store panics")
		}
		if name == "stuck" {
			<-ctx.Done()
			return mailstore.Appended{}, &mailbox.Error{Kind: mailbox.Unknown, Op: "append", Err: ctx.Err()}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range messages {
		f.mail[box] = append(f.mail[box], m.Draft.(*fakeDraft).text)
	}
	uid := imap.UID(len(f.mail[box]))
	return mailstore.Appended{UIDValidity: 1, Change: &mailbox.Change{Mailbox: box, Added: imap.UIDSetNum(uid)}}, nil
}

func (f *fakeStore) owner(box mailbox.ID) mailbox.AccountID {
	for _, b := range f.boxes {
		if b.ID == box {
			return b.Account
		}
	}
	return mailbox.AccountID{}
}

// A testServer serves on a Unix socket until the test ends.
type testServer struct {
	*Server
	store *fakeStore
	ln    net.Listener
	stop  context.CancelFunc
	done  chan error // what Serve returned
}

func newTestServer(t *testing.T, change func(*Options)) *testServer {
	t.Helper()
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "lmtp"))
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, ln, change)
}

func serveOn(t *testing.T, ln net.Listener, change func(*Options)) *testServer {
	t.Helper()
	store := newFakeStore()
	names, err := auth.NewNormalizer(auth.NameOptions{DefaultDomain: "example.org", Separators: "+"})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Store: store, Names: names, Hostname: "mx.example.org", TempDir: t.TempDir()}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := &testServer{New(o), store, ln, cancel, make(chan error, 1)}
	go func() { s.done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-s.done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		s.done <- nil
		if store.drafts != 0 {
			t.Errorf("%d drafts were not discarded", store.drafts)
		}
	})
	return s
}

// stopped stops the server and waits for it.
func (s *testServer) stopped(t *testing.T) {
	t.Helper()
	s.stop()
	err := <-s.done
	if err != nil {
		t.Errorf("Serve: %v", err)
	}
	s.done <- nil // for the cleanup
}

func (s *testServer) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial(s.ln.Addr().Network(), s.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(30 * time.Second)) // a test that hangs says where
	t.Cleanup(func() { c.Close() })
	return c
}

func (s *testServer) client(t *testing.T) *smtp.Client {
	t.Helper()
	c := smtp.NewClientLMTP(s.dial(t))
	t.Cleanup(func() { c.Close() })
	if err := c.Hello("client.example.org"); err != nil {
		t.Fatal(err)
	}
	return c
}
