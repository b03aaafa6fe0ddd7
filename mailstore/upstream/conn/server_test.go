package conn_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/auth"
	"github.com/starling-mail/starling/e2e/courier"
	"github.com/starling-mail/starling/e2e/dovecot"
	"github.com/starling-mail/starling/e2e/testhost"
	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/imapserver"
	"github.com/starling-mail/starling/imapserver/stream"
	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/memory"
	"github.com/starling-mail/starling/mailstore/upstream/conn"
	"github.com/starling-mail/starling/tracker"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// starling serves ada's mail by Starling itself, on a loopback port with STARTTLS.
func starling(t testing.TB) *conn.Dialer {
	t.Helper()
	bus := eventbus.New(eventbus.Options{Log: zerolog.Nop()})
	store := memory.New(memory.Options{}).Open(memory.Node{Publish: bus.Publish})
	trackers := tracker.New(tracker.Options{Store: store, Bus: bus, Log: zerolog.Nop()})
	if _, err := store.AddUser(t.Context(), mailbox.User{Name: "ada"}, nil); err != nil {
		t.Fatal(err)
	}
	certFile, keyFile, err := testhost.SelfSigned(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	server, err := imapserver.New(imapserver.Options{
		Store: store, Trackers: trackers, Auth: everybody{store}, Log: zerolog.Nop(), TLS: &tls.Config{Certificates: []tls.Certificate{cert}},
		Settings: imapserver.DefaultSettings(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- server.Serve(context.Background(), ln, imapserver.ListenerOptions{PlaintextAuth: imapserver.PlaintextAlways})
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(server.Shutdown(ctx), <-done); err != nil {
			t.Error(err)
		}
		trackers.Close()
		bus.Close(context.Background())
		store.Close()
	})
	return dialer(ln.Addr().String(), conn.StartTLS)
}

// everybody may log in, with the password "secret".
type everybody struct{ store *memory.Store }

func (everybody) Mechanisms() []string { return auth.Mechanisms() }

func (e everybody) LoginAs(ctx context.Context, _ netip.Addr, c auth.Credentials) (mailbox.User, error) {
	if c.Password != "secret" {
		return mailbox.User{}, &mailbox.Error{Kind: mailbox.NoPerm, Op: "login"}
	}
	return e.store.User(ctx, c.User)
}

func dialer(addr string, s conn.Security) *conn.Dialer {
	return &conn.Dialer{Addr: addr, Security: s, TLS: &tls.Config{InsecureSkipVerify: true},
		Limits: conn.DefaultLimits(), Timeouts: conn.DefaultTimeouts()}
}

// dovecots serves ada's mail by Dovecot.
func dovecots(t testing.TB) *conn.Dialer {
	t.Helper()
	s, err := dovecot.Start(t.Context(), dovecot.Config{Users: []string{"ada"}, Password: "secret"})
	running(t, s, err)
	return dialer(s.IMAPS, conn.TLS)
}

// couriers serves ada's mail by Courier.
func couriers(t testing.TB) *conn.Dialer {
	t.Helper()
	s, err := courier.Start(t.Context(), courier.Config{Users: []string{"ada"}, Password: "secret"})
	running(t, s, err)
	return dialer(s.IMAP, conn.Plain)
}

func running(t testing.TB, s io.Closer, err error) {
	t.Helper()
	if (errors.Is(err, dovecot.ErrMissing) || errors.Is(err, courier.ErrMissing)) && os.Getenv("STARLING_E2E") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// servers are those that everything is tried on.
var servers = []struct {
	name  string
	start func(testing.TB) *conn.Dialer
	e2e   bool
}{{"starling", starling, false}, {"dovecot", dovecots, true}, {"courier", couriers, true}}

// eachServer runs f on each of them; most of the time is spent waiting for Courier.
func eachServer(t *testing.T, f func(t *testing.T, d *conn.Dialer)) {
	t.Parallel()
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			if s.e2e && os.Getenv("STARLING_E2E") == "" {
				t.Skip("runs with STARLING_E2E=1")
			}
			f(t, s.start(t))
		})
	}
}

