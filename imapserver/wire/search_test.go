package wire

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
)

const (
	recent  = SearchFlag(FlagRecent)
	seen    = SearchFlag(imap.FlagSeen)
	deleted = SearchFlag(imap.FlagDeleted)
)

func day(year int, month time.Month, d int) time.Time {
	return time.Date(year, month, d, 0, 0, 0, 0, time.UTC)
}

func TestSearchKeys_RFC9051_6_4_4_RFC3501_6_4_4(t *testing.T) {
	keys := func(keys ...SearchKey) Search { return Search{Key: keys} }
	header := func(field, text string) Search { return keys(SearchText{In: InHeader, Field: field, Text: text}) }
	runParse(t, []parseTest{
		{`SEARCH ALL`, keys(SearchAnd{})},
		{`SEARCH answered`, keys(SearchFlag(`\Answered`))},
		{`SEARCH DELETED DRAFT FLAGGED SEEN`, keys(deleted, SearchFlag(`\Draft`), SearchFlag(`\Flagged`), seen)},
		{`SEARCH UNANSWERED UNDELETED`, keys(SearchNot{SearchFlag(`\Answered`)}, SearchNot{deleted})},
		{`SEARCH UNDRAFT UNFLAGGED UNSEEN`, keys(SearchNot{SearchFlag(`\Draft`)}, SearchNot{SearchFlag(`\Flagged`)}, SearchNot{seen})},
		{`SEARCH RECENT NEW OLD`, keys(recent, SearchAnd{recent, SearchNot{seen}}, SearchNot{recent})},
		{`SEARCH KEYWORD $Junk UNKEYWORD x`, keys(SearchFlag("$Junk"), SearchNot{SearchFlag("x")})},
		{`SEARCH BCC a`, header("BCC", "a")},
		{`SEARCH CC a`, header("CC", "a")},
		{`SEARCH FROM "a b"`, header("FROM", "a b")},
		{`SEARCH SUBJECT ""`, header("SUBJECT", "")},
		{`SEARCH TO a]`, header("TO", "a]")},
		{`SEARCH HEADER X-Foo ""`, header("X-Foo", "")},
		{`SEARCH BODY a`, keys(SearchText{In: InBody, Text: "a"})},
		{`SEARCH TEXT a`, keys(SearchText{In: InText, Text: "a"})},
		{`SEARCH BEFORE 1-Feb-2024 ON "01-feb-2024" SINCE 29-FEB-2024`, keys(
			SearchDate{DateInternal, Before, day(2024, 2, 1)}, SearchDate{DateInternal, On, day(2024, 2, 1)}, SearchDate{DateInternal, Since, day(2024, 2, 29)})},
		{`SEARCH SENTBEFORE 31-Dec-1999 SENTON 1-Jan-2000 SENTSINCE 2-Jan-2000`, keys(
			SearchDate{DateSent, Before, day(1999, 12, 31)}, SearchDate{DateSent, On, day(2000, 1, 1)}, SearchDate{DateSent, Since, day(2000, 1, 2)})},
		{`SEARCH LARGER 0 SMALLER 9223372036854775807`, keys(SearchSize{true, 0}, SearchSize{false, 1<<63 - 1})},
		{`SEARCH 1:3,5 UID 7:* $ UID $ *`, keys(SearchSet{imap.SeqSet{{Start: 1, Stop: 3}, {Start: 5, Stop: 5}}}, SearchSet{uids(7, 0)},
			SearchSet{imap.SearchRes()}, SearchSet{imap.SearchRes()}, SearchSet{seqs(0, 0)})},
		{`SEARCH NOT NOT SEEN`, keys(SearchNot{SearchNot{seen}})},
		{`SEARCH NOT (SEEN DELETED)`, keys(SearchNot{SearchAnd{seen, deleted}})},
		{`SEARCH OR SEEN DELETED RECENT`, keys(SearchOr{seen, deleted}, recent)},
		{`SEARCH OR OR SEEN DELETED OR RECENT ALL`, keys(SearchOr{seen, deleted, recent, SearchAnd{}})},
		{`SEARCH (SEEN (DELETED))`, keys(SearchAnd{seen, SearchAnd{deleted}})},
		{`SEARCH`, nil},
		{`SEARCH `, nil},
		{`SEARCH ()`, nil},
		{`SEARCH (SEEN`, nil},
		{`SEARCH SEEN)`, nil},
		{`SEARCH FOO`, nil},
		{`SEARCH FOO bar`, nil},
		{`SEARCH OR SEEN`, nil},
		{`SEARCH NOT`, nil},
		{`SEARCH UID x`, nil},
		{`SEARCH HEADER x`, nil},
		{`SEARCH SUBJECT`, nil},
		{`SEARCH KEYWORD \Seen`, nil},
		{`SEARCH LARGER -1`, nil},
		{`SEARCH LARGER 9223372036854775808`, nil},
		{`SEARCH BEFORE 31-Feb-2024`, nil},
		{`SEARCH BEFORE 0-Feb-2024`, nil},
		{`SEARCH BEFORE 1-Foo-2024`, nil},
		{`SEARCH BEFORE 1-anF-2024`, nil},
		{`SEARCH BEFORE 1-Feb-24`, nil},
		{`SEARCH BEFORE "1-Feb-2024`, nil},
		{`SEARCH BEFORE 1-Feb-2024"`, nil},
		{`SEARCH SEEN  DELETED`, nil},
		{"SEARCH SUBJECT {1+}\r\n\xff", nil},
	})
}

