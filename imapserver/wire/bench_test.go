package wire

import (
	"bufio"
	"bytes"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
)

func BenchmarkDecode(b *testing.B) {
	for _, bb := range []struct{ name, line string }{
		{"NOOP", "A142 NOOP\r\n"},
		{"SELECT", "A142 SELECT \"INBOX\" (CONDSTORE)\r\n"},
		{"FETCH", "A142 UID FETCH 1:500,507,509:513 (UID FLAGS RFC822.SIZE BODY.PEEK[HEADER.FIELDS (From To Cc Subject Date Message-ID)])\r\n"},
		{"STORE", "A142 UID STORE 4827313 +FLAGS.SILENT (\\Seen)\r\n"},
		{"SEARCH", "A142 UID SEARCH RETURN (ALL) UNDELETED SINCE 1-Feb-2024 OR FROM joe SUBJECT \"x y\"\r\n"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(bb.line)))
			src := bytes.NewReader(nil)
			br := bufio.NewReader(src)
			d := &Decoder{Limits: DefaultLimits()}
			for b.Loop() {
				src.Reset([]byte(bb.line))
				br.Reset(src)
				d.Reset(br)
				cmd, err := d.Command()
				if err != nil {
					b.Fatal(err)
				}
				if _, err := rest(d, cmd); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// fetchLine appends what a client asks for most.
func fetchLine(e *Encoder, flags []imap.Flag, t time.Time) {
	e.FetchBegin(1204)
	e.FetchUID(4827313)
	e.FetchFlags(flags)
	e.FetchModSeq(90071992547)
	e.FetchInternalDate(t)
	e.FetchSize(44827)
	e.FetchEnd()
}

func BenchmarkEncodeFetch(b *testing.B) {
	flags := []imap.Flag{imap.FlagSeen, imap.FlagAnswered, "$Junk"}
	t := time.Date(2024, 2, 1, 3, 4, 5, 0, time.FixedZone("", 3600))
	e := Encoder{Buf: make([]byte, 0, 4096)}
	b.ReportAllocs()
	for b.Loop() {
		e.Buf = e.Buf[:0]
		fetchLine(&e, flags, t)
	}
	b.SetBytes(int64(len(e.Buf)))
}

// Appending allocates nothing while the buffer has room.
func TestEncoderAllocatesNothing(t *testing.T) {
	flags := []imap.Flag{imap.FlagSeen, "$Junk"}
	date := time.Date(2024, 2, 1, 3, 4, 5, 0, time.FixedZone("", 3600))
	section := &FetchSection{FetchItemBodySection: imap.FetchItemBodySection{
		Part: []int{1, 2}, Specifier: imap.PartSpecifierHeader, HeaderFields: []string{"From", "X Y"},
		Partial: &imap.SectionPartial{Offset: 5, Size: 6},
	}}
	set := imap.UIDSet{{Start: 1, Stop: 5}, {Start: 9, Stop: 9}}
	list := &imap.ListData{Attrs: []imap.MailboxAttr{imap.MailboxAttrHasNoChildren}, Delim: '/', Mailbox: "Entwürfe/x"}
	status, data := &imap.StatusOptions{NumMessages: true, UIDNext: true}, &imap.StatusData{Mailbox: "x"}
	options, found := &imap.SearchOptions{ReturnAll: true}, &imap.SearchData{All: set}
	e := Encoder{Buf: make([]byte, 0, 4096)}
	if n := testing.AllocsPerRun(100, func() {
		e.Buf = e.Buf[:0]
		fetchLine(&e, flags, date)
		e.FetchSectionLiteral(section, 100, false)
		e.List(list)
		e.MailboxStatus(status, data)
		e.ESearch("a", true, options, found)
		e.Vanished(true, set)
		e.CopyUID("a", 1, set, set, "done")
		e.String("x\"y")
		e.String("é")
		e.AString("z")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
