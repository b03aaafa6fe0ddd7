package imapserver_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver"
	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/upstream/conn"
)

// An imapRelay asks an IMAP server.
type imapRelay struct {
	mu   sync.Mutex
	conn *conn.Conn
}

func (r *imapRelay) Fetch(ctx context.Context, _ mailbox.ID, uids imap.UIDSet, items *wire.FetchItems) mailstore.Relayed {
	r.mu.Lock()
	a := &imapAnswer{relay: r, sections: map[string][]*wire.FetchSection{}}
	names := []string{"UID"}
	for _, item := range []struct {
		wanted bool
		name   string
	}{
		{items.InternalDate, "INTERNALDATE"}, {items.Size, "RFC822.SIZE"}, {items.Envelope, "ENVELOPE"}, {items.Body, "BODY"},
		{items.BodyStructure, "BODYSTRUCTURE"}, {items.EmailID, "EMAILID"}, {items.ThreadID, "THREADID"}, {items.SaveDate, "SAVEDATE"},
	} {
		if item.wanted {
			names = append(names, item.name)
		}
	}
	for i := range items.Sections {
		s := items.Sections[i]
		if s.Kind < wire.SectionBinary {
			s.Kind = wire.SectionBody // RFC822 and RFC822.TEXT would set \Seen
		}
		var e wire.Encoder
		e.SectionName(&s)
		name := string(e.Buf)
		a.sections[name] = append(a.sections[name], &items.Sections[i])
		name = strings.Replace(strings.Replace(name, "BODY[", "BODY.PEEK[", 1), "BINARY[", "BINARY.PEEK[", 1)
		if p := s.Partial; p != nil {
			name = fmt.Sprintf("%s.%d>", strings.TrimSuffix(name, ">"), p.Size)
		}
		names = append(names, name)
	}
	a.messages = r.conn.Fetch(ctx, conn.Fetch{UIDs: uids, Items: strings.Join(names, " ")})
	return a
}

type imapAnswer struct {
	relay    *imapRelay
	sections map[string][]*wire.FetchSection // by the name that they have in the answer, in the order asked for
	messages *conn.Messages
}

func (a *imapAnswer) Next() imap.UID {
	if a.messages.Next() {
		if item := a.messages.Item(); item != nil && item.Name == "UID" {
			return imap.UID(item.Number)
		}
	}
	return 0
}

func (a *imapAnswer) Item() *mailstore.RelayedItem {
	i := a.messages.Item()
	if i == nil {
		return nil
	}
	item := &mailstore.RelayedItem{Size: i.Number}
	if asked := a.sections[i.Name]; len(asked) > 0 {
		item.Section = asked[0]
		a.sections[i.Name] = append(asked[1:], asked[0]) // the next message has it too
	}
	switch {
	case item.Section == nil:
		var e wire.Encoder
		switch item.Name = i.Name; i.Name {
		case "RFC822.SIZE":
			e.Number(uint64(i.Number))
		case "INTERNALDATE":
			e.DateTime(i.Time)
		default:
			e.Raw(string(i.Raw))
		}
		item.Value = e.Buf
	case i.Body != nil:
		item.Data, item.Size = i.Body, i.Body.Size()
		if item.Section.Kind == wire.SectionBinary {
			item.Binary = true
		}
	}
	return item
}

func (a *imapAnswer) Close() error {
	defer a.relay.mu.Unlock()
	if err := a.messages.Close(); err != nil {
		return &mailbox.Error{Kind: mailbox.Cannot, Op: "fetch", Err: err}
	}
	return nil
}

// sectionsToTry are put together with part numbers and partials.
var sectionsToTry = []string{"BODY.PEEK[%s]", "BODY.PEEK[%sTEXT]", "BODY.PEEK[%sHEADER]", "BODY.PEEK[%sMIME]",
	"BODY.PEEK[%sHEADER.FIELDS (Subject X-Note)]", `BODY.PEEK[%sHEADER.FIELDS.NOT (To "X Y")]`, "BINARY.PEEK[%s]", "BINARY.SIZE[%s]",
	"RFC822.HEADER"}