// login connects as ada.
func login(t testing.TB, d *conn.Dialer) *conn.Conn {
	t.Helper()
	c, err := d.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	auth := conn.PasswordLogin("ada", "secret")
	if c.Caps().Has("AUTH=PLAIN") {
		auth = conn.SASLPlain("", "ada", "secret")
	}
	if err := c.Login(t.Context(), auth); err != nil {
		t.Fatal(err)
	}
	if c.Caps().Has(imap.CapQResync) {
		do(t, c, &conn.Enable{Caps: []imap.Cap{imap.CapQResync}})
	}
	return c
}

// messages are octets that clients and servers like to change.
func messages() []string {
	random := make([]byte, 300_000)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(random)
	for i := range random {
		if random[i] == 0 || random[i] == '\r' || random[i] == '\n' {
			random[i] = 'x'
		}
	}
	for i := 900; i < len(random)-1; i += 900 {
		copy(random[i:], "\r\n")
	}
	return []string{
		"Subject: plain\r\n\r\nhello\r\n",
		"Subject: =?utf-8?q?=C3=BCber?= =?iso-8859-1?b?5Pb8?=\r\nFrom: \"a\\\"b\" <a@b>, =?x?q?y?= <z>\r\n\r\nwords\r\n",
		"Subject: \xe4\xf6\xfc raw 8-bit\r\nFrom: J\xc3\xbcrgen <j@x>\r\n\r\nbody \xff\xfe\r\n",
		"Subject: no body\r\n\r\n",
		"no header at all\r\n",
		"Subject: no newline at the end\r\n\r\nx",
		"Subject: {3}\r\n\r\n)\r\ns1 OK done\r\n* BYE\r\n",
		"Content-Type: multipart/mixed; boundary=\"a\"\r\n\r\n--a\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nx\r\n--a--\r\n",
		"Subject: big\r\n\r\n" + string(random) + "\r\n",
	}
}

func appended(list []string) []conn.Message {
	var m []conn.Message
	for _, s := range list {
		m = append(m, conn.Message{Flags: []imap.Flag{imap.FlagSeen}, Size: int64(len(s)), Body: strings.NewReader(s)})
	}
	return m
}

