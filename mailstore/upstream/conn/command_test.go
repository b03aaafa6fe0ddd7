package conn_test

import (
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/upstream/conn"
)

// TestLogin: every way to log in, with what makes it harder.
func TestLogin(t *testing.T) {
	for name, c := range map[string]struct {
		caps  string
		auth  conn.Auth
		steps []step
		code  imap.ResponseCode
		fails bool
	}{
		"LOGIN": {auth: conn.PasswordLogin("ada", `a"b\c`), steps: []step{{`LOGIN "ada" "a\"b\\c"`, "$ OK [CAPABILITY IMAP4rev1 IDLE] in\n"}}},
		"LOGIN with literal": {auth: conn.PasswordLogin("ada", "zäh"), steps: []step{
			{`LOGIN "ada" {4}`, "+ go on\n"}, {"zäh", "* CAPABILITY IMAP4rev1 IDLE\n$ OK in\n"}}},
		"LOGIN with literal at once": {caps: "LITERAL+", auth: conn.PasswordLogin("ada", "zäh"), steps: []step{
			{`LOGIN "ada" {4+}`, ""}, {"zäh", "$ OK in\n"}, {"CAPABILITY", "* CAPABILITY IMAP4rev1 IDLE\n$ OK done\n"}}},
		"LOGIN whose literal is refused": {auth: conn.PasswordLogin("ada", "zäh"), fails: true, steps: []step{
			{`LOGIN "ada" {4}`, "$ BAD no literals\n"}}},
		"LOGIN refused": {auth: conn.PasswordLogin("ada", "x"), fails: true, code: imap.ResponseCodeAuthenticationFailed, steps: []step{
			{`LOGIN "ada" "x"`, "$ NO [AUTHENTICATIONFAILED] no\n"}}},
		"PLAIN at once": {caps: "SASL-IR AUTH=PLAIN", auth: conn.SASLPlain("bob", "ada", "x"), steps: []step{
			{"AUTHENTICATE PLAIN Ym9iAGFkYQB4", "$ OK [CAPABILITY IMAP4rev1 IDLE] in\n"}}},
		"PLAIN": {caps: "AUTH=PLAIN", auth: conn.SASLPlain("", "ada", "x"), steps: []step{
			{"AUTHENTICATE PLAIN", "+ \n"}, {"AGFkYQB4", "$ OK [CAPABILITY IMAP4rev1 IDLE] in\n"}}},
		"PLAIN is not known": {auth: conn.SASLPlain("", "ada", "x"), fails: true, steps: []step{
			{"AUTHENTICATE PLAIN", "$ NO what\n"}}},
		"XOAUTH2 refused": {caps: "SASL-IR", auth: conn.XOAuth2("ada", "tok"), fails: true, steps: []step{
			{"AUTHENTICATE XOAUTH2 dXNlcj1hZGEBYXV0aD1CZWFyZXIgdG9rAQE=", "+ eyJzdGF0dXMiOiI0MDAifQ==\n"},
			{"", "$ NO [AUTHENTICATIONFAILED] expired\n"}}, code: imap.ResponseCodeAuthenticationFailed},
		"OAUTHBEARER refused": {caps: "SASL-IR", auth: conn.OAuthBearer("a,b=c", "h", 993, "t"), fails: true, steps: []step{
			{"AUTHENTICATE OAUTHBEARER bixhPWE9MkNiPTNEYywBaG9zdD1oAXBvcnQ9OTkzAWF1dGg9QmVhcmVyIHQBAQ==", "+ e30=\n"},
			{"AQ==", "$ NO no\n"}}},
	} {
		t.Run(name, func(t *testing.T) {
			cn := dial(t, c.caps, c.steps...)
			err := cn.Login(t.Context(), c.auth)
			usable(t, cn)
			if c.fails {
				if _, ok := err.(*conn.StatusError); !ok || conn.CodeOf(err) != c.code || cn.LoggedIn() {
					t.Errorf("error %v (%T), code %q", err, err, conn.CodeOf(err))
				}
				return
			}
			if err != nil || !cn.LoggedIn() || !cn.Caps().Has(imap.CapIdle) {
				t.Errorf("%v, capabilities %v", err, cn.Caps())
			}
		})
	}
}