// randomItems makes what FETCH asks for: some items, some sections, none of them twice.
func randomItems(rnd *rand.Rand) string {
	var items []string
	for _, name := range []string{"UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY", "BODYSTRUCTURE", "EMAILID", "THREADID", "SAVEDATE"} {
		if rnd.IntN(3) == 0 {
			items = append(items, name)
		}
	}
	for range 1 + rnd.IntN(4) {
		s := sectionsToTry[rnd.IntN(len(sectionsToTry))]
		part := []string{"", "1.", "2.", "3.", "1.1.", "3.1.", "3.2.", "9."}[rnd.IntN(8)]
		if strings.Contains(s, "%sMIME") && part == "" {
			part = "1."
		}
		if strings.Contains(s, "%s]") {
			part = strings.TrimSuffix(part, ".")
		}
		s = strings.Replace(s, "%s", part, 1)
		if rnd.IntN(3) == 0 && strings.HasSuffix(s, "]") && !strings.HasPrefix(s, "BINARY.SIZE") {
			s += []string{"<0.1>", "<3.50>", "<5000.10>"}[rnd.IntN(3)]
		}
		name, _, _ := strings.Cut(s, "<")
		if !slices.ContainsFunc(items, func(i string) bool { return strings.HasPrefix(i, name) }) {
			items = append(items, s)
		}
	}
	return strings.Join(items, " ")
}

// TestRelayEqual fetches the same from a server and through another one that relays to it: what is written must be the same, octet
// by octet.
func TestRelayEqual(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 30
	}
	h := newHost(t, imapserver.DefaultSettings())
	mime, err := os.ReadFile("testdata/mime.eml")
	if err != nil {
		t.Fatal(err)
	}
	inbox, err := h.store.Lookup(t.Context(), h.user.Account, "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		strings.ReplaceAll(string(mime), "\n", "\r\n"),
		"Subject: \"quoted\" \\ and {5}\r\nTo: \r\n\r\nbare\nline feeds\rand \x80\xff\r\n",
		"no header",
		"Subject: long\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 5000),
		"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC!!!AwQ=",
	} {
		draft, err := h.store.Receive(t.Context(), strings.NewReader(text), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.store.Append(t.Context(), inbox.ID, []mailstore.Incoming{{Draft: draft}}); err != nil {
			t.Fatal(err)
		}
		draft.Discard()
	}
	addr := h.listen(imapserver.ListenerOptions{})

	// The relaying server has the same store, whose messages it asks the other one for.
	dialer := conn.Dialer{Addr: addr, Security: conn.Plain, Limits: conn.DefaultLimits(), Timeouts: conn.DefaultTimeouts()}
	upstream, err := dialer.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer upstream.Close()
	if err := upstream.Login(t.Context(), conn.PasswordLogin("alice", "secret")); err != nil {
		t.Fatal(err)
	}
	if err := upstream.Do(t.Context(), &conn.Select{Mailbox: "INBOX", ReadOnly: true}); err != nil {
		t.Fatal(err)
	}
	proxy := &host{t: t, log: h.log, store: h.store, user: h.user, options: h.options}
	proxy.options.Store = &foreign{Store: h.store, traits: mailstore.Traits{Relay: &imapRelay{conn: upstream}}}
	if proxy.server, err = imapserver.New(proxy.options); err != nil {
		t.Fatal(err)
	}
	defer proxy.shutdown()

	straight, relayed := h.login(addr), h.login(proxy.listen(imapserver.ListenerOptions{}))
	straight.ok("EXAMINE INBOX")
	relayed.ok("EXAMINE INBOX")
	seed := rand.Uint64()
	t.Log("seed", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for i := range rounds {
		command := fmt.Sprintf("r%d FETCH %d:* (%s)\r\n", i, 1+rnd.IntN(5), randomItems(rnd))
		want, wanted := straight.raw(command)
		got, tagged := relayed.raw(command)
		// Whether the server sent a literal8 does not come through.
		got, want = strings.ReplaceAll(got, " ~{", " {"), strings.ReplaceAll(want, " ~{", " {")
		if got != want || tagged[:3] != wanted[:3] {
			t.Fatalf("%s: straight\n%.2000q %s\nrelayed\n%.2000q %s", command, want, wanted, got, tagged)
		}
	}
}

// raw sends a command and returns all that comes before the tagged response, and that without its tag.
func (c *client) raw(command string) (before, tagged string) {
	c.t.Helper()
	c.send(command)
	tag, _, _ := strings.Cut(command, " ")
	var b strings.Builder
	for {
		c.SetReadDeadline(time.Now().Add(patience))
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("read %q: %v", line, err)
		}
		if rest, ok := strings.CutPrefix(line, tag+" "); ok {
			return b.String(), rest
		}
		b.WriteString(line)
	}
}
