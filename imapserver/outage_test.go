package imapserver_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-imap/v2"
	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/imapserver"
	"github.com/starling-mail/starling/imapserver/imaptest"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/memory"
	"github.com/starling-mail/starling/tracker"
)

// TestStoreGoesAway shows what a client is told when the store can no longer be reached in the middle of a command: nothing that
// is not so, and later what the command has done nevertheless.
func TestStoreGoesAway(t *testing.T) {
	for name, c := range map[string]struct{ command, after, want string }{
		"STORE":          {"STORE 2 +FLAGS (\\Flagged)", "UpdateFlags", "* 2 FETCH (UID 2 FLAGS (\\Flagged \\Recent) MODSEQ (5))\r\n"},
		"STORE silently": {"STORE 2 +FLAGS.SILENT (\\Flagged)", "UpdateFlags", "* 2 FETCH (UID 2 FLAGS (\\Flagged \\Recent) MODSEQ (5))\r\n"},
		"FETCH":          {"FETCH 2 (BODY[])", "UpdateFlags", "* 2 FETCH (UID 2 FLAGS (\\Seen \\Recent) MODSEQ (5))\r\n"},
		"SELECT":         {"SELECT INBOX (QRESYNC (7 1))", "Snapshot", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var goes atomic.Value // after which call
				var away atomic.Bool
				goes.Store("")
				hook := func(_ context.Context, step memory.Step, op string) error {
					if away.Load() && step == memory.Before {
						return &mailbox.Error{Kind: mailbox.Unavailable, Op: op}
					}
					if step == memory.After && op == goes.Load() {
						away.Store(true)
					}
					return nil
				}
				conn, _ := serveMemory(t, hook)
				do := func(command string) string {
					conn.Send(". " + command + "\r\n")
					synctest.Wait()
					return conn.Received()
				}
				do("LOGIN alice secret")
				do("ENABLE QRESYNC")
				opened := do("SELECT INBOX")
				_, validity, _ := strings.Cut(opened, "[UIDVALIDITY ")
				validity, _, _ = strings.Cut(validity, "]")
				goes.Store(c.after)
				answer := do(strings.Replace(c.command, "(7 ", "("+validity+" ", 1))
				if !strings.Contains(answer, "\r\n. NO [UNAVAILABLE]") && !strings.HasPrefix(answer, ". NO [UNAVAILABLE]") {
					t.Fatalf("the outage was not noticed: %q", answer)
				}
				if name == "SELECT" && strings.Contains(answer, "HIGHESTMODSEQ") {
					t.Errorf("a SELECT that fails has told %q", answer)
				}
				goes.Store("")
				away.Store(false)
				if answer += do("NOOP"); !strings.Contains(answer, c.want) {
					t.Errorf("%q was told, not %q", answer, c.want)
				}
			})
		})
	}
}

// TestHalfOfAChange shows what a client with QRESYNC is told when flags change while they are read to be told: it must not take
// HIGHESTMODSEQ from a message that it was told of, as long as others of the same Change are not told (RFC 7162 §6).
func TestHalfOfAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var meanwhile func()
		conn, store := serveMemory(t, func(_ context.Context, step memory.Step, op string) error {
			if f := meanwhile; f != nil && op == "Page" && step == memory.Before {
				meanwhile = nil
				f()
			}
			return nil
		})
		do := func(command string) string {
			conn.Send(". " + command + "\r\n")
			synctest.Wait()
			return conn.Received()
		}
		do("LOGIN alice secret")
		do("ENABLE QRESYNC")
		do("SELECT INBOX")
		other := store.world.Open(memory.Node{})
		alice, err := other.User(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		inbox, err := other.Lookup(t.Context(), alice.Account, "INBOX")
		if err != nil {
			t.Fatal(err)
		}
		flag := func(first, last imap.UID, f mailbox.SystemFlags) *mailbox.Change {
			done, err := other.UpdateFlags(t.Context(), inbox.ID, imap.UIDSet{{Start: first, Stop: last}},
				mailstore.FlagUpdate{Op: imap.StoreFlagsAdd, Flags: mailbox.Flags{System: f}})
			if err != nil {
				t.Error(err)
			}
			return done.Change
		}
		// Of this one only a hint comes, so that its flags have to be read.
		hint := *flag(2, 2, mailbox.Flagged)
		store.bus.Publish([]mailbox.Event{mailbox.ChangeEvent(&mailbox.Change{
			Mailbox: hint.Mailbox, Account: hint.Account, Line: hint.Line, ModSeq: hint.ModSeq, Truncated: true,
		})})
		synctest.Wait()
		meanwhile = func() { store.bus.Publish([]mailbox.Event{mailbox.ChangeEvent(flag(1, 2, mailbox.Seen))}) }
		answer := do("NOOP")
		if !strings.Contains(answer, "* 2 FETCH (UID 2 FLAGS (\\Flagged \\Seen \\Recent) MODSEQ (6))") || strings.Contains(answer, "UID 1") {
			t.Fatalf("not what is to be tested: %q", answer)
		}
		if !strings.Contains(answer, "* OK [HIGHESTMODSEQ 5]") {
			t.Errorf("the client may believe that it has everything up to 6: %q", answer)
		}
		if answer = do("NOOP"); !strings.Contains(answer, "* 1 FETCH (UID 1 FLAGS (\\Seen \\Recent) MODSEQ (6))") {
			t.Errorf("not told: %q", answer)
		}
	})
}