func TestSearchReturn_RFC4731_RFC5182(t *testing.T) {
	all := SearchAnd{SearchAnd{}}
	runParse(t, []parseTest{
		{`UID SEARCH RETURN () ALL`, Search{Key: all, Extended: true, Return: imap.SearchOptions{ReturnAll: true}}},
		{`SEARCH return (MIN max COUNT) CHARSET utf-8 ALL`, Search{Key: all, Extended: true, Return: imap.SearchOptions{ReturnMin: true, ReturnMax: true, ReturnCount: true}}},
		{`SEARCH RETURN (SAVE) ALL`, Search{Key: all, Extended: true, Return: imap.SearchOptions{ReturnSave: true}}},
		{`SEARCH RETURN (ALL)`, nil},
		{`SEARCH RETURN (FOO) ALL`, nil},
		{`SEARCH RETURN ALL`, nil},
	})
}

func TestSearchModSeq_RFC7162_3_1_5(t *testing.T) {
	runParse(t, []parseTest{
		{`SEARCH MODSEQ 620162338`, Search{Key: SearchAnd{SearchModSeq{ModSeq: 620162338}}, ModSeq: true}},
		{`SEARCH MODSEQ 0`, Search{Key: SearchAnd{SearchModSeq{}}, ModSeq: true}},
		{`SEARCH OR (MODSEQ "/flags/\\draft" all 5) SEEN`, Search{ModSeq: true, Key: SearchAnd{
			SearchOr{SearchAnd{SearchModSeq{ModSeq: 5, Flag: `\draft`, Type: "all"}}, seen}}}},
		{`SEARCH MODSEQ "/flags/x" PRIV 5`, Search{ModSeq: true, Key: SearchAnd{SearchModSeq{ModSeq: 5, Flag: "x", Type: "priv"}}}},
		{`SEARCH MODSEQ "/flags/x" foo 5`, nil},
		{`SEARCH MODSEQ "/foo/x" all 5`, nil},
		{`SEARCH MODSEQ "/flags/x" 5`, nil},
		{`SEARCH MODSEQ "/flags/" all 5`, nil},
		{`SEARCH MODSEQ`, nil},
	})
}

func TestSearchCharset_RFC9051_6_4_4(t *testing.T) {
	want := Search{Key: SearchAnd{SearchText{In: InBody, Text: "é"}}}
	runParse(t, []parseTest{
		{"SEARCH CHARSET UTF-8 BODY {2+}\r\né", want},
		{"SEARCH CHARSET \"us-ascii\" BODY {2+}\r\né", want},
		{"SEARCH BODY {2+}\r\né", want},
		{"SEARCH CHARSET UTF-8", nil},
		{"SEARCH CHARSET", nil},
	})
	_, err := parse("SEARCH RETURN (MIN) CHARSET KOI8-R ALL")
	if _, ok := errors.AsType[*BadCharsetError](err); !ok {
		t.Error(err)
	}
}

func TestSearchLimits(t *testing.T) {
	for in, ok := range map[string]bool{
		"SEARCH " + strings.Repeat("OR SEEN ", maxSearchDepth) + "SEEN":                                    true,
		"SEARCH " + strings.Repeat("OR SEEN ", maxSearchDepth+1) + "SEEN":                                  false,
		"SEARCH " + strings.Repeat("NOT ", maxSearchDepth+1) + "SEEN":                                      false,
		"SEARCH " + strings.Repeat("(", maxSearchDepth) + "SEEN" + strings.Repeat(")", maxSearchDepth):     true,
		"SEARCH " + strings.Repeat("(", maxSearchDepth+1) + "SEEN" + strings.Repeat(")", maxSearchDepth+1): false,
		"SEARCH SEEN" + strings.Repeat(" SEEN", maxSearchKeys-1):                                           true,
		"SEARCH SEEN" + strings.Repeat(" SEEN", maxSearchKeys):                                             false,
		"SEARCH " + strings.Repeat("(", 60000):                                                             false,
	} {
		if _, err := parse(in); (err == nil) != ok {
			t.Errorf("%.40s (%d octets): %v", in, len(in), err)
		}
	}
}
