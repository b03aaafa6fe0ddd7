package wire

import (
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
)

func TestFetchItems_RFC9051_6_4_5(t *testing.T) {
	items := func(f FetchItems) Fetch { return Fetch{Set: seqs(1, 1), Items: f} }
	runParse(t, []parseTest{
		{`FETCH 1 fast`, items(FetchItems{Flags: true, InternalDate: true, Size: true})},
		{`FETCH 1 ALL`, items(FetchItems{Flags: true, InternalDate: true, Size: true, Envelope: true})},
		{`FETCH 1 FULL`, items(FetchItems{Flags: true, InternalDate: true, Size: true, Envelope: true, Body: true})},
		{`FETCH 1 (FLAGS UID INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE MODSEQ)`, items(FetchItems{
			Flags: true, UID: true, InternalDate: true, Size: true, Envelope: true, Body: true, BodyStructure: true, ModSeq: true})},
		{`FETCH 1 (EMAILID THREADID SAVEDATE)`, items(FetchItems{EmailID: true, ThreadID: true, SaveDate: true})},
		{`UID FETCH 1:* flags`, Fetch{Set: uids(1, 0), Items: FetchItems{UID: true, Flags: true}}},
		{`FETCH $ FLAGS`, Fetch{Set: imap.SearchRes(), Items: FetchItems{Flags: true}}},
		{`FETCH 1 (FAST)`, nil},
		{`FETCH 1 (FLAGS ALL)`, nil},
		{`FETCH 1 ()`, nil},
		{`FETCH 1 FOO`, nil},
		{`FETCH 1 BODY.PEEK`, nil},
		{`FETCH 1 FLAGS UID`, nil},
		{`FETCH 1 (FLAGS,UID)`, nil},
		{`FETCH 1`, nil},
		{`FETCH 0 FLAGS`, nil},
		{`FETCH 1 (` + strings.Repeat("RFC822 ", maxFetchSections) + `RFC822)`, nil},
	})
}

