package wire

import (
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"pgregory.net/rapid"
)

// encode returns what f appends.
func encode(utf8 bool, f func(*Encoder)) string {
	e := Encoder{UTF8: utf8}
	f(&e)
	return string(e.Buf)
}

func TestEncodeString_RFC9051_4_3(t *testing.T) {
	long := strings.Repeat("x", maxQuoted+1)
	for _, tt := range []struct {
		in, plain, utf8 string
	}{
		{"", `""`, `""`},
		{"a b", `"a b"`, `"a b"`},
		{`a"b\`, `"a\"b\\"`, `"a\"b\\"`},
		{"a\r\nb", "{4}\r\na\r\nb", "{4}\r\na\r\nb"},
		{"é", "{2}\r\né", `"é"`},
		{"\xff", "{1}\r\n\xff", "{1}\r\n\xff"},
		{"a\x00b", `"a?b"`, `"a?b"`},
		{long, "{1001}\r\n" + long, "{1001}\r\n" + long},
	} {
		if got := encode(false, func(e *Encoder) { e.String(tt.in) }); got != tt.plain {
			t.Errorf("String(%q) = %q", tt.in, got)
		}
		if got := encode(true, func(e *Encoder) { e.String(tt.in) }); got != tt.utf8 {
			t.Errorf("String(%q) with UTF8 = %q", tt.in, got)
		}
	}
}

func TestEncodeAString_RFC9051_9(t *testing.T) {
	for in, want := range map[string]string{
		"a]b": "a]b", "": `""`, "nil": `"nil"`, "nile": "nile", "a b": `"a b"`, "a*": `"a*"`, "é": "{2}\r\né",
	} {
		if got := encode(false, func(e *Encoder) { e.AString(in) }); got != want {
			t.Errorf("AString(%q) = %q, want %q", in, got, want)
		}
	}
}

// What the Encoder writes, the Decoder reads as the same.
func TestStringsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		utf8 := rapid.Bool().Draw(t, "utf8")
		s := strings.ReplaceAll(string(rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "s")), "\x00", "")
		name := rapid.StringOf(rapid.OneOf(rapid.RuneFrom([]rune(`abc &"\-/`)), rapid.Rune())).Draw(t, "name")
		if _, err := (&Decoder{UTF8: true}).mailboxName(name); err != nil {
			t.Skip("not a mailbox name")
		}
		if strings.EqualFold(name, "inbox") {
			name = "INBOX"
		}
		line := encode(utf8, func(e *Encoder) {
			e.String(s)
			e.SP()
			e.AString(s)
			e.SP()
			e.NString(s, s != "")
			e.SP()
			e.Mailbox(name)
			e.CRLF()
		})
		d, _ := newDecoder(line, 4096)
		d.UTF8 = utf8
		if err := d.next(); err != nil {
			t.Fatal(err)
		}
		str, err1 := d.String()
		err2 := d.SP()
		astr, err3 := d.AString()
		err4 := d.SP()
		nstr, ok, err5 := d.NString()
		err6 := d.SP()
		box, err7 := d.Mailbox()
		err8 := d.End()
		for _, err := range []error{err1, err2, err3, err4, err5, err6, err7, err8} {
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
		}
		if str != s || astr != s || nstr != s || ok != (s != "") || box != name {
			t.Fatalf("%q and %q: %q read as %q %q %q %v %q", s, name, line, str, astr, nstr, ok, box)
		}
	})
}

func TestDateTimeRoundTrip_RFC9051_9(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.IntRange(-14*60, 14*60).Draw(t, "zone") * 60
		want := time.Unix(rapid.Int64Range(-60_000_000_000, 250_000_000_000).Draw(t, "unix"), 0).In(time.FixedZone("", zone))
		s := encode(false, func(e *Encoder) { e.DateTime(want) })
		d := &Decoder{seg: []byte(s), open: true}
		got, err := d.DateTime()
		if err != nil || !got.Equal(want) || d.End() != nil {
			t.Fatalf("%v is written as %s and read as %v, %v", want, s, got, err)
		}
		if _, a := got.Zone(); a != zone {
			t.Fatalf("%s: zone %d, want %d", s, a, zone)
		}
	})
	for want, in := range map[string]time.Time{
		`" 1-Feb-2024 03:04:05 -0130"`: time.Date(2024, 2, 1, 3, 4, 5, 6, time.FixedZone("", -90*60)),
		`"31-Dec-9999 23:59:59 +0000"`: time.Date(10001, 2, 1, 3, 4, 5, 6, time.UTC),
		`" 1-Jan-0000 00:00:00 +0000"`: time.Date(-5, 2, 1, 3, 4, 5, 6, time.UTC),
	} {
		if got := encode(false, func(e *Encoder) { e.DateTime(in) }); got != want {
			t.Errorf("%v: %s, want %s", in, got, want)
		}
	}
}

