package imapserver_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver"
	"github.com/starling-mail/starling/imapserver/imaptest"
	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// A scriptedRelay tells what a test says, and breaks off where the test says.
type scriptedRelay struct {
	messages []scriptedMessage
	failure  error // of Close

	asked imap.UIDSet // of the last Fetch
	open  int         // answers not closed
}

type scriptedMessage struct {
	uid   imap.UID
	items []mailstore.RelayedItem // Section is filled in
}

func (r *scriptedRelay) Fetch(_ context.Context, _ mailbox.ID, uids imap.UIDSet, items *wire.FetchItems) mailstore.Relayed {
	r.asked = uids
	r.open++
	return &scripted{relay: r, items: items, next: r.messages}
}

type scripted struct {
	relay *scriptedRelay
	items *wire.FetchItems
	now   scriptedMessage
	next  []scriptedMessage
}

func (s *scripted) Next() imap.UID {
	if len(s.next) == 0 {
		return 0
	}
	s.now, s.next = s.next[0], s.next[1:]
	return s.now.uid
}

func (s *scripted) Item() *mailstore.RelayedItem {
	if len(s.now.items) == 0 {
		return nil
	}
	item := s.now.items[0]
	s.now.items = s.now.items[1:]
	if item.Name == "" {
		item.Section = &s.items.Sections[0]
	}
	return &item
}

func (s *scripted) Close() error {
	s.relay.open--
	return s.relay.failure
}

func size(n string) mailstore.RelayedItem {
	return mailstore.RelayedItem{Name: "RFC822.SIZE", Value: []byte(n)}
}

func text(s string, cut error) mailstore.RelayedItem {
	item := mailstore.RelayedItem{Size: int64(len(s)), Data: strings.NewReader(s)}
	if cut != nil {
		item.Data = io.MultiReader(strings.NewReader(s[:1]), brokenReader{cut})
	}
	return item
}

type brokenReader struct{ err error }

func (r brokenReader) Read([]byte) (int, error) { return 0, r.err }

// TestRelay shows what a client is told of what another server says, and of what it does not say any more.
func TestRelay(t *testing.T) {
	cut := &mailbox.Error{Kind: mailbox.Unavailable, Op: "fetch"}
	closed := "(closed)"
	for name, c := range map[string]struct {
		messages []scriptedMessage
		failure  error
		command  string
		want     string
	}{
		"all": {[]scriptedMessage{{1, []mailstore.RelayedItem{size("5"), text("ab", nil)}}, {3, []mailstore.RelayedItem{size("6"), text("", nil)}}}, nil,
			"FETCH 1,3 (RFC822.SIZE BODY.PEEK[1])",
			"* 1 FETCH (RFC822.SIZE 5 BODY[1] {2}\r\nab)\r\n* 3 FETCH (RFC822.SIZE 6 BODY[1] {0}\r\n)\r\n. OK FETCH completed\r\n"},
		"seen": {[]scriptedMessage{{2, []mailstore.RelayedItem{text("a\x00", nil)}}}, nil,
			"FETCH 2 BODY[]", "* 2 FETCH (FLAGS (\\Seen \\Recent) BODY[] {2}\r\na\x80)\r\n. OK FETCH completed\r\n"},
		"flags are the view's": {[]scriptedMessage{{2, []mailstore.RelayedItem{size("5")}}}, nil,
			"UID FETCH 2 (FLAGS RFC822.SIZE MODSEQ)", "* OK [HIGHESTMODSEQ 4] highest mod-sequence\r\n* 2 FETCH (UID 2 FLAGS (\\Recent) MODSEQ (3) RFC822.SIZE 5)\r\n. OK UID FETCH completed\r\n"},
		"no such part": {[]scriptedMessage{{2, []mailstore.RelayedItem{{}}}}, nil,
			"FETCH 2 BODY.PEEK[7]", "* 2 FETCH (BODY[7] NIL)\r\n. OK FETCH completed\r\n"},
		"literal8": {[]scriptedMessage{{2, []mailstore.RelayedItem{{Size: 1, Data: strings.NewReader("\x00"), Binary: true}}}}, nil,
			"FETCH 2 BINARY.PEEK[1]", "* 2 FETCH (BINARY[1] ~{1}\r\n\x00)\r\n. OK FETCH completed\r\n"},
		"BINARY.SIZE": {[]scriptedMessage{{2, []mailstore.RelayedItem{{Size: 12}}}}, nil,
			"FETCH 2 BINARY.SIZE[1]", "* 2 FETCH (BINARY.SIZE[1] 12)\r\n. OK FETCH completed\r\n"},
		"others, twice, in any order": {[]scriptedMessage{
			{9, []mailstore.RelayedItem{size("9")}}, {3, []mailstore.RelayedItem{size("3")}}, {3, []mailstore.RelayedItem{size("3")}},
			{2, []mailstore.RelayedItem{size("2")}}, {1, []mailstore.RelayedItem{size("1")}}}, nil,
			"FETCH 1,3 RFC822.SIZE", "* 3 FETCH (RFC822.SIZE 3)\r\n* 1 FETCH (RFC822.SIZE 1)\r\n. OK FETCH completed\r\n"},
		"gone there":         {nil, nil, "FETCH 2 RFC822.SIZE", ". NO [EXPUNGEISSUED] some of the messages no longer exist\r\n"},
		"gone there, by UID": {nil, nil, "UID FETCH 2 RFC822.SIZE", ". OK UID FETCH completed\r\n"},
		"it says so":         {nil, &mailbox.Error{Kind: mailbox.Expunged, Op: "fetch"}, "UID FETCH 2 RFC822.SIZE", ". OK UID FETCH completed\r\n"},
		"not there":          {nil, cut, "FETCH 2 RFC822.SIZE", ". NO [UNAVAILABLE] temporarily unavailable\r\n"},
		"not there, to read": {nil, cut, "FETCH 2 BODY[]", "* 2 FETCH (FLAGS (\\Seen \\Recent))\r\n. NO [UNAVAILABLE] temporarily unavailable\r\n"},
		"between messages": {[]scriptedMessage{{1, []mailstore.RelayedItem{size("5")}}}, cut,
			"FETCH 1:2 RFC822.SIZE", "* 1 FETCH (RFC822.SIZE 5)\r\n. NO [UNAVAILABLE] temporarily unavailable\r\n"},
		"between items": {[]scriptedMessage{{1, []mailstore.RelayedItem{size("5")}}}, cut,
			"FETCH 1 (UID RFC822.SIZE BODY.PEEK[])", "* 1 FETCH (UID 1 RFC822.SIZE 5)\r\n. NO [UNAVAILABLE] temporarily unavailable\r\n"},
		"an item less": {[]scriptedMessage{{1, []mailstore.RelayedItem{size("5")}}}, nil,
			"FETCH 1 (UID RFC822.SIZE BODY.PEEK[])", "* 1 FETCH (UID 1 RFC822.SIZE 5)\r\n. NO [UNAVAILABLE] not all could be fetched\r\n"},
		"in a literal": {[]scriptedMessage{{1, []mailstore.RelayedItem{text("abc", cut)}}}, cut,
			"FETCH 1 BODY.PEEK[]", closed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				relay := &scriptedRelay{messages: c.messages, failure: c.failure}
				conn := openForeign(t, &foreign{traits: mailstore.Traits{Relay: relay}})
				conn.Send(". " + c.command + "\r\n")
				synctest.Wait()
				got := conn.Received()
				if conn.Closed() && !strings.Contains(got, "\r\n. ") {
					got = closed
				}
				if got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
				if relay.open != 0 {
					t.Error("the answer was not closed")
				}
				if conn.Closed() {
					return
				}
				conn.Send(". NOOP\r\n")
				synctest.Wait()
				if got := conn.Received(); got != ". OK NOOP completed\r\n" {
					t.Errorf("after it: %q", got)
				}
			})
		})
	}
}

