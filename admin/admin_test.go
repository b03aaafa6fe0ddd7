package admin

import (
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/starling-mail/starling/auth"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/sqlite"
	"github.com/starling-mail/starling/quota"
	"github.com/starling-mail/starling/transfer"
)

// accounts makes auth.Service fit for the store.
type accounts struct{ mailstore.Users }

func (a accounts) AddUser(ctx context.Context, u mailbox.User) (mailbox.User, error) {
	return a.Users.AddUser(ctx, u, nil)
}

// delivered remembers what was delivered, or fails.
type delivered struct {
	to, from, text string
	err            error
}

func (d *delivered) Deliver(_ context.Context, to, from string, r io.Reader) error {
	if d.err != nil {
		return d.err
	}
	b, err := io.ReadAll(r)
	d.to, d.from, d.text = to, from, string(b)
	return err
}

// newService returns a Service on an empty store.
func newService(t *testing.T) *Service {
	t.Helper()
	store, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	names, err := auth.NewNormalizer(auth.NameOptions{})
	if err != nil {
		t.Fatal(err)
	}
	hasher, err := auth.NewHasher(auth.HashOptions{Memory: 8, Time: 1})
	if err != nil {
		t.Fatal(err)
	}
	return &Service{Store: store, Names: names, Accounts: auth.NewService(accounts{store}, names, hasher), Delivery: new(delivered)}
}

// dial serves h on a socket and returns a Client of it.
func dial(t *testing.T, h http.Handler) *Client {
	t.Helper()
	dir, err := os.MkdirTemp("", "admin") // a short name
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	ln, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-done; err != http.ErrServerClosed {
			t.Error(err)
		}
		os.RemoveAll(dir)
	})
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestControl does the same with a Service and with its Client.
func TestControl(t *testing.T) {
	for _, remote := range []bool{false, true} {
		t.Run(map[bool]string{false: "service", true: "client"}[remote], func(t *testing.T) {
			s := newService(t)
			var c Control = s
			if remote {
				c = dial(t, NewHandler(s))
			}
			testUsers(t, c)
			testQuota(t, c)
			testDelivery(t, c, s.Delivery.(*delivered))
			testMail(t, c)
		})
	}
}

func wantKind(t *testing.T, err error, want mailbox.Kind) {
	t.Helper()
	if err == nil || mailbox.KindOf(err) != want {
		t.Errorf("error %v, want kind %v", err, want)
	}
}

func testUsers(t *testing.T, c Control) {
	ctx := t.Context()
	u, err := c.AddUser(ctx, NewUser{Name: "Alice@Example.org", Password: "x", Aliases: []string{"a/b%2F?#"}, Admin: true})
	if err != nil || u.Name != "alice@example.org" || !u.Admin || !u.HasPassword || time.Since(u.Created) > time.Hour {
		t.Fatalf("%+v %v", u, err)
	}
	_, err = c.AddUser(ctx, NewUser{Name: "alice@example.org"})
	wantKind(t, err, mailbox.AlreadyExists)
	_, err = c.AddUser(ctx, NewUser{Name: ""})
	wantKind(t, err, mailbox.Cannot)
	for _, err := range []error{c.SetPassword(ctx, "a/b%2F?#", "y"), c.SetDisabled(ctx, "a/b%2F?#", true), c.SetAliases(ctx, u.Name, []string{"b"})} {
		if err != nil {
			t.Error(err)
		}
	}
	users, err := c.Users(ctx)
	if err != nil || len(users) != 1 || !users[0].Disabled || !slices.Equal(users[0].Aliases, []string{"b"}) {
		t.Errorf("%+v %v", users, err)
	}
	if err := c.SetDisabled(ctx, "b", false); err != nil {
		t.Error(err)
	}
	wantKind(t, c.SetPassword(ctx, "nobody", "y"), mailbox.NonExistent)
	wantKind(t, c.RemoveUser(ctx, "b"), mailbox.NonExistent)
	if _, err := c.AddUser(ctx, NewUser{Name: "gone"}); err != nil {
		t.Error(err)
	}
	if err := c.RemoveUser(ctx, "gone"); err != nil {
		t.Error(err)
	}
}