// TestLoginChallengedForEver: a server that asks and asks.
func TestLoginChallengedForEver(t *testing.T) {
	c := dial(t, "SASL-IR", step{"AUTHENTICATE PLAIN AABh", "+ \n+ \n+ \n+ \n"}, step{"", ""}, step{"", ""})
	ended[*conn.ProtocolError](t, c, c.Login(t.Context(), conn.SASLPlain("", "", "a")))
}

// TestSecretsAreNotTold: what a login fails with never has the password.
func TestSecretsAreNotTold(t *testing.T) {
	c := dial(t, "", step{`LOGIN "ada" "hunter2"`, "$ NO no\n"})
	if err := c.Login(t.Context(), conn.PasswordLogin("ada", "hunter2")); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v", err)
	}
}

func TestSelect(t *testing.T) {
	s := conn.Select{Mailbox: "Entwürfe", Since: &conn.Since{UIDValidity: 7, ModSeq: 90, Known: uids(1, 4, 9, 9)}}
	c := dial(t, "QRESYNC", step{"ENABLE QRESYNC", "* ENABLED QRESYNC\n$ OK on\n"},
		step{`SELECT "Entw&APw-rfe" (QRESYNC (7 90 1:4,9))`, `* 99 EXISTS
* VANISHED (EARLIER) 41
* OK [CLOSED] the other one
* FLAGS (\Seen $Junk)
* OK [PERMANENTFLAGS (\Seen \*)] these
* 3 EXISTS
* 1 RECENT
* OK [UNSEEN 2] first
* OK [UIDVALIDITY 7] valid
* OK [UIDNEXT 12] next
* OK [HIGHESTMODSEQ 98] highest
* OK [MAILBOXID (F1)] id
* VANISHED (EARLIER) 4,2:3
* 1 FETCH (UID 9 FLAGS (\Seen $Junk \Recent $Forwarded) MODSEQ (95))
* 2 FETCH (FLAGS () UID 11 MODSEQ (98))
$ OK [READ-ONLY] done
`})
	do(t, c, &conn.Enable{Caps: []imap.Cap{imap.CapQResync}}, &s)
	if !c.QResync() {
		t.Error("QRESYNC is not on")
	}
	want := conn.Select{Mailbox: s.Mailbox, Since: s.Since, Exists: 3, FirstUnseen: 2, UIDValidity: 7, UIDNext: 12,
		HighestModSeq: 98, MailboxID: "F1", ServerReadOnly: true, Permanent: []imap.Flag{`\Seen`, `\*`},
		Vanished: uids(2, 4), Changed: []conn.Row{
			{Num: 1, UID: 9, ModSeq: 95, Flags: mailbox.NewFlags(`\Seen`, "$Junk", "$Forwarded"), HasFlags: true},
			{Num: 2, UID: 11, ModSeq: 98, HasFlags: true}}}
	want.Code, want.Text = "READ-ONLY", "done"
	same(t, "select", s, want)
	same(t, "selected", c.Selected(), conn.Selected{Name: "Entwürfe", UIDValidity: 7})
}

// TestSelectFails: then none is selected.
func TestSelectFails(t *testing.T) {
	c := dial(t, "", step{`SELECT "INBOX"`, "* 1 EXISTS\n* OK [UIDVALIDITY 3] v\n$ OK in\n"},
		step{`EXAMINE "x"`, "$ NO [NONEXISTENT] what\n"}, step{"UID SEARCH ALL", "$ BAD no mailbox\n"})
	do(t, c, &conn.Select{Mailbox: "INBOX"})
	bad, after := &conn.Select{Mailbox: "x", ReadOnly: true}, &conn.Search{Key: wire.SearchAnd{}}
	err := c.Do(t.Context(), bad, after)
	usable(t, c)
	if err != bad.Err || conn.CodeOf(err) != imap.ResponseCodeNonExistent || conn.CodeOf(after.Err) != "" || after.Err == nil {
		t.Errorf("%v, %v, %v", err, bad.Err, after.Err)
	}
	same(t, "selected", c.Selected(), conn.Selected{})
}

