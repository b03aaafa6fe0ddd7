package conn_test

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/imaptest"
	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/mailstore/upstream/conn"
)

// FuzzResponses has any octets for a server's answers, to any of the commands. Nothing panics or
// goes on for ever, sets are as promised, and memory is bounded.
func FuzzResponses(f *testing.F) {
	for _, s := range []string{
		"* OK [CAPABILITY IMAP4rev1 ESEARCH LITERAL+] hi\r\n* SEARCH 1 2 3\r\ns1 OK done\r\n",
		"* OK [CAPABILITY IMAP4rev1] hi\r\n* ESEARCH (TAG \"s1\") UID ALL 1:3,9 MODSEQ 4\r\ns1 OK [HIGHESTMODSEQ 3] done\r\n",
		"* OK [CAPABILITY IMAP4rev1] hi\r\n* VANISHED (EARLIER) 1,3:5\r\n* 1 FETCH (UID 2 FLAGS (\\Seen a) MODSEQ (3))\r\n* OK [CLOSED] x\r\n* OK [PERMANENTFLAGS (\\*)] y\r\ns1 OK [READ-ONLY] done\r\n",
		"* OK [CAPABILITY IMAP4rev1] hi\r\n* 1 FETCH (UID 2 BODY[1]<0> {3}\r\nabc ENVELOPE (NIL \"a\" {1}\r\nx (())) INTERNALDATE \"x\")\r\ns1 OK done\r\n",
		"* OK [CAPABILITY IMAP4rev1] hi\r\n* LIST (\\Sent) \"/\" &APw- (\"X\" (\"y\"))\r\n* STATUS &APw- (MESSAGES 3 X (y))\r\n* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n* QUOTA \"\" (STORAGE 1 2)\r\n* ID (\"a\" NIL)\r\ns1 OK done\r\n",
		"* OK [CAPABILITY IMAP4rev1] hi\r\n+ go\r\n* XYZ {3}\r\nabc\r\n* BYE x\r\ns1 NO [TRYCREATE] no\r\n",
		"* OK [CAPABILITY IMAP4rev1] hi\r\ns1 OK [COPYUID 1 3,1:2 4:5,9] x\r\n",
	} {
		for kind := range byte(12) {
			f.Add(kind, []byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, kind byte, answers []byte) {
		nc := imaptest.NewConn()
		nc.Tap = func([]byte) {}
		nc.Send(string(answers))
		nc.HangUp()
		limits := conn.Limits{Response: 64 << 10, Value: 4 << 10, Memory: 16 << 10, Depth: 20, Items: 50, Skip: 64 << 10}
		d := conn.Dialer{Security: conn.Plain, Limits: limits,
			Connect: func(context.Context, string, string) (net.Conn, error) { return nc, nil }}
		c, err := d.Dial(t.Context())
		if err != nil {
			return
		}
		defer c.Close()
		c.Updates = func(u conn.Update) { ascending(t, u.UIDs) }
		search, box := conn.Search{Key: wire.SearchAnd{}}, conn.Select{Mailbox: "x", Since: &conn.Since{UIDValidity: 1, ModSeq: 1}}
		list, copied := conn.List{Status: conn.StatusMessages}, conn.Copy{UIDs: uids(1, 9), Mailbox: "ü"}
		switch kind % 12 {
		case 0:
			err = c.Do(t.Context(), &search)
		case 1:
			err = c.Do(t.Context(), &box)
		case 2:
			err = c.Do(t.Context(), &list)
		case 3:
			err = c.Do(t.Context(), &copied)
		case 4:
			err = c.Do(t.Context(), &conn.Namespace{}, &conn.Quota{Mailbox: "x"}, &conn.ID{})
		case 5:
			err = c.Do(t.Context(), &conn.Store{UIDs: uids(1, 1)}, &conn.Status{Mailbox: "x"}, &conn.Create{})
		case 6:
			err = c.Do(t.Context(), &conn.Append{Mailbox: "x", Messages: []conn.Message{{}}})
		case 7:
			err = c.Idle(t.Context(), t.Context())
		case 8:
			err = c.Login(t.Context(), conn.SASLPlain("", "a", "ü"))
		case 9:
			err = c.Login(t.Context(), conn.PasswordLogin("a", "ü"))
		default:
			err = fetchAll(c, kind%12 == 10)
		}
		if c.Err() == nil {
			ascending(t, search.UIDs)
			ascending(t, box.Vanished)
		}
		if n := len(box.Changed); n > limits.Memory/40 {
			t.Errorf("%d rows", n)
		}
		if n := len(list.Entries); n > limits.Memory/90 {
			t.Errorf("%d names", n)
		}
		if _, ok := err.(*conn.StatusError); err != nil && !ok && c.Err() == nil {
			t.Errorf("the connection goes on after %v", err)
		}
	})
}

func fetchAll(c *conn.Conn, read bool) error {
	m := c.Fetch(context.Background(), conn.Fetch{UIDs: uids(1, 0), Items: "X"})
	for m.Next() {
		for i := m.Item(); read && i != nil; i = m.Item() {
			if i.Body != nil {
				_, _ = io.Copy(io.Discard, i.Body)
			}
		}
	}
	return m.Close()
}

// ascending fails unless a set is tidy.
func ascending(t *testing.T, set imap.UIDSet) {
	t.Helper()
	for i, r := range set {
		if r.Start == 0 || r.Stop < r.Start || i > 0 && r.Start <= set[i-1].Stop {
			t.Fatalf("set %v at %d", set, i)
		}
	}
}
