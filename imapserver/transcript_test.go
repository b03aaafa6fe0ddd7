package imapserver_test

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/auth"
	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/imapserver"
	"github.com/starling-mail/starling/imapserver/imaptest"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/sqlite"
	"github.com/starling-mail/starling/tracker"
)

var update = flag.Bool("update", false, "rewrite what the server answers in testdata/*.txt")

// TestTranscripts runs the dialogues in testdata/*.txt in fake time. A line is
//
//	# comment
//	A: COMMAND        client A sends the command, with the tag "."
//	A! "bytes"        client A sends bytes, a Go string
//	A> line           what the server wrote to A since
//	connect A B       the clients connect and see the greeting
//	login A B         the same, and log in as alice, unseen
//	hangup A          the client is gone
//	stuck A, read A   the client stops reading, goes on reading
//	deliver BOX N     N messages come into alice's mailbox by another way
//	deliver BOX FILE  the message in testdata/FILE does
//	sleep 30m         time passes
//	shutdown          the server stops
//	lacks X Y         accounts' mailboxes lack these of abilities, from the beginning
//
// A client connects when it is first named.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			var got string
			synctest.Test(t, func(t *testing.T) { got = play(t, dir, string(want)) })
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		})
	}
}

// A world is one server with its store and its clients.
type world struct {
	t       *testing.T
	store   mailstore.Store
	server  *imapserver.Server
	ln      *imaptest.Listener
	user    mailbox.User
	clients map[string]*imaptest.Conn
	serial  int
}

// fakeAuth lets everybody in who is in the store and says "secret".
type fakeAuth struct{ store mailstore.Store }

func (fakeAuth) Mechanisms() []string { return auth.Mechanisms() }

func (a fakeAuth) LoginAs(ctx context.Context, _ netip.Addr, c auth.Credentials) (mailbox.User, error) {
	identity, user, password := c.Identity, c.User, c.Password
	u, err := a.store.User(ctx, user)
	if mailbox.KindOf(err) == mailbox.NonExistent || err == nil && password != "secret" {
		return mailbox.User{}, auth.ErrCredentials
	}
	if err == nil && identity != "" && identity != user {
		return mailbox.User{}, &mailbox.Error{Kind: mailbox.NoPerm, Op: "login"}
	}
	return u, err
}