func TestList(t *testing.T) {
	c := dial(t, "LIST-EXTENDED", step{`LIST (SUBSCRIBED) "" ("*" "&APw-") RETURN (SPECIAL-USE STATUS (MESSAGES UIDNEXT SIZE MAILBOXID))`,
		`* LIST (\HasNoChildren \Sent) "/" "Gesendet &- mehr"
* STATUS "Gesendet &- mehr" (MESSAGES 3 UIDNEXT 9 SIZE 5000000000 MAILBOXID (F2))
* LIST (\Noselect) NIL &APw- ("CHILDINFO" ("SUBSCRIBED"))
* LIST () "." {5}
inbox
* LIST () "/" "schlecht &kein base64-"
* LIST () "/" "\"a\\b"
* STATUS other (MESSAGES 1)
$ OK done
`})
	l := conn.List{Patterns: []string{"*", "ü"}, Select: []string{"SUBSCRIBED"}, Return: []string{"SPECIAL-USE"},
		Status: conn.StatusMessages | conn.StatusUIDNext | conn.StatusSize | conn.StatusMailboxID}
	do(t, c, &l)
	if len(l.Entries) != 4 || l.Entries[0].Status == nil || c.Skipped() != 1 {
		t.Fatalf("%+v, %d skipped", l.Entries, c.Skipped())
	}
	same(t, "status", *l.Entries[0].Status, conn.StatusData{Has: l.Status, Messages: 3, UIDNext: 9, Size: 5e9, MailboxID: "F2"})
	l.Entries[0].Status = nil
	same(t, "entries", l.Entries, []conn.Entry{
		{Name: "Gesendet & mehr", Delimiter: "/", Attrs: []imap.MailboxAttr{`\HasNoChildren`, `\Sent`}},
		{Name: "ü", Attrs: []imap.MailboxAttr{`\Noselect`}},
		{Name: "INBOX", Delimiter: "."},
		{Name: `"a\b`, Delimiter: "/"},
	})
}

func TestLSub(t *testing.T) {
	c := dial(t, "", step{`LSUB "" "*"`, "* LSUB () \"/\" a\n* LIST () \"/\" b\n$ OK done\n"})
	l := conn.List{LSub: true, Patterns: []string{"*"}}
	do(t, c, &l)
	same(t, "entries", l.Entries, []conn.Entry{{Name: "a", Delimiter: "/"}})
}

// TestNamesInUTF8: after ENABLE UTF8=ACCEPT names are as they are.
func TestNamesInUTF8(t *testing.T) {
	c := dial(t, "ENABLE", step{"ENABLE UTF8=ACCEPT", "* ENABLED UTF8=ACCEPT\n$ OK on\n"},
		step{`STATUS "ü" (MESSAGES)`, "* STATUS \"ü\" (MESSAGES 4 FUTURE (a (b)) UNSEEN 1)\n$ OK done\n"})
	do(t, c, &conn.Enable{Caps: []imap.Cap{imap.CapUTF8Accept}})
	s := conn.Status{Mailbox: "ü", Items: conn.StatusMessages}
	do(t, c, &s)
	same(t, "status", s.Data, conn.StatusData{Has: conn.StatusMessages | conn.StatusUnseen, Messages: 4, Unseen: 1})
}