func testQuota(t *testing.T, c Control) {
	ctx := t.Context()
	if err := c.SetQuota(ctx, "b", &mailbox.QuotaLimits{Storage: 1000, Messages: -1}); err != nil {
		t.Error(err)
	}
	q, err := c.Quota(ctx, "b")
	if err != nil || q.Limits != (mailbox.QuotaLimits{Storage: 1000, Messages: -1}) || !q.Own {
		t.Errorf("%+v %v", q, err)
	}
	if err := c.SetQuota(ctx, "b", nil); err != nil {
		t.Error(err)
	}
	if q, err = c.Quota(ctx, "b"); err != nil || q.Own {
		t.Errorf("%+v %v", q, err)
	}
	var reports []quota.Recounted
	sum, err := c.Recount(ctx, nil, true, func(r quota.Recounted) { reports = append(reports, r) })
	if err != nil || sum != (quota.Summary{Accounts: 1}) || len(reports) != 1 || reports[0].Wrong() || reports[0].User != "alice@example.org" {
		t.Errorf("%+v %+v %v", sum, reports, err)
	}
	_, err = c.Recount(ctx, []string{"nobody"}, false, nil)
	wantKind(t, err, mailbox.NonExistent)
	err = c.Check(ctx, mailstore.CheckOptions{}, func(f mailstore.Finding) { t.Errorf("%+v", f) })
	if err != nil {
		t.Error(err)
	}
	wantKind(t, c.Backup(ctx, "relative"), mailbox.Cannot)
	wantKind(t, c.MoveAccount(ctx, "b", "x", nil), mailbox.Cannot) // a store without shards
	_, err = c.ShardOf(ctx, "b")
	wantKind(t, err, mailbox.Cannot)
	if err := c.Backup(ctx, filepath.Join(t.TempDir(), "copy")); err != nil {
		t.Error(err)
	}
}

func testDelivery(t *testing.T, c Control, d *delivered) {
	if err := c.Deliver(t.Context(), "a+b@c", "d&e=f", strings.NewReader("Subject: x\n\ny\n")); err != nil {
		t.Error(err)
	}
	if *d != (delivered{to: "a+b@c", from: "d&e=f", text: "Subject: x\n\ny\n"}) {
		t.Errorf("%+v", *d)
	}
	d.err = &mailbox.Error{Kind: mailbox.OverQuota, Op: "append", Text: "no room"}
	// More than a connection's buffers hold: the answer comes before all is read.
	err := c.Deliver(t.Context(), "a", "", strings.NewReader(strings.Repeat("x", 4<<20)))
	wantKind(t, err, mailbox.OverQuota)
	if err != nil && !strings.Contains(err.Error(), "no room") {
		t.Error(err)
	}
	d.err = nil
}

// messages yields each text as a message.
func messages(texts ...string) iter.Seq2[transfer.Message, error] {
	return func(yield func(transfer.Message, error) bool) {
		for i, text := range texts {
			m := transfer.Message{Flags: mailbox.NewFlags(imap.FlagSeen, "Work"), Received: day, UID: imap.UID(10 * (i + 1)), Body: strings.NewReader(text)}
			if !yield(m, nil) {
				return
			}
		}
	}
}

var day = time.Date(2020, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))

func testMail(t *testing.T, c Control) {
	ctx := t.Context()
	_, err := c.Mail(ctx, "nobody")
	wantKind(t, err, mailbox.NonExistent)
	m, err := c.Mail(ctx, "b")
	if err != nil {
		t.Fatal(err)
	}
	box, err := m.Create(ctx, "Entwürfe/ü")
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Create(ctx, "Entwürfe/ü")
	wantKind(t, err, mailbox.AlreadyExists)
	if err := m.Subscribe(ctx, "Entwürfe/ü"); err != nil {
		t.Error(err)
	}
	if err := m.AdoptUIDs(ctx, box.ID, 1234, 1); err != nil {
		t.Error(err)
	}
	texts := []string{"Subject: 1\r\n\r\n\x00\r\n--\r\n", "Subject: 2\r\n\r\n" + strings.Repeat("long line ", 100_000), "\r\n"}
	uids, err := m.Append(ctx, box.ID, messages(texts...))
	if err != nil || !slices.Equal(uids, []imap.UID{10, 20, 30}) {
		t.Errorf("%v %v", uids, err)
	}
	wantKind(t, m.AdoptUIDs(ctx, box.ID, 99, 1), mailbox.Cannot)
	_, err = m.Append(ctx, box.ID, messages("UID 10 again"))
	wantKind(t, err, mailbox.Cannot)
	_, err = m.Append(ctx, mailbox.NewID(), messages("x"))
	wantKind(t, err, mailbox.NonExistent)

	list, err := m.List(ctx)
	i := slices.IndexFunc(list, func(b mailstore.Info) bool { return b.Name == "Entwürfe/ü" })
	if err != nil || i < 0 || list[i].ID != box.ID || list[i].UIDValidity != 1234 || !list[i].Subscribed || list[i].Counts.Messages != 3 {
		t.Errorf("%+v %v", list, err)
	}
	var rows []transfer.Row
	for row, err := range m.Rows(ctx, box.ID, 15) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	flags := mailbox.NewFlags(imap.FlagSeen, "Work")
	want := []transfer.Row{{UID: 20, Flags: flags, Received: day, Size: int64(len(texts[1]))}, {UID: 30, Flags: flags, Received: day, Size: 2}}
	if diff := cmp.Diff(want, rows, cmp.Comparer(func(a, b time.Time) bool { return a.Format(time.RFC3339) == b.Format(time.RFC3339) })); diff != "" {
		t.Error(diff)
	}
	for range m.Rows(ctx, box.ID, 1) {
		break // the rest is not asked for
	}
	for _, err := range m.Rows(ctx, mailbox.NewID(), 1) {
		wantKind(t, err, mailbox.NonExistent)
	}
	for i, text := range texts {
		r, err := m.Body(ctx, box.ID, uids[i])
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if r.Close(); err != nil || string(b) != text {
			t.Errorf("message %d: %d bytes, want %d, %v", i, len(b), len(text), err)
		}
	}
	_, err = m.Body(ctx, box.ID, 11)
	wantKind(t, err, mailbox.Expunged)

	testBrokenAppend(t, m, box.ID)
}