func newWorld(t *testing.T, dir string, settings imapserver.Settings, lacks mailstore.Ability) *world {
	bus := eventbus.New(eventbus.Options{Log: zerolog.Nop()})
	store, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, Publish: bus.Publish, Log: zerolog.Nop(),
		DefaultQuota: func() mailbox.QuotaLimits { return mailbox.QuotaLimits{Storage: 1 << 20, Messages: 2000} }})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: store, ln: imaptest.NewListener(), clients: map[string]*imaptest.Conn{}}
	trackers := tracker.New(tracker.Options{Store: store, Bus: bus, Log: zerolog.Nop(), Budget: 1 << 20})
	for _, name := range []string{"alice", "admin"} {
		u, err := store.AddUser(t.Context(), mailbox.User{Name: name, Admin: name == "admin"}, []mailstore.NewMailbox{
			{Name: "Drafts", SpecialUse: []imap.MailboxAttr{imap.MailboxAttrDrafts}},
			{Name: "Sent", SpecialUse: []imap.MailboxAttr{imap.MailboxAttrSent}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if name == "alice" {
			w.user = u
		}
	}
	w.server, err = imapserver.New(imapserver.Options{
		Store: &foreign{Store: store, traits: mailstore.Traits{Lacks: lacks}}, Lacks: lacks,
		Trackers: trackers, Auth: fakeAuth{store}, Settings: settings, Log: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		served <- w.server.Serve(context.Background(), w.ln, imapserver.ListenerOptions{PlaintextAuth: imapserver.PlaintextLoopback})
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := w.server.Shutdown(ctx); err != nil {
			t.Error("shutdown:", err)
		}
		if err := <-served; err != nil {
			t.Error("serve:", err)
		}
		trackers.Close()
		bus.Close(ctx)
		if err := store.Close(); err != nil {
			t.Error("store:", err)
		}
	})
	return w
}

// play runs a transcript and returns it with what the server really answered.
func play(t *testing.T, dir, script string) string {
	settings := imapserver.DefaultSettings()
	settings.AppendLimit = 1 << 20
	w := newWorld(t, dir, settings, lacking(t, script))
	var out strings.Builder
	for line := range strings.SplitSeq(strings.TrimSuffix(script, "\n"), "\n") {
		if len(line) > 1 && line[1] == '>' {
			continue // an answer
		}
		out.WriteString(line + "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		w.do(line)
		synctest.Wait()
		w.answers(&out)
	}
	return out.String()
}

// client returns a client, which connects if it is new.
func (w *world) client(name string) *imaptest.Conn {
	if w.clients[name] == nil {
		w.clients[name] = w.ln.Connect()
	}
	return w.clients[name]
}

// do carries out one line.
func (w *world) do(line string) {
	if name, command, ok := strings.Cut(line, ": "); ok && len(name) == 1 {
		w.client(name).Send(". " + command + "\r\n")
		return
	}
	if name, quoted, ok := strings.Cut(line, "! "); ok && len(name) == 1 {
		raw, err := strconv.Unquote(quoted)
		if err != nil {
			w.t.Fatalf("%s: %v", line, err)
		}
		w.client(name).Send(raw)
		return
	}
	words := strings.Fields(line)
	for _, name := range words[1:] {
		switch words[0] {
		case "connect":
			w.client(name)
		case "login":
			c := w.client(name)
			c.Send(". LOGIN alice secret\r\n")
			synctest.Wait()
			c.Received()
		case "hangup":
			w.client(name).HangUp()
		case "stuck", "read":
			w.client(name).SetStuck(words[0] == "stuck")
		}
	}
	switch words[0] {
	case "connect", "login", "hangup", "stuck", "read", "lacks":
	case "sleep":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			w.t.Fatal(err)
		}
		time.Sleep(d)
	case "deliver":
		w.deliver(words[1], words[2])
	case "shutdown":
		go w.server.Shutdown(context.Background())
	default:
		w.t.Fatalf("unknown line %q", line)
	}
}

// deliver puts messages into a mailbox of alice's, not by IMAP.
func (w *world) deliver(box, what string) {
	n, err := strconv.Atoi(what)
	var texts []string
	if err != nil {
		b, err := os.ReadFile(filepath.Join("testdata", what))
		if err != nil {
			w.t.Fatal(err)
		}
		texts = []string{strings.ReplaceAll(string(b), "\n", "\r\n")}
	}
	for range n {
		w.serial++
		texts = append(texts, fmt.Sprintf("From: Bob <bob@example.org>\r\nSubject: message %d\r\nDate: Sat, 1 Jan 2000 00:00:%02d +0000\r\nMessage-ID: <%d@example.org>\r\n\r\nThis is message %d.\r\n",
			w.serial, w.serial%60, w.serial, w.serial))
	}
	info, err := w.store.Lookup(w.t.Context(), w.user.Account, box)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, text := range texts {
		draft, err := w.store.Receive(w.t.Context(), strings.NewReader(text), 1<<20)
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := w.store.Append(w.t.Context(), info.ID, []mailstore.Incoming{{Draft: draft}}); err != nil {
			w.t.Fatal(err)
		}
		draft.Discard()
	}
}

// answers writes what the clients have got.
func (w *world) answers(out *strings.Builder) {
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for n := range w.clients {
			if !yield(n) {
				return
			}
		}
	}) {
		c := w.clients[name]
		text := c.Received()
		for line := range strings.SplitSeq(strings.TrimSuffix(text, "\r\n"), "\r\n") {
			if text == "" {
				break
			}
			if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) {
				line = strconv.Quote(line)
			}
			fmt.Fprintf(out, "%s> %s\n", name, line)
		}
		if c.Closed() {
			fmt.Fprintf(out, "%s> (closed)\n", name)
			delete(w.clients, name)
		}
	}
}