func TestSearch(t *testing.T) {
	date := time.Date(2024, 2, 3, 0, 0, 0, 0, time.UTC)
	for want, key := range map[string]wire.SearchKey{
		"ALL":                     wire.SearchAnd{},
		"NOT ALL":                 wire.SearchSet{Set: imap.UIDSet{}},
		"UID 1:3,5:* SEEN":        wire.SearchAnd{wire.SearchSet{Set: uids(1, 3, 5, 0)}, wire.SearchFlag(`\Seen`)},
		"NOT (DELETED KEYWORD x)": wire.SearchNot{Key: wire.SearchAnd{wire.SearchFlag(`\Deleted`), wire.SearchFlag("x")}},
		`OR TEXT "a" OR BODY "b" HEADER "Subject" "c"`: wire.SearchOr{wire.SearchText{In: wire.InText, Text: "a"},
			wire.SearchText{In: wire.InBody, Text: "b"}, wire.SearchText{In: wire.InHeader, Field: "Subject", Text: "c"}},
		"SENTSINCE 3-Feb-2024": wire.SearchDate{Of: wire.DateSent, When: wire.Since, Date: date},
		"BEFORE 3-Feb-2024":    wire.SearchDate{When: wire.Before, Date: date},
		"SMALLER 0":            wire.SearchSize{},
		"MODSEQ 7":             wire.SearchModSeq{ModSeq: 7},
	} {
		c := dial(t, "", step{"UID SEARCH " + want, "* SEARCH 7 8 2 9 9 (MODSEQ 12) \n$ OK done\n"})
		s := conn.Search{Key: key}
		do(t, c, &s)
		same(t, "UIDs", s.UIDs, uids(2, 2, 7, 9))
		if s.ModSeq != 12 {
			t.Errorf("mod-sequence %d", s.ModSeq)
		}
	}
}

func TestSearchCharset(t *testing.T) {
	c := dial(t, "LITERAL-", step{"UID SEARCH CHARSET UTF-8 TEXT {2+}", ""}, step{"ü", "* SEARCH\n$ OK none\n"})
	s := conn.Search{Key: wire.SearchText{In: wire.InText, Text: "ü"}}
	do(t, c, &s)
	same(t, "UIDs", s.UIDs, uids())
}

func TestESearch(t *testing.T) {
	c := dial(t, "ESEARCH", step{"UID SEARCH RETURN (ALL) ALL", "* ESEARCH (TAG \"$\") UID COUNT 9 ALL 20,1:3,5 MODSEQ 8 MORE (x \"y)\")\n$ OK done\n"},
		step{"UID SEARCH RETURN (ALL) ALL", "* ESEARCH (TAG \"$\") UID\n$ OK done\n"})
	s, none := conn.Search{Key: wire.SearchAnd{}}, conn.Search{Key: wire.SearchAnd{}}
	do(t, c, &s, &none)
	same(t, "UIDs", s.UIDs, uids(1, 3, 5, 5, 20, 20))
	same(t, "none", none.UIDs, uids())
}

// TestSearchesPutOff: SEARCH does not name its command, the order does.
func TestSearchesPutOff(t *testing.T) {
	c := dial(t, "", step{"UID SEARCH ALL", ""}, step{"UID SEARCH SEEN", "* SEARCH 1 2\n* SEARCH 2\ns1 OK\ns2 OK\n"})
	all, seen := conn.Search{Key: wire.SearchAnd{}}, conn.Search{Key: wire.SearchFlag(imap.FlagSeen)}
	do(t, c, &all, &seen)
	same(t, "found", []imap.UIDSet{all.UIDs, seen.UIDs}, []imap.UIDSet{uids(1, 2), uids(2, 2)})
}

// TestRepliesPutOff: Dovecot answers what is sent at once out of order.
func TestRepliesPutOff(t *testing.T) {
	s := play(t, "* OK [CAPABILITY IMAP4rev1 ESEARCH] hi\n", step{"UID STORE 1 FLAGS ()", ""}, step{"UID SEARCH RETURN (ALL) ALL", ""},
		step{"UID SEARCH RETURN (ALL) SEEN", `* ESEARCH (TAG "s2") UID ALL 1:2
* ESEARCH (TAG "s3") UID ALL 2
* 1 FETCH (UID 1 FLAGS ())
s1 OK stored
s3 OK found
s2 OK found
`})
	c := s.dial()
	store, all, seen := conn.Store{UIDs: uids(1, 1)}, conn.Search{Key: wire.SearchAnd{}}, conn.Search{Key: wire.SearchFlag(imap.FlagSeen)}
	do(t, c, &store, &all, &seen)
	same(t, "found", []imap.UIDSet{all.UIDs, seen.UIDs}, []imap.UIDSet{uids(1, 2), uids(2, 2)})
	if len(store.Rows) != 1 || c.Skipped() != 0 {
		t.Errorf("%+v, %d skipped", store, c.Skipped())
	}
}