// TestKnowsMore shows that a client with QRESYNC that comes from another node, and knows messages of which this one has not heard
// yet, is told how their flags have changed since.
func TestKnowsMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, store := serveMemory(t, func(context.Context, memory.Step, string) error { return nil })
		do := func(conn *imaptest.Conn, command string) string {
			conn.Send(". " + command + "\r\n")
			synctest.Wait()
			return conn.Received()
		}
		do(conn, "LOGIN alice secret")
		opened := do(conn, "SELECT INBOX") // so that the tracker stays as it is now
		_, validity, _ := strings.Cut(opened, "[UIDVALIDITY ")
		validity, _, _ = strings.Cut(validity, "]")

		silent := store.world.Open(memory.Node{}) // a node from which nothing is heard
		alice, err := silent.User(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		inbox, err := silent.Lookup(t.Context(), alice.Account, "INBOX")
		if err != nil {
			t.Fatal(err)
		}
		draft, err := silent.Receive(t.Context(), strings.NewReader("Subject: x\r\n\r\n"), 1<<10)
		if err != nil {
			t.Fatal(err)
		}
		defer draft.Discard()
		known, err := silent.Append(t.Context(), inbox.ID, []mailstore.Incoming{{Draft: draft}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := silent.UpdateFlags(t.Context(), inbox.ID, known.Change.Added,
			mailstore.FlagUpdate{Op: imap.StoreFlagsAdd, Flags: mailbox.Flags{System: mailbox.Flagged}}); err != nil {
			t.Fatal(err)
		}
		other := store.ln.Connect()
		do(other, "LOGIN alice secret")
		do(other, "ENABLE QRESYNC")
		answer := do(other, fmt.Sprintf("SELECT INBOX (QRESYNC (%s %d 1:4))", validity, known.Change.ModSeq))
		if !strings.Contains(answer, "* 4 EXISTS") || !strings.Contains(answer, "* 4 FETCH (UID 4 FLAGS (\\Flagged") {
			t.Errorf("not told: %q", answer)
		}
		// Nobody needs to know a mod-sequence that there never was.
		if answer = do(other, fmt.Sprintf("SELECT INBOX (QRESYNC (%s 4711 1:4))", validity)); !strings.Contains(answer, "\r\n. OK ") {
			t.Errorf("told %q", answer)
		}
	})
}

// serveMemory serves three messages in alice's INBOX from a store in memory whose calls are disturbed by hook, with a tracker that remembers no
// flags. It returns a connection, and what is behind.
func serveMemory(t *testing.T, hook memory.Hook) (*imaptest.Conn, *foreign) {
	store := &foreign{hook: hook, mail: []string{"Subject: x\r\n\r\n", "Subject: x\r\n\r\n", "Subject: x\r\n\r\n"}}
	store.ln = serveForeign(t, store, imapserver.DefaultSettings())
	conn := store.ln.Connect()
	synctest.Wait()
	conn.Received()
	return conn, store
}

// serveForeign fills store with one in memory that has its mail in alice's INBOX, and serves it.
func serveForeign(t *testing.T, store *foreign, settings imapserver.Settings) *imaptest.Listener {
	bus, world := eventbus.New(eventbus.Options{Log: zerolog.Nop()}), memory.New(memory.Options{})
	store.bus, store.world = bus, world
	store.Store = world.Open(memory.Node{Publish: bus.Publish, Hook: store.hook})
	alice, err := store.AddUser(t.Context(), mailbox.User{Name: "alice"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	inbox, err := store.Lookup(t.Context(), alice.Account, "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range store.mail {
		draft, err := store.Receive(t.Context(), strings.NewReader(text), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Append(t.Context(), inbox.ID, []mailstore.Incoming{{Draft: draft}}); err != nil {
			t.Fatal(err)
		}
		draft.Discard()
	}
	trackers := tracker.New(tracker.Options{Store: store, Bus: bus, Budget: 1, Log: zerolog.Nop()})
	if store.auth == nil {
		store.auth = fakeAuth{store}
	}
	server, err := imapserver.New(imapserver.Options{Store: store, Trackers: trackers, Auth: store.auth, Settings: settings, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	ln, served := imaptest.NewListener(), make(chan error, 1)
	go func() {
		served <- server.Serve(context.Background(), ln, imapserver.ListenerOptions{PlaintextAuth: imapserver.PlaintextAlways})
	}()
	t.Cleanup(func() {
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		trackers.Close()
		bus.Close(context.Background())
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return ln
}