// TestBytes: messages come back octet by octet, from each server, by each way to read them.
func TestBytes(t *testing.T) {
	eachServer(t, func(t *testing.T, d *conn.Dialer) {
		c := login(t, d)
		list := messages()
		for i, m := range appended(list) {
			do(t, c, &conn.Append{Mailbox: "INBOX", Messages: []conn.Message{m}})
			if strings.HasSuffix(t.Name(), "courier") && !strings.HasSuffix(list[i], "\n") {
				list[i] += "\r\n" // as Courier stores it
			}
		}
		box, all := conn.Select{Mailbox: "INBOX", ReadOnly: true}, conn.Search{Key: wire.SearchAnd{}}
		do(t, c, &box, &all)
		if int(box.Exists) != len(list) || box.UIDValidity == 0 || box.UIDNext != 0 && int(box.UIDNext) <= len(list) || all.UIDs.String() == "" {
			t.Fatalf("%+v\n%+v", box, all)
		}
		m := c.Fetch(t.Context(), conn.Fetch{UIDs: all.UIDs, Items: "UID RFC822.SIZE FLAGS INTERNALDATE ENVELOPE BODYSTRUCTURE BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[]<3.5>"})
		n := 0
		for ; m.Next(); n++ {
			got := map[string]string{}
			for i := m.Item(); i != nil; i = m.Item() {
				switch {
				case i.Body != nil:
					var b bytes.Buffer
					if _, err := io.Copy(&b, i.Body); err != nil {
						t.Fatal(err)
					}
					got[i.Name] = b.String()
				case i.Name == "RFC822.SIZE" && int(i.Number) != len(list[n]):
					t.Errorf("message %d: size %d", n, i.Number)
				case i.Name == "INTERNALDATE" && time.Since(i.Time).Abs() > time.Hour:
					t.Errorf("message %d: date %v", n, i.Time)
				case i.Name == "FLAGS" && i.Flags.System != mailbox.Seen:
					t.Errorf("message %d: flags %v", n, i.Flags)
				case i.Name == "ENVELOPE" || i.Name == "BODYSTRUCTURE":
					if len(i.Raw) < 10 || i.Raw[0] != '(' || i.Raw[len(i.Raw)-1] != ')' {
						t.Errorf("message %d: %s %q", n, i.Name, i.Raw)
					}
				}
			}
			if got["BODY[]"] != list[n] || got["BODY[]<3>"] != list[n][3:8] {
				t.Errorf("message %d is not what it was: %.200q", n, got["BODY[]"])
			}
			if head := got["BODY[HEADER]"]; !strings.HasPrefix(list[n], strings.TrimRight(head, "\r\n")) {
				t.Errorf("message %d: header %.200q", n, head)
			}
		}
		if err := m.Close(); err != nil || n != len(list) {
			t.Errorf("%d messages, %v", n, err)
		}
		if err := c.Logout(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestCommands: a session's worth of the others.
func TestCommands(t *testing.T) {
	eachServer(t, func(t *testing.T, d *conn.Dialer) {
		c := login(t, d)
		caps := c.Caps()
		ns := conn.Namespace{}
		do(t, c, &ns)
		if caps.Has(imap.CapID) {
			do(t, c, &conn.ID{Fields: [][2]string{{"name", "test"}}})
		}
		if len(ns.Personal) != 1 {
			t.Fatalf("namespaces %+v", ns)
		}
		name := ns.Personal[0].Name + "Entwürfe & \"mehr\""
		sub := name + ns.Personal[0].Delimiter + "日本語"
		do(t, c, &conn.Create{Mailbox: name}, &conn.Create{Mailbox: sub}, &conn.Subscribe{Mailbox: name})
		exists := conn.Create{Mailbox: name}
		if _, ok := c.Do(t.Context(), &exists).(*conn.StatusError); !ok {
			t.Errorf("made twice: %v", exists.Err)
		}
		list, lsub := conn.List{}, conn.List{LSub: true}
		if caps.Has(imap.CapListStatus) {
			list.Status = conn.StatusMessages | conn.StatusUIDNext
		}
		do(t, c, &list, &lsub)
		for _, n := range []string{name, sub, "INBOX"} {
			i := slices.IndexFunc(list.Entries, func(e conn.Entry) bool { return e.Name == n })
			if i < 0 || list.Status != 0 && list.Entries[i].Status == nil || list.Entries[i].Delimiter != ns.Personal[0].Delimiter {
				t.Errorf("%s: %+v", n, list.Entries)
			}
		}
		if !slices.ContainsFunc(lsub.Entries, func(e conn.Entry) bool { return e.Name == name }) {
			t.Errorf("subscribed: %+v", lsub.Entries)
		}

		add := conn.Append{Mailbox: name, Messages: appended(messages()[:1])}
		three := []conn.Command{&add}
		for range 2 {
			three = append(three, &conn.Append{Mailbox: name, Messages: appended(messages()[1:2])})
		}
		do(t, c, three...)
		if caps.Has(imap.CapUIDPlus) && (add.UIDs.String() != "1" || add.UIDValidity == 0) {
			t.Errorf("APPENDUID %+v", add)
		}
		box, status := conn.Select{Mailbox: name}, conn.Status{Mailbox: sub, Items: conn.StatusMessages | conn.StatusUIDValidity}
		do(t, c, &status, &box)
		if box.Exists != 3 || status.Data.UIDValidity == 0 || c.Selected().Name != name {
			t.Errorf("%+v %+v", box, status)
		}
		if caps.Has(imap.CapCondStore) && box.HighestModSeq == 0 {
			t.Error("no HIGHESTMODSEQ")
		}
		flag := conn.Store{UIDs: uids(2, 3), Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}
		search := conn.Search{Key: wire.SearchFlag(imap.FlagDeleted)}
		text := conn.Search{Key: wire.SearchAnd{wire.SearchText{In: wire.InText, Text: "hello"}, wire.SearchNot{Key: wire.SearchText{In: wire.InText, Text: "fünf"}}}}
		none := conn.Search{Key: wire.SearchAnd{wire.SearchFlag(imap.FlagDraft), wire.SearchSize{Larger: true, Size: 10}}}
		do(t, c, &flag, &search, &text, &none)
		same(t, "deleted", search.UIDs, uids(2, 3))
		same(t, "text", text.UIDs, uids(1, 1))
		same(t, "none", none.UIDs, uids())
		if len(flag.Rows) != 2 || flag.Rows[0].Flags.System != mailbox.Seen|mailbox.Deleted {
			t.Errorf("rows %+v", flag.Rows)
		}

		var gone []string
		c.Updates = func(u conn.Update) {
			switch u.Kind {
			case conn.Expunged:
				gone = append(gone, fmt.Sprintf("number %d", u.Num))
			case conn.Vanished:
				gone = append(gone, "UID "+u.UIDs.String())
			}
		}
		copied := conn.Copy{UIDs: uids(1, 2), Mailbox: sub}
		do(t, c, &copied, &conn.Expunge{UIDs: uids(3, 9)}, &conn.Noop{})
		same(t, "copied", []imap.UIDSet{copied.Source, copied.Dest}, []imap.UIDSet{uids(1, 2), uids(1, 2)})
		if want := "number 3"; len(gone) != 1 || gone[0] != want && gone[0] != "UID 3" {
			t.Errorf("gone: %v", gone)
		}
		bad := conn.Copy{UIDs: uids(1, 2), Mailbox: ns.Personal[0].Name + "none"}
		if err := c.Do(t.Context(), &bad); conn.CodeOf(err) != imap.ResponseCodeTryCreate {
			t.Errorf("copy to nowhere: %v", err)
		}
		if caps.Has(imap.CapQResync) {
			resync := conn.Select{Mailbox: name, ReadOnly: true, Since: &conn.Since{UIDValidity: box.UIDValidity, ModSeq: box.HighestModSeq}}
			do(t, c, &resync)
			if resync.Vanished.String() != "3" || len(resync.Changed) != 1 || resync.Changed[0].UID != 2 || resync.HighestModSeq <= box.HighestModSeq {
				t.Errorf("resync %+v", resync)
			}
		}
		if caps.Has(imap.CapQuota) {
			do(t, c, &conn.Quota{Mailbox: "INBOX"})
		}
		if caps.Has(imap.CapUnselect) {
			do(t, c, &conn.Unselect{})
		} else {
			do(t, c, &conn.Select{Mailbox: "INBOX"}) // not everybody deletes or renames what is selected
		}
		do(t, c, &conn.Rename{From: sub, To: sub + "x"}, &conn.Subscribe{Mailbox: name, Off: true}, &conn.Delete{Mailbox: sub + "x"})
		if n := c.Skipped(); n > 0 {
			t.Errorf("%d responses were not understood", n)
		}
	})
}

// TestPipelined: commands of all kinds in one write, whose replies a server may put off.
func TestPipelined(t *testing.T) {
	eachServer(t, func(t *testing.T, d *conn.Dialer) {
		c := login(t, d)
		for range 3 {
			do(t, c, &conn.Append{Mailbox: "INBOX", Messages: appended(messages()[:1])})
		}
		box := conn.Select{Mailbox: "INBOX"}
		do(t, c, &box)
		for round := range 3 {
			store := conn.Store{UIDs: uids(1, 2), Op: imap.StoreFlagsOp(1 + round%2), Flags: []imap.Flag{imap.FlagFlagged}}
			flagged, all := conn.Search{Key: wire.SearchFlag(imap.FlagFlagged)}, conn.Search{Key: wire.SearchAnd{}}
			again := conn.Select{Mailbox: "INBOX", ReadOnly: true}
			if c.QResync() {
				again.Since = &conn.Since{UIDValidity: box.UIDValidity, ModSeq: box.HighestModSeq}
			}
			back := conn.Select{Mailbox: "INBOX"}
			m := c.Fetch(t.Context(), conn.Fetch{UIDs: uids(1, 0), Items: "UID FLAGS"}, &store, &flagged, &all, &again)
			n := 0
			for m.Next() {
				if row := m.Row(); row.UID == 1 && row.Flags.System&mailbox.Flagged != 0 != (round%2 == 0) {
					t.Errorf("row %+v", row)
				}
				n++
			}
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
			want := imap.UIDSet(nil)
			if round%2 == 0 {
				want = uids(1, 2)
			}
			same(t, "searches", []imap.UIDSet{flagged.UIDs, all.UIDs}, []imap.UIDSet{want, uids(1, 3)})
			if n != 3 || len(store.Rows) != 2 || again.Exists != 3 || c.QResync() && len(again.Changed) != 2 {
				t.Errorf("%d messages\n%+v\n%+v", n, store, again)
			}
			do(t, c, &back)
			box = back
		}
		if n := c.Skipped(); n > 0 {
			t.Errorf("%d responses were not understood", n)
		}
	})
}

// TestWrongPassword is told from everything else.
func TestWrongPassword(t *testing.T) {
	eachServer(t, func(t *testing.T, d *conn.Dialer) {
		c, err := d.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if e, ok := c.Login(t.Context(), conn.PasswordLogin("ada", "wrong")).(*conn.StatusError); !ok || e.Type != imap.StatusResponseTypeNo {
			t.Errorf("%v", e)
		}
	})
}

// TestCompressed: a session with compression, in which nothing waits for anything that has been sent.
func TestCompressed(t *testing.T) {
	d := starling(t)
	var err error
	if d.Deflate, err = stream.NewDeflate(6); err != nil {
		t.Fatal(err)
	}
	c := login(t, d)
	if err := c.Compress(t.Context()); err != nil {
		t.Fatal(err)
	}
	list := messages()
	for _, m := range appended(list) {
		do(t, c, &conn.Append{Mailbox: "INBOX", Messages: []conn.Message{m}})
	}
	do(t, c, &conn.Select{Mailbox: "INBOX"})
	m := c.Fetch(t.Context(), conn.Fetch{UIDs: uids(1, 0), Items: "BODY[]"})
	n := 0
	for ; m.Next(); n++ {
		for i := m.Item(); i != nil; i = m.Item() {
			if i.Body == nil {
				continue
			}
			if b, err := io.ReadAll(i.Body); err != nil || string(b) != list[n] {
				t.Errorf("message %d: %v, %.100q", n, err, b)
			}
		}
	}
	if err := m.Close(); err != nil || n != len(list) {
		t.Errorf("%d messages, %v", n, err)
	}
	until, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.Idle(t.Context(), until); err != nil {
		t.Error(err)
	}
	if _, ok := c.Compress(t.Context()).(*conn.StatusError); !ok {
		t.Error("compressed twice")
	}
	if err := c.Logout(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestIdleTells: what another connection does is told in IDLE, where there is any.
func TestIdleTells(t *testing.T) {
	eachServer(t, func(t *testing.T, d *conn.Dialer) {
		if strings.HasSuffix(t.Name(), "courier") {
			t.Skip("Courier has no IDLE")
		}
		watcher, other := login(t, d), login(t, d)
		do(t, watcher, &conn.Select{Mailbox: "INBOX", ReadOnly: true})
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		until, done := context.WithCancel(ctx)
		var seen []conn.Update
		watcher.Updates = func(u conn.Update) {
			if u.Kind == conn.Exists {
				seen = append(seen, u)
				done()
			}
		}
		idle := make(chan error, 1)
		go func() { idle <- watcher.Idle(ctx, until) }()
		do(t, other, &conn.Append{Mailbox: "INBOX", Messages: appended(messages()[:1])})
		if err := <-idle; err != nil || len(seen) == 0 || seen[0].Num != 1 {
			t.Errorf("%v, %+v", err, seen)
		}
		do(t, watcher, &conn.Noop{})
	})
}