func TestStore(t *testing.T) {
	since := mailbox.ModSeq(12)
	c := dial(t, "", step{`UID STORE 1:2 (UNCHANGEDSINCE 12) +FLAGS.SILENT (\Seen x)`, "* 4 EXISTS\n* 2 FETCH (UID 2 MODSEQ (13))\n$ OK [MODIFIED 1] some\n"},
		step{`UID STORE 9 FLAGS ()`, "$ NO [MODIFIED 9] none\n"})
	var seen []conn.Update
	c.Updates = func(u conn.Update) { seen = append(seen, u) }
	s := conn.Store{UIDs: uids(1, 2), Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{`\Seen`, "x"}, UnchangedSince: &since}
	do(t, c, &s)
	same(t, "modified", s.Modified, uids(1, 1))
	same(t, "rows", s.Rows, []conn.Row{{Num: 2, UID: 2, ModSeq: 13}})
	same(t, "updates", seen, []conn.Update{{Kind: conn.Exists, Num: 4}})
	s = conn.Store{UIDs: uids(9, 9)}
	if err := c.Do(t.Context(), &s); err == nil || len(s.Modified) != 1 {
		t.Errorf("%v, modified %v", err, s.Modified)
	}
	usable(t, c)
}

func TestCopyMoveExpunge(t *testing.T) {
	c := dial(t, "MOVE UIDPLUS", step{`UID COPY 1:3 "x"`, "$ OK [COPYUID 7 3,1:2 11:12,10] copied\n"},
		step{`UID MOVE 4 "x"`, "* OK [COPYUID 7 4 13] moved\n* 4 EXPUNGE\n$ OK done\n"},
		step{"UID EXPUNGE 5", "* VANISHED 5\n$ OK done\n"}, step{"EXPUNGE", "$ OK done\n"},
		step{`UID COPY 99 "x"`, "$ OK [COPYUID 7  ] nothing\n"})
	var seen []conn.Update
	c.Updates = func(u conn.Update) { seen = append(seen, u) }
	a, b := conn.Copy{UIDs: uids(1, 3), Mailbox: "x"}, conn.Copy{UIDs: uids(4, 4), Mailbox: "x", Move: true}
	none := conn.Copy{UIDs: uids(99, 99), Mailbox: "x"}
	do(t, c, &a, &b, &conn.Expunge{UIDs: uids(5, 5)}, &conn.Expunge{}, &none)
	same(t, "copy", []imap.UIDSet{a.Source, a.Dest}, []imap.UIDSet{uids(3, 3, 1, 2), uids(11, 12, 10, 10)})
	same(t, "move", []imap.UIDSet{b.Source, b.Dest}, []imap.UIDSet{uids(4, 4), uids(13, 13)})
	same(t, "updates", seen, []conn.Update{{Kind: conn.Expunged, Num: 4}, {Kind: conn.Vanished, UIDs: uids(5, 5)}})
}

func TestAppend(t *testing.T) {
	date := time.Date(2024, 2, 3, 4, 5, 6, 0, time.FixedZone("", 3600))
	c := dial(t, "MULTIAPPEND", step{`APPEND "x" (\Seen) " 3-Feb-2024 04:05:06 +0100" {5}`, "+ go\n"},
		step{"hello {3}", "+ go\n"}, step{"abc", "$ OK [APPENDUID 7 20:21] in\n"})
	a := conn.Append{Mailbox: "x", Messages: []conn.Message{
		{Flags: []imap.Flag{`\Seen`}, Received: date, Size: 5, Body: strings.NewReader("hello")},
		{Size: 3, Body: strings.NewReader("abc")}}}
	do(t, c, &a)
	same(t, "UIDs", a.UIDs, uids(20, 21))
}