var errSource = errors.New("the source broke")

// testBrokenAppend: a batch that breaks off adds nothing.
func testBrokenAppend(t *testing.T, m transfer.Store, box mailbox.ID) {
	for name, broken := range map[string]iter.Seq2[transfer.Message, error]{
		"between messages": func(yield func(transfer.Message, error) bool) {
			if yield(transfer.Message{Received: day, Body: strings.NewReader("Subject: whole\r\n\r\n")}, nil) {
				yield(transfer.Message{}, errSource)
			}
		},
		"within a message": func(yield func(transfer.Message, error) bool) {
			r, w := io.Pipe()
			go func() {
				w.Write([]byte("Subject: half"))
				w.CloseWithError(errSource)
			}()
			yield(transfer.Message{Received: day, Body: r}, nil)
		},
	} {
		if _, err := m.Append(t.Context(), box, broken); !errors.Is(err, errSource) {
			t.Errorf("%s: %v", name, err)
		}
		for row := range m.Rows(t.Context(), box, 31) {
			t.Errorf("%s: added %+v", name, row)
		}
	}
}

// TestCutOff: an answer that ends too early is no success.
func TestCutOff(t *testing.T) {
	c := dial(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"item":{"What":"x"}}`+"\n")
	}))
	if err := c.Check(t.Context(), mailstore.CheckOptions{}, func(mailstore.Finding) {}); !errors.Is(err, errCutOff) {
		t.Error(err)
	}
	c = dial(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		io.WriteString(w, "<html>")
	}))
	if _, err := c.Users(t.Context()); err == nil || !strings.Contains(err.Error(), "502") {
		t.Error(err)
	}
}

// TestBadRequests: what no Client sends is refused.
func TestBadRequests(t *testing.T) {
	c := dial(t, NewHandler(newService(t)))
	for _, r := range []struct {
		method, path, body string
		want               mailbox.Kind
	}{
		{"POST", "users", "{", mailbox.Cannot},
		{"POST", "users", `{"name":"` + strings.Repeat("x", maxRequest) + `"}`, mailbox.TooBig},
		{"GET", "accounts/x/mailboxes", "{}", mailbox.Cannot},
		{"POST", "mailboxes/x/messages", "", mailbox.Cannot},
		{"POST", "mailboxes/" + mailbox.NewID().String() + "/messages", "", mailbox.Cannot},
		{"PUT", "mailboxes/0/uids", "{}", mailbox.Cannot},
		{"GET", "mailboxes/" + mailbox.NewID().String() + "/messages/x", "{}", mailbox.Cannot},
	} {
		resp, err := c.do(t.Context(), r.method, r.path, "application/json", strings.NewReader(r.body))
		if err == nil {
			resp.Body.Close()
		}
		if mailbox.KindOf(err) != r.want {
			t.Errorf("%s %s: %v", r.method, r.path, err)
		}
	}
	// Streams tell it in their last line.
	for row, err := range (&remoteMail{client: c}).Rows(t.Context(), mailbox.NewID(), 1) {
		if mailbox.KindOf(err) != mailbox.NonExistent {
			t.Errorf("%+v %v", row, err)
		}
	}
}

func TestListen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	for range 2 { // the second time over a stale socket
		ln, err := Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v %v", info.Mode(), err)
		}
		ln.(*net.UnixListener).SetUnlinkOnClose(false)
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Dial(t.Context(), path); err == nil {
		t.Error("nobody listens, and yet there is a Client")
	}
}