// TestRelayExpunged shows that a relay is not asked for what the view knows to be gone, and that what it
// says of it is not told.
func TestRelayExpunged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		relay := &scriptedRelay{messages: []scriptedMessage{{1, []mailstore.RelayedItem{size("1")}}, {2, []mailstore.RelayedItem{size("2")}}, {3, []mailstore.RelayedItem{size("3")}}}}
		store := &foreign{traits: mailstore.Traits{Relay: relay}}
		conn := openForeign(t, store)
		remove(t, store, 2)
		conn.Send(". FETCH 1:3 RFC822.SIZE\r\n")
		synctest.Wait()
		want := "* 1 FETCH (RFC822.SIZE 1)\r\n* 3 FETCH (RFC822.SIZE 3)\r\n. NO [EXPUNGEISSUED] some of the messages no longer exist\r\n"
		if got := conn.Received(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := relay.asked.String(); got != "1,3" {
			t.Errorf("it was asked for %s", got)
		}
	})
}

// remove expunges a message, not by IMAP.
func remove(t *testing.T, store *foreign, uid imap.UID) {
	t.Helper()
	set := imap.UIDSetNum(uid)
	alice, err := store.User(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	inbox, err := store.Lookup(t.Context(), alice.Account, "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.UpdateFlags(t.Context(), inbox.ID, set, mailstore.FlagUpdate{Op: imap.StoreFlagsAdd, Flags: mailbox.Flags{System: mailbox.Deleted}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Expunge(t.Context(), inbox.ID, set); err != nil {
		t.Fatal(err)
	}
}

// openForeign serves a store with three messages and opens INBOX.
func openForeign(t *testing.T, store *foreign) *imaptest.Conn {
	t.Helper()
	for range 3 {
		store.mail = append(store.mail, "Subject: x\r\n\r\n")
	}
	conn := serveForeign(t, store, imapserver.DefaultSettings()).Connect()
	conn.Send(". LOGIN alice secret\r\n. SELECT INBOX\r\n")
	synctest.Wait()
	if got := conn.Received(); !strings.Contains(got, "SELECT completed") {
		t.Fatal(got)
	}
	return conn
}

var errBroken = errors.New("broken")

// A scriptedSearcher finds what a test says.
type scriptedSearcher struct {
	finds imap.UIDSet
	err   error
	asked []string
	uids  []string
}

func (s *scriptedSearcher) Search(_ context.Context, _ mailbox.ID, uids imap.UIDSet, key wire.SearchKey) (imap.UIDSet, error) {
	s.asked = append(s.asked, spell(key))
	s.uids = append(s.uids, uids.String())
	return s.finds, s.err
}

// spell writes a key so that it can be compared.
func spell(key wire.SearchKey) string {
	list := func(op string, keys []wire.SearchKey) string {
		for _, k := range keys {
			op += " " + spell(k)
		}
		return "(" + op + ")"
	}
	switch k := key.(type) {
	case wire.SearchAnd:
		return list("AND", k)
	case wire.SearchOr:
		return list("OR", k)
	case wire.SearchNot:
		return list("NOT", []wire.SearchKey{k.Key})
	case wire.SearchText:
		return "TEXT " + k.Text
	case wire.SearchSize:
		return "SIZE"
	case wire.SearchDate:
		return "DATE"
	}
	return "?"
}

// TestSearcher shows what is asked of another server, about which messages, and what becomes of its answer.
func TestSearcher(t *testing.T) {
	finds := imap.UIDSet{{Start: 2, Stop: 9}}
	for name, c := range map[string]struct {
		search string
		err    error
		want   string
		asked  string // key of uids
	}{
		"flags only":        {"SEARCH UNFLAGGED", nil, "* SEARCH 2 3\r\n. OK SEARCH completed\r\n", ""},
		"text":              {"SEARCH TEXT a", nil, "* SEARCH 2 3\r\n. OK SEARCH completed\r\n", "TEXT a of 1:3"},
		"among candidates":  {"SEARCH UID 1:2 TEXT a", nil, "* SEARCH 2\r\n. OK SEARCH completed\r\n", "TEXT a of 1:2"},
		"none of them":      {"SEARCH FLAGGED SEEN TEXT a", nil, "* SEARCH\r\n. OK SEARCH completed\r\n", ""},
		"all at once":       {"SEARCH UNFLAGGED TEXT a LARGER 3 NOT BODY b", nil, "* SEARCH 2 3\r\n. OK SEARCH completed\r\n", "(AND TEXT a SIZE (NOT TEXT b)) of 2:3"},
		"with flags":        {"SEARCH OR FLAGGED TEXT a", nil, "* SEARCH 1 2 3\r\n. OK SEARCH completed\r\n", "TEXT a of 1:3"},
		"without flags":     {"SEARCH OR SENTON 1-Jan-2000 TEXT a", nil, "* SEARCH 2 3\r\n. OK SEARCH completed\r\n", "(OR DATE TEXT a) of 1:3"},
		"not":               {"SEARCH NOT (FLAGGED TEXT a)", nil, "* SEARCH 1 2 3\r\n. OK SEARCH completed\r\n", "TEXT a of 1:3"},
		"saved":             {"SEARCH RETURN (SAVE COUNT) TEXT a", nil, "* ESEARCH (TAG \".\") COUNT 2\r\n. OK SEARCH completed\r\n", "TEXT a of 1:3"},
		"not there":         {"SEARCH TEXT a", &mailbox.Error{Kind: mailbox.Unavailable, Op: "search"}, ". NO [UNAVAILABLE] temporarily unavailable\r\n", "TEXT a of 1:3"},
		"too much to ask":   {"SEARCH " + strings.Repeat("TEXT a ", 64) + "TEXT b", nil, ". NO [LIMIT] too many texts in one search\r\n", ""},
		"too many times":    {"SEARCH" + strings.Repeat(" OR SEEN SMALLER 5", 65), nil, ". NO [LIMIT] too many texts in one search\r\n", ""},
		"an error of ours":  {"SEARCH TEXT a", errBroken, ". NO [SERVERBUG] internal error\r\n", "TEXT a of 1:3"},
		"expunged meantime": {"SEARCH TEXT gone", nil, "* SEARCH 3\r\n. OK SEARCH completed\r\n", "TEXT gone of 1,3"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				searcher := &scriptedSearcher{finds: finds, err: c.err}
				store := &foreign{traits: mailstore.Traits{Searcher: searcher}}
				conn := openForeign(t, store)
				conn.Send(". STORE 1 +FLAGS.SILENT (\\Flagged)\r\n")
				synctest.Wait()
				conn.Received()
				if strings.HasSuffix(c.search, "gone") {
					remove(t, store, 2)
				}
				conn.Send(". " + c.search + "\r\n")
				synctest.Wait()
				if got := conn.Received(); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
				asked := ""
				if len(searcher.asked) > 0 {
					asked = strings.Join(searcher.asked, "; ") + " of " + searcher.uids[0]
				}
				if asked != c.asked {
					t.Errorf("asked %q, want %q", asked, c.asked)
				}
			})
		})
	}
}
