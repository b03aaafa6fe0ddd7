package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/starling-mail/starling/blob/fs"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/postgres/pgtest"
	"github.com/starling-mail/starling/mailstore/storetest"
)

// server is the PostgreSQL that this package's tests share. Tests that stop it
// start one of their own.
var server struct {
	sync.Mutex
	*pgtest.Server
	err      error
	template bool
	count    int
}

func TestMain(m *testing.M) {
	code := m.Run()
	if server.Server != nil {
		if err := server.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// start starts a server, or skips the test where none is installed; where
// everything must be tested it fails.
func start(t testing.TB, settings ...string) *pgtest.Server {
	t.Helper()
	s, err := pgtest.Start(settings...)
	if errors.Is(err, pgtest.ErrMissing) && os.Getenv("STARLING_E2E") == "" && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// database makes a new database on the shared server and returns its URL.
func database(t testing.TB) string {
	t.Helper()
	server.Lock()
	defer server.Unlock()
	if server.Server == nil {
		server.Server = start(t)
	}
	if !server.template {
		create(t, server.Server, "template", "template0")
		config, err := pgx.ParseConfig(server.URL("template"))
		if err != nil {
			t.Fatal(err)
		}
		if err := migrate(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		server.template = true
	}
	server.count++
	name := fmt.Sprint("test", server.count)
	create(t, server.Server, name, "template")
	return server.URL(name)
}

func create(t testing.TB, s *pgtest.Server, name, template string) {
	t.Helper()
	exec(t, s.URL("postgres"), `CREATE DATABASE "`+name+`" TEMPLATE "`+template+`"`)
}

// exec runs a statement on a connection of its own.
func exec(t testing.TB, url, sql string, args ...any) {
	t.Helper()
	c, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(context.Background(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// blobs returns a store of blobs in a folder of its own.
func blobs(t testing.TB) *fs.Store {
	t.Helper()
	files, err := fs.OS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b, err := fs.Open(files)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// open opens a store that is closed at the test's end, by default on a new
// database.
func open(t testing.TB, o Options) *Store {
	t.Helper()
	if o.URL == "" {
		o.URL = database(t)
	}
	if o.Blobs == nil {
		o.Blobs = blobs(t)
	}
	s, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T, o storetest.Options) mailstore.Store {
		return open(t, Options{Publish: o.Publish, DefaultQuota: o.DefaultQuota, MaxMailboxes: o.MaxMailboxes, MaxKeywords: o.MaxKeywords,
			MaxCopy: o.MaxCopy, FeedRetention: o.FeedRetention, ExpungeRetention: o.ExpungeRetention})
	})
}

// account adds a user and returns the account and its INBOX.
func addAccount(t testing.TB, s *Store, name string) (mailbox.AccountID, mailbox.ID) {
	t.Helper()
	u, err := s.AddUser(context.Background(), mailbox.User{Name: name}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Lookup(context.Background(), u.Account, mailbox.Inbox)
	if err != nil {
		t.Fatal(err)
	}
	return u.Account, b.ID
}

// mail makes a message of about size bytes.
func mail(n, size int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: Ada <ada@example.org>\r\nTo: Bob <bob@example.net>\r\nSubject: Message %d\r\nDate: Mon, 1 Jun 2026 10:00:00 +0200\r\nMessage-ID: <%d@example.org>\r\n\r\n", n, n)
	for line := 0; b.Len() < size; line++ {
		fmt.Fprintf(&b, "%d: the quick brown fox %x jumps over the lazy dog.\r\n", line, line*line*7919+n)
	}
	return b.Bytes()
}

func receiveMail(t testing.TB, s *Store, b []byte) mailstore.Draft {
	t.Helper()
	d, err := s.Receive(context.Background(), bytes.NewReader(b), 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// try appends one message and returns the change.
func try(s *Store, box mailbox.ID, b []byte, flags ...imap.Flag) (*mailbox.Change, error) {
	d, err := s.Receive(context.Background(), bytes.NewReader(b), 1<<30)
	if err != nil {
		return nil, err
	}
	defer d.Discard()
	a, err := s.Append(context.Background(), box, []mailstore.Incoming{{Draft: d, Flags: mailbox.NewFlags(flags...)}})
	return a.Change, err
}

// add appends one message and returns its UID.
func add(t testing.TB, s *Store, box mailbox.ID, b []byte, flags ...imap.Flag) imap.UID {
	t.Helper()
	c, err := try(s, box, b, flags...)
	if err != nil {
		t.Fatal(err)
	}
	return c.Added[0].Start
}

func body(t testing.TB, s *Store, box mailbox.ID, uid imap.UID) []byte {
	t.Helper()
	b, err := s.Body(context.Background(), box, uid)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return got
}