// TestAppendRefused: the message is not sent, and its reader not read.
func TestAppendRefused(t *testing.T) {
	c := dial(t, "", step{`APPEND "x" {5}`, "$ NO [TRYCREATE] no such mailbox\n"}, step{"NOOP", "$ OK\n"})
	body := strings.NewReader("hello")
	err := c.Do(t.Context(), &conn.Append{Mailbox: "x", Messages: []conn.Message{{Size: 5, Body: body}}}, &conn.Noop{})
	if conn.CodeOf(err) != imap.ResponseCodeTryCreate || body.Len() != 5 {
		t.Errorf("%v, %d octets left", err, body.Len())
	}
	usable(t, c)
}

// TestAppendTooShort: the server would wait for the rest.
func TestAppendTooShort(t *testing.T) {
	c := dial(t, "LITERAL+", step{`APPEND "x" {6+}`, ""})
	err := c.Do(t.Context(), &conn.Append{Mailbox: "x", Messages: []conn.Message{{Size: 6, Body: strings.NewReader("hello")}}})
	ended[*conn.NetworkError](t, c, err)
}

func TestQuotaIDNamespace(t *testing.T) {
	c := dial(t, "", step{`GETQUOTAROOT "INBOX"`, "* QUOTAROOT INBOX \"\" {3}\nabc\n* QUOTA \"\" (storage 10 512 MESSAGE 1 5)\n* QUOTA \"abc\"\n$ OK done\n"},
		step{`ID ("name" "Starling")`, "* ID (\"name\" \"Other\" \"version\" NIL)\n$ OK done\n"},
		step{"ID NIL", "* ID NIL\n$ OK done\n"},
		step{"NAMESPACE", "* NAMESPACE ((\"INBOX.\" \".\") (\"&APw-/\" \"/\" \"X-P\" (\"a\"))) NIL ((\"\" NIL))\n$ OK done\n"})
	q, id, ns := conn.Quota{Mailbox: "INBOX"}, conn.ID{Fields: [][2]string{{"name", "Starling"}}}, conn.Namespace{}
	do(t, c, &q, &id, &conn.ID{}, &ns)
	same(t, "quota", q.Roots, []conn.QuotaRoot{{Name: "", Resources: []conn.Resource{{"STORAGE", 10, 512}, {"MESSAGE", 1, 5}}}})
	same(t, "id", id.Server, [][2]string{{"name", "Other"}, {"version", ""}})
	same(t, "namespace", []any{ns.Personal, ns.Other, ns.Shared}, []any{[]conn.Prefix{{"INBOX.", "."}, {"ü/", "/"}}, []conn.Prefix(nil), []conn.Prefix{{"", ""}}})
}

func TestMailboxes(t *testing.T) {
	c := dial(t, "", step{`CREATE "a" (USE (\Sent))`, "$ OK [MAILBOXID (F9)] made\n"}, step{`RENAME "a" "b"`, "$ OK\n"},
		step{`SUBSCRIBE "b"`, "$ OK \n"}, step{`UNSUBSCRIBE "b"`, "$ OK x\n"}, step{`DELETE "b"`, "$ NO [INUSE]\n"}, step{"UNSELECT", "$ OK x\n"})
	made, del := conn.Create{Mailbox: "a", Use: []imap.MailboxAttr{imap.MailboxAttrSent}}, conn.Delete{Mailbox: "b"}
	err := c.Do(t.Context(), &made, &conn.Rename{From: "a", To: "b"}, &conn.Subscribe{Mailbox: "b"}, &conn.Subscribe{Mailbox: "b", Off: true}, &del, &conn.Unselect{})
	if err != del.Err || conn.CodeOf(err) != imap.ResponseCodeInUse || made.MailboxID != "F9" {
		t.Errorf("%v, %+v", err, made)
	}
	usable(t, c)
}

// TestPieces: no set is too long for a line, and nothing is lost.
func TestPieces(t *testing.T) {
	var set imap.UIDSet
	for i := range imap.UID(3000) {
		set = append(set, imap.UIDRange{Start: 10*i + 1, Stop: 10*i + 1 + i%3})
	}
	var all imap.UIDSet
	for piece := range conn.Pieces(set, 500) {
		if n := len(piece.String()); n > 500 || n < 400 && len(all)+len(piece) < len(set) {
			t.Errorf("a piece of %d octets", n)
		}
		all = append(all, piece...)
	}
	same(t, "all", all, set)
}
