package sharded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/starling-mail/starling/blob/fs"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/postgres"
	"github.com/starling-mail/starling/mailstore/postgres/pgtest"
	"github.com/starling-mail/starling/mailstore/storetest"
)

// server is the PostgreSQL that this package's tests share. It is never stopped before they end, so
// it need not be durable; tests that stop one start one of their own.
var server struct {
	sync.Mutex
	*pgtest.Server
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

// exec runs statements on a connection of its own.
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

// database makes a new database on the shared server and returns its URL.
func database(t testing.TB) string {
	t.Helper()
	server.Lock()
	defer server.Unlock()
	if server.Server == nil {
		server.Server = start(t, "fsync=off", "full_page_writes=off")
	}
	if !server.template {
		exec(t, server.URL("postgres"), `CREATE DATABASE "template" TEMPLATE template0`)
		s, err := postgres.Open(context.Background(), postgres.Options{URL: server.URL("template"), Blobs: blobs(t)})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		exec(t, server.URL("template"), `TRUNCATE store`) // each copy is another store
		// The feed's partitions are as long as the store's options say.
		exec(t, server.URL("template"), `DO $$ DECLARE part text; BEGIN FOR part IN DELETE FROM feed_parts RETURNING name LOOP EXECUTE 'DROP TABLE ' || part; END LOOP; END $$`)
		server.template = true
	}
	server.count++
	name := fmt.Sprint("test", server.count)
	exec(t, server.URL("postgres"), `CREATE DATABASE "`+name+`" TEMPLATE "template"`)
	return server.URL(name)
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

// shards describes new shards a, b, c ...
func shards(t testing.TB, n int) (list []Shard) {
	t.Helper()
	for i := range n {
		list = append(list, Shard{Name: string(rune('a' + i)), Postgres: postgres.Options{URL: database(t), Blobs: blobs(t), Connections: 8}})
	}
	return list
}

// open opens a store that is closed at the test's end.
func open(t testing.TB, o Options) *Store {
	t.Helper()
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
		list := shards(t, 2)
		for i := range list {
			p := &list[i].Postgres
			p.Publish, p.DefaultQuota, p.MaxMailboxes, p.MaxKeywords, p.MaxCopy = o.Publish, o.DefaultQuota, o.MaxMailboxes, o.MaxKeywords, o.MaxCopy
			p.FeedRetention, p.ExpungeRetention = o.FeedRetention, o.ExpungeRetention
		}
		return open(t, Options{Shards: list, TempDir: t.TempDir()})
	})
}

// on adds users until one is on each shard that is named, and returns their accounts and
// INBOXes.
func spread(t testing.TB, s *Store, names ...string) (accounts []mailbox.AccountID, boxes []mailbox.ID) {
	t.Helper()
	for _, name := range names {
		user := fmt.Sprintf("user-on-%s-%d", name, time.Now().UnixNano())
		// The choice of a shard is that of the account's ID, which is random: so the others are closed.
		was := make([]bool, len(s.shards))
		for i, sh := range s.shards {
			was[i], sh.Closed = sh.Closed, sh.Name != name
		}
		u, err := s.AddUser(t.Context(), mailbox.User{Name: user}, nil)
		for i, sh := range s.shards {
			sh.Closed = was[i]
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.Lookup(t.Context(), u.Account, mailbox.Inbox)
		if err != nil {
			t.Fatal(err)
		}
		accounts, boxes = append(accounts, u.Account), append(boxes, b.ID)
	}
	return accounts, boxes
}

// add appends one message of about size bytes.
func add(ctx context.Context, s *Store, box mailbox.ID, n, size int, flags ...imap.Flag) (imap.UID, error) {
	d, err := s.Receive(ctx, bytes.NewReader(mail(n, size)), 1<<30)
	if err != nil {
		return 0, err
	}
	defer d.Discard()
	a, err := s.Append(ctx, box, []mailstore.Incoming{{Draft: d, Flags: mailbox.NewFlags(flags...)}})
	if err != nil {
		return 0, err
	}
	return a.Change.Added[0].Start, nil
}

func mail(n, size int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: Ada <ada@example.org>\r\nSubject: Message %d\r\nMessage-ID: <%d@example.org>\r\nIn-Reply-To: <%d@example.org>\r\n\r\n", n, n, n/3)
	for line := 0; b.Len() < size; line++ {
		fmt.Fprintf(&b, "%d: the quick brown fox %x jumps over the lazy dog.\r\n", line, line*line*7919+n)
	}
	return b.Bytes()
}