func TestFetchSections_RFC9051_6_4_5_1(t *testing.T) {
	section := func(kind SectionKind, s imap.FetchItemBodySection) Fetch {
		return Fetch{Set: seqs(1, 1), Items: FetchItems{Sections: []FetchSection{{kind, s}}}}
	}
	partial := func(offset, size int64) *imap.SectionPartial { return &imap.SectionPartial{Offset: offset, Size: size} }
	runParse(t, []parseTest{
		{`FETCH 1 BODY[]`, section(SectionBody, imap.FetchItemBodySection{})},
		{`FETCH 1 body.peek[]<0.2048>`, section(SectionBody, imap.FetchItemBodySection{Peek: true, Partial: partial(0, 2048)})},
		{`FETCH 1 BODY[HEADER]`, section(SectionBody, imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader})},
		{`FETCH 1 BODY[text]<5.1>`, section(SectionBody, imap.FetchItemBodySection{Specifier: imap.PartSpecifierText, Partial: partial(5, 1)})},
		{`FETCH 1 BODY[1.2.33]`, section(SectionBody, imap.FetchItemBodySection{Part: []int{1, 2, 33}})},
		{`FETCH 1 BODY[1.MIME]`, section(SectionBody, imap.FetchItemBodySection{Part: []int{1}, Specifier: imap.PartSpecifierMIME})},
		{`FETCH 1 BODY[4.2.HEADER]`, section(SectionBody, imap.FetchItemBodySection{Part: []int{4, 2}, Specifier: imap.PartSpecifierHeader})},
		{`FETCH 1 BODY.PEEK[HEADER.FIELDS (date "From")]`, section(SectionBody, imap.FetchItemBodySection{
			Peek: true, Specifier: imap.PartSpecifierHeader, HeaderFields: []string{"date", "From"}})},
		{`FETCH 1 (BODY[2.HEADER.FIELDS.NOT (To)])`, section(SectionBody, imap.FetchItemBodySection{
			Part: []int{2}, Specifier: imap.PartSpecifierHeader, HeaderFieldsNot: []string{"To"}})},
		{`FETCH 1 RFC822`, section(SectionRFC822, imap.FetchItemBodySection{})},
		{`FETCH 1 RFC822.HEADER`, section(SectionRFC822Header, imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader, Peek: true})},
		{`FETCH 1 RFC822.TEXT`, section(SectionRFC822Text, imap.FetchItemBodySection{Specifier: imap.PartSpecifierText})},
		{`FETCH 1 BINARY[]`, section(SectionBinary, imap.FetchItemBodySection{})},
		{`FETCH 1 BINARY.PEEK[1.2]<3.4>`, section(SectionBinary, imap.FetchItemBodySection{Part: []int{1, 2}, Peek: true, Partial: partial(3, 4)})},
		{`FETCH 1 BINARY.SIZE[3]`, section(SectionBinarySize, imap.FetchItemBodySection{Part: []int{3}, Peek: true})},
		{`FETCH 1 (FLAGS BODY[] BODY[1])`, Fetch{Set: seqs(1, 1), Items: FetchItems{Flags: true, Sections: []FetchSection{
			{}, {FetchItemBodySection: imap.FetchItemBodySection{Part: []int{1}}}}}}},
		{`FETCH 1 BODY[MIME]`, nil},
		{`FETCH 1 BODY[0]`, nil},
		{`FETCH 1 BODY[1.]`, nil},
		{`FETCH 1 BODY[.1]`, nil},
		{`FETCH 1 BODY[1..2]`, nil},
		{`FETCH 1 BODY[1 2]`, nil},
		{`FETCH 1 BODY[FOO]`, nil},
		{`FETCH 1 BODY[`, nil},
		{`FETCH 1 BODY[]<0.0>`, nil},
		{`FETCH 1 BODY[]<0>`, nil},
		{`FETCH 1 BODY[]<-1.5>`, nil},
		{`FETCH 1 BODY[]<0.5`, nil},
		{`FETCH 1 BODY[]<99999999999999999999.1>`, nil},
		{`FETCH 1 BODY[99999999999]`, nil},
		{`FETCH 1 BODY[4294967295]`, nil},
		{`FETCH 1 BODY[HEADER.FIELDS]`, nil},
		{`FETCH 1 BODY[HEADER.FIELDS ()]`, nil},
		{`FETCH 1 BODY[HEADER.FIELDS ("")]`, nil},
		{`FETCH 1 BINARY[HEADER]`, nil},
		{`FETCH 1 BINARY[1.HEADER]`, nil},
		{`FETCH 1 BINARY.SIZE[1]<0.1>`, nil},
		{`FETCH 1 FLAGS[]`, nil},
		{`FETCH 1 BODY[` + strings.Repeat("1.", maxPartDepth) + `1]`, nil},
	})
}

func TestFetchModifiers_RFC7162_3_1_4_1_and_3_2_6(t *testing.T) {
	runParse(t, []parseTest{
		{`FETCH 1 FLAGS (CHANGEDSINCE 12345)`, Fetch{Set: seqs(1, 1), Items: FetchItems{Flags: true, ModSeq: true}, ChangedSince: 12345}},
		{`UID FETCH 1 (FLAGS) (vanished changedsince 5)`, Fetch{Set: uids(1, 1), Items: FetchItems{UID: true, Flags: true, ModSeq: true}, ChangedSince: 5, Vanished: true}},
		{`FETCH 1 FLAGS (CHANGEDSINCE 0)`, nil},
		{`FETCH 1 FLAGS (CHANGEDSINCE 9223372036854775808)`, nil},
		{`FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)`, nil},
		{`UID FETCH 1 FLAGS (VANISHED)`, nil},
		{`FETCH 1 FLAGS ()`, nil},
		{`FETCH 1 FLAGS (FOO)`, nil},
		{`FETCH 1 FLAGS CHANGEDSINCE 1`, nil},
		{`FETCH 1 (FLAGS)(CHANGEDSINCE 1)`, nil},
	})
}
