package wire

import (
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
)

func TestLogin_RFC9051_6_2_3(t *testing.T) {
	runParse(t, []parseTest{
		{`LOGIN joe secret`, Login{"joe", "secret"}},
		{`LOGIN "jo\"e\\" "p w"`, Login{`jo"e\`, "p w"}},
		{`LOGIN joe]x ""`, Login{"joe]x", ""}},
		{`LOGIN joe`, nil},
		{`LOGIN joe secret `, nil},
		{`LOGIN  joe secret`, nil},
		{`LOGIN joe (secret)`, nil},
		{`LOGIN "joe secret`, nil},
		{`LOGIN "jo\e" secret`, nil},
		{`LOGIN "joe\`, nil},
		{"LOGIN \"j\x00e\" x", nil},
		{"LOGIN \"j\re\" x", nil},
		{`LOGIN "jörg" x`, Login{"jörg", "x"}},
		{"LOGIN \"j\xf6rg\" x", nil},
		{`LOGIN jörg x`, nil},
	})
	d, _ := newDecoder("a LOGIN \"é\" x\r\n", 16)
	cmd, err := d.Command()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rest(d, cmd); err != nil || d.UTF8 {
		t.Error("LOGIN must not enable UTF-8 for what follows", err)
	}
}

func TestAuthenticate_RFC9051_6_2_2_RFC4959(t *testing.T) {
	runParse(t, []parseTest{
		{`AUTHENTICATE plain`, Authenticate{Mechanism: "PLAIN"}},
		{`AUTHENTICATE PLAIN =`, Authenticate{Mechanism: "PLAIN", Initial: []byte{}}},
		{`AUTHENTICATE PLAIN AGEAYg==`, Authenticate{Mechanism: "PLAIN", Initial: []byte("\x00a\x00b")}},
		{`AUTHENTICATE PLAIN AGEAYg`, nil},
		{`AUTHENTICATE PLAIN AGEAYh==`, nil},
		{`AUTHENTICATE PLAIN !`, nil},
		{`AUTHENTICATE PLAIN `, nil},
		{`AUTHENTICATE PLAIN = =`, nil},
		{`AUTHENTICATE`, nil},
	})
}

func TestAuthResponse_RFC9051_6_2_2(t *testing.T) {
	d, _ := newDecoder("am9l\r\n\r\n*\r\n!\r\n", 16)
	if resp, cancelled, err := d.AuthResponse(); string(resp) != "joe" || cancelled || err != nil {
		t.Error(resp, cancelled, err)
	}
	if resp, cancelled, err := d.AuthResponse(); string(resp) != "" || cancelled || err != nil {
		t.Error(resp, cancelled, err)
	}
	if _, cancelled, err := d.AuthResponse(); !cancelled || err != nil {
		t.Error(cancelled, err)
	}
	if _, _, err := d.AuthResponse(); err == nil {
		t.Error("no error")
	}
}

func TestID_RFC2971_3_1(t *testing.T) {
	runParse(t, []parseTest{
		{`ID NIL`, []IDField(nil)},
		{`ID nil`, []IDField(nil)},
		{`ID ()`, []IDField(nil)},
		{`ID ("name" "x" "os" NIL)`, []IDField{{Name: "name", Value: "x"}, {Name: "os", Nil: true}}},
		{`ID`, nil},
		{`ID x`, nil},
		{`ID "NIL"`, nil},
		{`ID ("name")`, nil},
		{`ID (name "x")`, nil},
		{`ID ("name" x)`, nil},
		{`ID ("name" "` + strings.Repeat("x", 1025) + `")`, nil},
		{`ID ("` + strings.Repeat("n", 31) + `" "x")`, nil},
		{`ID ("a" NIL` + strings.Repeat(` "a" NIL`, 30) + `)`, nil},
	})
	if got, err := parse(`ID ("a" "` + strings.Repeat("x", 1024) + `"` + strings.Repeat(` "a" NIL`, 29) + `)`); err != nil || len(got.([]IDField)) != 30 {
		t.Error(err)
	}
}

func TestEnable_RFC9051_6_3_1(t *testing.T) {
	runParse(t, []parseTest{
		{`ENABLE condstore UTF8=ACCEPT`, []string{"CONDSTORE", "UTF8=ACCEPT"}},
		{`ENABLE`, nil},
		{`ENABLE `, nil},
		{`ENABLE X `, nil},
		{`ENABLE` + strings.Repeat(" X", 65), nil},
	})
}

func TestCompress_RFC4978_3(t *testing.T) {
	runParse(t, []parseTest{
		{`COMPRESS deflate`, "DEFLATE"},
		{`COMPRESS`, nil},
		{`COMPRESS DEFLATE x`, nil},
	})
}

func TestQuota_RFC9208_4_1(t *testing.T) {
	runParse(t, []parseTest{
		{`GETQUOTA ""`, ""},
		{`GETQUOTA`, nil},
		{`GETQUOTAROOT inbox`, "INBOX"},
		{`SETQUOTA "" (storage 512 MESSAGE 0)`, SetQuota{"", []QuotaLimit{{"STORAGE", 512}, {"MESSAGE", 0}}}},
		{`SETQUOTA r ()`, SetQuota{Root: "r"}},
		{`SETQUOTA r (STORAGE)`, nil},
		{`SETQUOTA r (STORAGE 9223372036854775808)`, nil},
		{`SETQUOTA r (STORAGE -1)`, nil},
		{`SETQUOTA r`, nil},
		{`SETQUOTA r (X 1` + strings.Repeat(" X 1", maxResources) + `)`, nil},
	})
}

func TestMailboxNames_RFC3501_5_1_3(t *testing.T) {
	runParse(t, []parseTest{
		{`DELETE InBoX`, "INBOX"},
		{`DELETE "inbox"`, "INBOX"},
		{`DELETE inbox/x`, "inbox/x"},
		{`DELETE ""`, ""},
		{`DELETE ~peter/mail/&U,BTFw-/&ZeVnLIqe-`, "~peter/mail/台北/日本語"},
		{`DELETE "a&-b"`, "a&b"},
		{`DELETE "a&b"`, nil},
		{`DELETE &Jjo!`, nil},
		{`DELETE "é"`, nil},
		{"DELETE {2+}\r\n\xc3\xa9", nil},
		{"DELETE {3+}\r\na\r\n", nil},
		{`DELETE &AAo-`, nil}, // line feed
		{`DELETE &ICg-`, nil}, // line separator
		{`DELETE a%`, nil},
		{`DELETE a b`, nil},
		{`DELETE`, nil},
		{`RENAME a &AOk-`, [2]string{"a", "é"}},
		{`RENAME a`, nil},
	})
	runParse(t, []parseTest{
		{`DELETE "é"`, "é"},
		{"DELETE {2+}\r\n\xc3\xa9", "é"},
		{`DELETE &AOk-`, "&AOk-"},
		{`DELETE "a&b"`, "a&b"},
		{"DELETE {2+}\r\n\xc3\xc3", nil},
		{"DELETE \"\xc3\xc3\"", nil},
		{"DELETE \"a\u0085\"", nil},
		{"DELETE \"a\u2029\"", nil},
		{`DELETE inbox`, "INBOX"},
	}, utf8Mode)
}

func TestCreate_RFC9051_6_3_4_RFC6154_3(t *testing.T) {
	runParse(t, []parseTest{
		{`CREATE x`, Create{Mailbox: "x"}},
		{`CREATE x (use (\sent \Junk))`, Create{"x", []imap.MailboxAttr{`\Sent`, `\Junk`}}},
		{`CREATE x (USE (\Other))`, Create{"x", []imap.MailboxAttr{`\Other`}}},
		{`CREATE x (USE ())`, Create{"x", []imap.MailboxAttr{}}},
		{`CREATE x ()`, nil},
		{`CREATE x (USE)`, nil},
		{`CREATE x (USE (Sent))`, nil},
		{`CREATE x (FOO (\Sent))`, nil},
		{`CREATE x (USE (\Sent) USE (\Junk))`, nil},
		{`CREATE x (USE (\X` + strings.Repeat(` \X`, maxUseAttrs) + `))`, nil},
		{`CREATE`, nil},
	})
}

func TestSelect_RFC9051_6_3_2_RFC7162_3_2_5(t *testing.T) {
	runParse(t, []parseTest{
		{`SELECT inbox`, Select{Mailbox: "INBOX"}},
		{`SELECT x (condstore)`, Select{Mailbox: "x", CondStore: true}},
		{`SELECT x (QRESYNC (67890007 20050715194045000))`,
			Select{Mailbox: "x", QResync: &QResync{UIDValidity: 67890007, ModSeq: 20050715194045000}}},
		{`SELECT x (QRESYNC (1 2 41,43:211,214:541))`, Select{Mailbox: "x", QResync: &QResync{
			UIDValidity: 1, ModSeq: 2, KnownUIDs: imap.UIDSet{{Start: 41, Stop: 41}, {Start: 43, Stop: 211}, {Start: 214, Stop: 541}}}}},
		{`SELECT x (QRESYNC (1 2 1:9 (1,3 5:6)) CONDSTORE)`, Select{Mailbox: "x", CondStore: true, QResync: &QResync{
			UIDValidity: 1, ModSeq: 2, KnownUIDs: uids(1, 9), Seqs: imap.SeqSet{{Start: 1, Stop: 1}, {Start: 3, Stop: 3}}, UIDs: uids(5, 6)}}},
		{`SELECT x (QRESYNC (1 2 (1 5)))`, Select{Mailbox: "x", QResync: &QResync{
			UIDValidity: 1, ModSeq: 2, Seqs: seqs(1, 1), UIDs: uids(5, 5)}}},
		{`SELECT x (QRESYNC (0 2))`, nil},
		{`SELECT x (QRESYNC (1 0))`, nil},
		{`SELECT x (QRESYNC (1))`, nil},
		{`SELECT x (QRESYNC 1 2)`, nil},
		{`SELECT x (QRESYNC (1 2 1:*))`, nil},
		{`SELECT x (QRESYNC (1 2 $))`, nil},
		{`SELECT x (QRESYNC (1 2 1:9 (1 5:6)))`, nil},
		{`SELECT x (QRESYNC (1 2 1:9 (* 5)))`, nil},
		{`SELECT x (QRESYNC (1 2 (1 5) 1:9))`, nil},
		{`SELECT x (QRESYNC (1 2) QRESYNC (1 2))`, nil},
		{`SELECT x (FOO)`, nil},
		{`SELECT x ()`, nil},
		{`SELECT x CONDSTORE`, nil},
		{`SELECT x (CONDSTORE`, nil},
		{`SELECT`, nil},
	})
}

func TestList_RFC9051_6_3_9(t *testing.T) {
	runParse(t, []parseTest{
		{`LIST "" ""`, List{Patterns: []string{""}}},
		{`LIST "" *`, List{Patterns: []string{"*"}}},
		{`LIST "" %/Sent&AOk-`, List{Patterns: []string{"%/Senté"}}},
		{`LIST ref "a*]"`, List{Reference: "ref", Patterns: []string{"a*]"}}},
		{`LIST (subscribed remote) "" %`, List{Patterns: []string{"%"}, Extended: true,
			Options: imap.ListOptions{SelectSubscribed: true, SelectRemote: true}}},
		{`LIST () "" (% "x y")`, List{Patterns: []string{"%", "x y"}, Extended: true}},
		{`LIST (RECURSIVEMATCH SUBSCRIBED) "" %`, List{Patterns: []string{"%"}, Extended: true,
			Options: imap.ListOptions{SelectSubscribed: true, SelectRecursiveMatch: true}}},
		{`LIST (SPECIAL-USE) "" % return (special-use CHILDREN SUBSCRIBED STATUS (MESSAGES UNSEEN))`, List{Patterns: []string{"%"}, Extended: true,
			Options: imap.ListOptions{SelectSpecialUse: true, ReturnSpecialUse: true, ReturnChildren: true, ReturnSubscribed: true,
				ReturnStatus: &imap.StatusOptions{NumMessages: true, NumUnseen: true}}}},
		{`LIST "" % RETURN ()`, List{Patterns: []string{"%"}, Extended: true}},
		{`LIST (RECURSIVEMATCH) "" %`, nil},
		{`LIST (RECURSIVEMATCH REMOTE) "" %`, nil},
		{`LIST (FOO) "" %`, nil},
		{`LIST "" % RETURN (FOO)`, nil},
		{`LIST "" % RETURN (STATUS)`, nil},
		{`LIST "" % RETURN (STATUS ())`, nil},
		{`LIST "" % FOO (CHILDREN)`, nil},
		{`LIST "" % RETURN`, nil},
		{`LIST "" ()`, nil},
		{`LIST "" "é"`, nil},
		{`LIST "" (%` + strings.Repeat(" %", maxPatterns) + `)`, nil},
		{`LIST % ""`, nil},
		{`LIST ""`, nil},
		{`LSUB "" *`, List{Patterns: []string{"*"}}},
		{`LSUB "" (* %)`, nil},
		{`LSUB ""`, nil},
	})
	runParse(t, []parseTest{{`LIST "" "é*"`, List{Patterns: []string{"é*"}}}}, utf8Mode)
}

func TestStatus_RFC9051_6_3_11(t *testing.T) {
	runParse(t, []parseTest{
		{`STATUS x (messages RECENT UIDNEXT UIDVALIDITY UNSEEN)`, Status{"x", imap.StatusOptions{
			NumMessages: true, NumRecent: true, UIDNext: true, UIDValidity: true, NumUnseen: true}}},
		{`STATUS x (DELETED SIZE HIGHESTMODSEQ APPENDLIMIT DELETED-STORAGE)`, Status{"x", imap.StatusOptions{
			NumDeleted: true, Size: true, HighestModSeq: true, AppendLimit: true, DeletedStorage: true}}},
		{`STATUS x ()`, nil},
		{`STATUS x MESSAGES`, nil},
		{`STATUS x (FOO)`, nil},
		{`STATUS x (MESSAGES`, nil},
		{`STATUS (MESSAGES)`, nil},
	})
}

func TestStore_RFC9051_6_4_6_RFC7162_3_1_3(t *testing.T) {
	flags := func(op imap.StoreFlagsOp, silent bool, flags ...imap.Flag) imap.StoreFlags {
		return imap.StoreFlags{Op: op, Silent: silent, Flags: flags}
	}
	runParse(t, []parseTest{
		{`STORE 2:4 +FLAGS (\deleted)`, Store{Set: seqs(2, 4), Flags: flags(imap.StoreFlagsAdd, false, `\Deleted`)}},
		{`STORE 1 flags.silent \Seen $Junk x`, Store{Set: seqs(1, 1), Flags: flags(imap.StoreFlagsSet, true, `\Seen`, "$Junk", "x")}},
		{`UID STORE $ -FLAGS.SILENT ()`, Store{Set: imap.SearchRes(), Flags: flags(imap.StoreFlagsDel, true)}},
		{`UID STORE 1:* (UNCHANGEDSINCE 0) FLAGS (\RECENT \Foo)`, Store{Set: uids(1, 0), Conditional: true, Flags: flags(imap.StoreFlagsSet, false, `\Recent`, `\Foo`)}},
		{`STORE 1 (unchangedsince 12121230045) FLAGS (x)`, Store{Set: seqs(1, 1), Conditional: true, UnchangedSince: 12121230045, Flags: flags(imap.StoreFlagsSet, false, "x")}},
		{`STORE 1 (UNCHANGEDSINCE 1 UNCHANGEDSINCE 2) FLAGS ()`, nil},
		{`STORE 1 () FLAGS ()`, nil},
		{`STORE 1 (FOO 1) FLAGS ()`, nil},
		{`STORE 1 FLAGS`, nil},
		{`STORE 1 FLAGS `, nil},
		{`STORE 1 FLAGS \*`, nil},
		{`STORE 1 FLAGS (\)`, nil},
		{`STORE 1 FLAGS (x  y)`, nil},
		{`STORE 1 FLAGS (x y`, nil},
		{`STORE 1 FLAGS ("x")`, nil},
		{`STORE 1 +-FLAGS (x)`, nil},
		{`STORE 1 FLAGS.LOUD (x)`, nil},
		{`STORE 1 FLAGS (x` + strings.Repeat(" x", maxFlags) + `)`, nil},
		{`STORE FLAGS (x)`, nil},
	})
}

func TestCopyAndExpunge_RFC9051_6_4_7_to_9(t *testing.T) {
	runParse(t, []parseTest{
		{`COPY 2:4 &AOk-`, Copy{seqs(2, 4), "é"}},
		{`UID MOVE $ inbox`, Copy{imap.SearchRes(), "INBOX"}},
		{`MOVE $ inbox`, Copy{imap.SearchRes(), "INBOX"}},
		{`COPY 2:4`, nil},
		{`COPY x y`, nil},
		{`UID EXPUNGE 3:5`, uids(3, 5)},
		{`UID EXPUNGE $`, imap.SearchRes()},
		{`UID EXPUNGE`, nil},
		{`EXPUNGE 1`, nil},
	})
}