func TestDateTimeIsStrict_RFC9051_9(t *testing.T) {
	for _, in := range []string{
		`"01-Feb-2024 03:04:05 +0000`, `01-Feb-2024 03:04:05 +0000`, `"1-Feb-2024 03:04:05 +0000"`, `" 01-Feb-2024 03:04:05 +0000"`,
		`"30-Feb-2024 03:04:05 +0000"`, `"01-Feb-2024 24:04:05 +0000"`, `"01-Feb-2024 03:60:05 +0000"`, `"01-Feb-2024 03:04:61 +0000"`,
		`"01-Feb-2024 03:04:05 0000"`, `"01-Feb-2024 03:04:05 +9900"`, `"01-Feb-2024 03:04:05 +0060"`, `"01-Feb-2024 03:04:05"`, `"01-Feb-2024"`, `""`,
	} {
		d := &Decoder{seg: []byte(in), open: true}
		if got, err := d.DateTime(); err == nil {
			t.Errorf("%s: %v", in, got)
		}
	}
}

func TestStatusResponses_RFC9051_7_1(t *testing.T) {
	for _, tt := range []struct {
		want string
		f    func(*Encoder)
	}{
		{"a OK done\r\n", func(e *Encoder) { e.Status("a", imap.StatusResponseTypeOK, "", "done") }},
		{"* BYE [UNAVAILABLE] later\r\n", func(e *Encoder) { e.Status("", imap.StatusResponseTypeBye, imap.ResponseCodeUnavailable, "later") }},
		{"a NO x  y?? \r\n", func(e *Encoder) { e.Status("a", imap.StatusResponseTypeNo, "", "x\r\nyé\x00") }},
		{"a NO -\r\n", func(e *Encoder) { e.Status("a", imap.StatusResponseTypeNo, "", "") }},
		{"* OK [UIDNEXT 5] next\r\n", func(e *Encoder) { e.NumberCode("", imap.StatusResponseTypeOK, "UIDNEXT", 5, "next") }},
		{"* OK [PERMANENTFLAGS (\\Seen \\*)] x\r\n", func(e *Encoder) { e.PermanentFlags([]imap.Flag{imap.FlagSeen, imap.FlagWildcard}, "x") }},
		{"a OK [APPENDUID 38505 3955] x\r\n", func(e *Encoder) { e.AppendUID("a", 38505, uids(3955, 3955), "x") }},
		{"a OK [COPYUID 38505 304,319:320 3956:3958] x\r\n", func(e *Encoder) {
			e.CopyUID("a", 38505, imap.UIDSet{{Start: 304, Stop: 304}, {Start: 319, Stop: 320}}, uids(3956, 3958), "x")
		}},
		{"a NO [MODIFIED 7,9] x\r\n", func(e *Encoder) {
			e.Modified("a", imap.StatusResponseTypeNo, imap.SeqSet{{Start: 7, Stop: 7}, {Start: 9, Stop: 9}}, "x")
		}},
		{"a NO [BADCHARSET (US-ASCII UTF-8)] x\r\n", func(e *Encoder) { e.BadCharset("a", "x") }},
		{"+ idling\r\n", func(e *Encoder) { e.Continuation("idling") }},
		{"+ \r\n", func(e *Encoder) { e.Challenge(nil) }},
		{"+ am9l\r\n", func(e *Encoder) { e.Challenge([]byte("joe")) }},
		{"* CAPABILITY IMAP4rev1 IDLE\r\n", func(e *Encoder) {
			e.Raw("* ")
			e.Capability([]imap.Cap{imap.CapIMAP4rev1, imap.CapIdle})
			e.CRLF()
		}},
	} {
		if got := encode(false, tt.f); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	if got := encode(true, func(e *Encoder) { e.Status("a", imap.StatusResponseTypeNo, "", "é") }); got != "a NO é\r\n" {
		t.Errorf("%q", got)
	}
}

func TestMailboxResponses_RFC9051_7_3(t *testing.T) {
	one, size := uint32(1), int64(5_000_000_000)
	for _, tt := range []struct {
		want string
		f    func(*Encoder)
	}{
		{"* 23 EXISTS\r\n", func(e *Encoder) { e.MailboxNumber(23, "EXISTS") }},
		{"* FLAGS (\\Seen x)\r\n", func(e *Encoder) { e.MailboxFlags([]imap.Flag{imap.FlagSeen, "x"}) }},
		{"* VANISHED (EARLIER) 41,43:116\r\n", func(e *Encoder) {
			e.Vanished(true, imap.UIDSet{{Start: 41, Stop: 41}, {Start: 43, Stop: 116}})
		}},
		{"* VANISHED 5\r\n", func(e *Encoder) { e.Vanished(false, uids(5, 5)) }},
		{"* LIST (\\HasNoChildren \\Sent) \"/\" \"a&AOk-\\\"b\\\\\"\r\n", func(e *Encoder) {
			e.List(&imap.ListData{Attrs: []imap.MailboxAttr{imap.MailboxAttrHasNoChildren, imap.MailboxAttrSent}, Delim: '/', Mailbox: `aé"b\`})
		}},
		{"* LIST () NIL \"INBOX\" (\"CHILDINFO\" (\"SUBSCRIBED\") \"OLDNAME\" (\"b\"))\r\n", func(e *Encoder) {
			e.List(&imap.ListData{Mailbox: "INBOX", ChildInfo: &imap.ListDataChildInfo{Subscribed: true}, OldName: "b"})
		}},
		{"* LSUB (\\Noselect) \"\\\\\" \"x\"\r\n", func(e *Encoder) {
			e.LSub(&imap.ListData{Attrs: []imap.MailboxAttr{imap.MailboxAttrNoSelect}, Delim: '\\', Mailbox: "x"})
		}},
		{"* NAMESPACE ((\"\" \"/\")) NIL ((\"S/\" \"/\")(\"T\" NIL))\r\n", func(e *Encoder) {
			e.Namespace(&imap.NamespaceData{Personal: []imap.NamespaceDescriptor{{Delim: '/'}},
				Shared: []imap.NamespaceDescriptor{{Prefix: "S/", Delim: '/'}, {Prefix: "T"}}})
		}},
		{"* STATUS \"x\" (MESSAGES 1 UIDNEXT 4 SIZE 5000000000 HIGHESTMODSEQ 7 APPENDLIMIT NIL)\r\n", func(e *Encoder) {
			e.MailboxStatus(&imap.StatusOptions{NumMessages: true, UIDNext: true, Size: true, HighestModSeq: true, AppendLimit: true},
				&imap.StatusData{Mailbox: "x", NumMessages: &one, UIDNext: 4, UIDValidity: 9, Size: &size, HighestModSeq: 7})
		}},
		{"* STATUS \"x\" (RECENT 0 UIDVALIDITY 9 UNSEEN 0 DELETED 0 DELETED-STORAGE 0 APPENDLIMIT 1)\r\n", func(e *Encoder) {
			e.MailboxStatus(&imap.StatusOptions{NumRecent: true, UIDValidity: true, NumUnseen: true, NumDeleted: true, DeletedStorage: true, AppendLimit: true},
				&imap.StatusData{Mailbox: "x", UIDValidity: 9, AppendLimit: &one})
		}},
		{"* STATUS \"x\" (APPENDLIMIT NIL)\r\n", func(e *Encoder) {
			e.MailboxStatus(&imap.StatusOptions{AppendLimit: true}, &imap.StatusData{Mailbox: "x"})
		}},
		{"* QUOTA \"\" (STORAGE 10 512 MESSAGE 1 2)\r\n", func(e *Encoder) {
			e.Quota("", []Quota{{imap.QuotaResourceStorage, 10, 512}, {imap.QuotaResourceMessage, 1, 2}})
		}},
		{"* QUOTAROOT \"INBOX\" \"\" joe\r\n", func(e *Encoder) { e.QuotaRoot("INBOX", []string{"", "joe"}) }},
		{"* ID NIL\r\n", func(e *Encoder) { e.ID(nil) }},
		{"* ID (\"name\" \"Starling\" \"os\" NIL)\r\n", func(e *Encoder) {
			e.ID([]IDField{{Name: "Name", Value: "Starling"}, {Name: "os", Nil: true}})
		}},
		{"* SEARCH 2 84 (MODSEQ 917)\r\n", func(e *Encoder) {
			e.SearchBegin()
			e.SearchNum(2)
			e.SearchNum(84)
			e.SearchEnd(917)
		}},
		{"* SEARCH\r\n", func(e *Encoder) {
			e.SearchBegin()
			e.SearchEnd(0)
		}},
	} {
		if got := encode(false, tt.f); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	if got := encode(true, func(e *Encoder) { e.LSub(&imap.ListData{Delim: '/', Mailbox: "é&"}) }); got != "* LSUB () \"/\" \"é&\"\r\n" {
		t.Errorf("%q", got)
	}
}

func TestESearch_RFC9051_7_3_4(t *testing.T) {
	all := &imap.SearchOptions{ReturnMin: true, ReturnMax: true, ReturnAll: true, ReturnCount: true}
	for want, data := range map[string]*imap.SearchData{
		"* ESEARCH (TAG \"a\") UID MIN 2 MAX 9 COUNT 3 ALL 2,8:9 MODSEQ 5\r\n": {
			Min: 2, Max: 9, Count: 3, All: imap.UIDSet{{Start: 2, Stop: 2}, {Start: 8, Stop: 9}}, ModSeq: 5},
		"* ESEARCH (TAG \"a\") UID COUNT 0\r\n": {All: imap.UIDSet{}},
	} {
		if got := encode(false, func(e *Encoder) { e.ESearch("a", true, all, data) }); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := encode(false, func(e *Encoder) {
		e.ESearch("a", false, &imap.SearchOptions{ReturnAll: true}, &imap.SearchData{Min: 1, All: seqs(1, 1)})
	}); got != "* ESEARCH (TAG \"a\") ALL 1\r\n" {
		t.Errorf("%q", got)
	}
	if got := encode(false, func(e *Encoder) { e.ESearch("a", false, all, new(imap.SearchData)) }); got != "* ESEARCH (TAG \"a\") COUNT 0\r\n" {
		t.Errorf("%q", got)
	}
}

// A section is answered under the name that it was asked for, without .PEEK
// and the size of a partial.
func TestSectionNames_RFC9051_7_5_2(t *testing.T) {
	for in, want := range map[string]string{
		"BODY[]":                                 "BODY[]",
		"BODY.PEEK[]<7.100>":                     "BODY[]<7>",
		"BODY[1.2]":                              "BODY[1.2]",
		"BODY.PEEK[1.2.MIME]":                    "BODY[1.2.MIME]",
		"body[header]":                           "BODY[HEADER]",
		"BODY[HEADER.FIELDS (From \"x y\" a]b)]": "BODY[HEADER.FIELDS (From \"x y\" a]b)]",
		"BODY[3.HEADER.FIELDS.NOT (To)]<0.1>":    "BODY[3.HEADER.FIELDS.NOT (To)]<0>",
		"BODY[TEXT]":                             "BODY[TEXT]",
		"BINARY.PEEK[1]<2.3>":                    "BINARY[1]<2>",
		"BINARY.SIZE[1]":                         "BINARY.SIZE[1]",
		"RFC822":                                 "RFC822",
		"RFC822.HEADER":                          "RFC822.HEADER",
		"RFC822.TEXT":                            "RFC822.TEXT",
	} {
		got, err := parse("FETCH 1 " + in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		s := &got.(Fetch).Items.Sections[0]
		if name := encode(false, func(e *Encoder) { e.SectionName(s) }); name != want {
			t.Errorf("%s: %s, want %s", in, name, want)
		}
	}
}

func TestFetchResponse_RFC9051_7_5_2(t *testing.T) {
	body := &FetchSection{}
	size := &FetchSection{Kind: SectionBinarySize, FetchItemBodySection: imap.FetchItemBodySection{Part: []int{1}}}
	var out strings.Builder
	var e Encoder
	for n := range uint32(2) {
		e.FetchBegin(n + 1)
		// The buffer may be written out at any moment, and a message may end like a FetchBegin.
		e.FetchSectionLiteral(body, 9, n == 1)
		out.Write(e.Buf)
		e.Buf = append(e.Buf[:0], "* FETCH ("...)
		e.FetchUID(103)
		out.Write(e.Buf)
		e.Buf = e.Buf[:0]
		e.FetchFlags([]imap.Flag{imap.FlagSeen})
		e.FetchModSeq(12)
		e.FetchSize(44827)
		e.FetchInternalDate(time.Date(2024, 2, 1, 3, 4, 5, 0, time.UTC))
		e.FetchItem("BODYSTRUCTURE")
		e.Raw("()")
		e.FetchSectionNIL(body)
		e.FetchBinarySize(size, 7)
		e.FetchEnd()
	}
	out.Write(e.Buf)
	const tail = `* FETCH ( UID 103 FLAGS (\Seen) MODSEQ (12) RFC822.SIZE 44827 INTERNALDATE " 1-Feb-2024 03:04:05 +0000"` +
		" BODYSTRUCTURE () BODY[] NIL BINARY.SIZE[1] 7)\r\n"
	want := "* 1 FETCH (BODY[] {9}\r\n" + tail + "* 2 FETCH (BODY[] ~{9}\r\n" + tail
	if out.String() != want {
		t.Errorf("got  %q\nwant %q", out.String(), want)
	}
}
