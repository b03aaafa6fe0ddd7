package transfer

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// readMbox returns "date flags body" of each message.
func readMbox(t *testing.T, text string, mboxo bool) []string {
	t.Helper()
	var got []string
	keys := map[string]bool{}
	for item, err := range mboxOf(text, mboxo).items() {
		if err != nil {
			t.Fatal(err)
		}
		r, err := item.Open()
		if err != nil {
			t.Fatal(err)
		}
		body := readAll(t, r)
		if int64(len(body)) != item.Size {
			t.Errorf("size %d, is %d", item.Size, len(body))
		}
		if keys[item.Key] {
			t.Errorf("key %s twice", item.Key)
		}
		keys[item.Key] = true
		got = append(got, fmt.Sprintf("%s %v %q", item.Received.UTC().Format("2006-01-02T15:04:05"), item.Flags.List(), body))
	}
	return got
}

// mboxOf is an mbox file in memory.
func mboxOf(text string, mboxo bool) mboxFile {
	return mboxFile{date: someDay, mboxo: mboxo, open: func() (readerAtCloser, error) {
		return struct {
			*strings.Reader
			io.Closer
		}{strings.NewReader(text), io.NopCloser(nil)}, nil
	}}
}

func TestMbox(t *testing.T) {
	const day = "Fri Jan  2 03:04:05 2015"
	for _, c := range []struct {
		name, text string
		mboxo      bool
		want       []string
	}{
		{name: "empty"},
		{name: "two", text: "From a@b " + day + "\nSubject: 1\n\nx\n\nFrom c@d " + day + "\nSubject: 2\n\ny\n",
			want: []string{`2015-01-02T03:04:05 [] "Subject: 1\r\n\r\nx\r\n"`, `2015-01-02T03:04:05 [] "Subject: 2\r\n\r\ny\r\n"`}},
		{name: "CRLF", text: "From a@b " + day + "\r\nSubject: 1\r\n\r\nx\r\n\r\nFrom c@d " + day + "\r\n\r\ny\r\n\r\n",
			want: []string{`2015-01-02T03:04:05 [] "Subject: 1\r\n\r\nx\r\n"`, `2015-01-02T03:04:05 [] "\r\ny\r\n"`}},
		{name: "From in a body", text: "From a@b " + day + "\n\nx\nFrom c@d " + day + "\n\nFrom here to there\n",
			want: []string{`2015-01-02T03:04:05 [] "\r\nx\r\nFrom c@d Fri Jan  2 03:04:05 2015\r\n\r\nFrom here to there\r\n"`}},
		{name: "mboxrd", text: "From a@b " + day + "\n\n>From x\n>>From y\n> From z\n",
			want: []string{`2015-01-02T03:04:05 [] "\r\nFrom x\r\n>From y\r\n> From z\r\n"`}},
		{name: "mboxo", mboxo: true, text: "From a@b " + day + "\n\n>From x\n>>From y\n",
			want: []string{`2015-01-02T03:04:05 [] "\r\nFrom x\r\n>>From y\r\n"`}},
		{name: "status", text: "From a " + day + "\nStatus: RO\nX-Status: AFDT\nSubject: s\nX-Keywords: Work $Label1 bad(1    \nX-UID: 5\nStatus-x: k\n\nStatus: body\n",
			want: []string{`2015-01-02T03:04:05 [\Answered \Flagged \Deleted \Seen \Draft $Label1 Work] "Subject: s\r\nStatus-x: k\r\n\r\nStatus: body\r\n"`}},
		{name: "folded status", text: "From a " + day + "\nX-Keywords: one\n two\nSubject: s\n\n",
			want: []string{`2015-01-02T03:04:05 [one] "Subject: s\r\n\r\n"`}},
		{name: "Thunderbird", text: "From - " + day + "\nX-Mozilla-Status: 1007\nX-Mozilla-Status2: 00800000\nX-Mozilla-Keys: $label2    \nA: b\n\nx\n\n" +
			"From - " + day + "\nX-Mozilla-Status: 0009\nA: gone\n\nx\n",
			want: []string{`2015-01-02T03:04:05 [\Answered \Flagged \Seen $Forwarded $label2] "A: b\r\n\r\nx\r\n"`}},
		{name: "UW imapd", text: "From MAILER-DAEMON " + day + "\nSubject: DON'T DELETE THIS MESSAGE\nX-IMAP: 1 2\n\nx\n\nFrom a " + day + "\nX-IMAPbase: 1 2\n\ny\n",
			want: []string{`2015-01-02T03:04:05 [] "\r\ny\r\n"`}},
		{name: "zones", text: "From a Fri Jan  2 03:04:05 2015 +0100\n\n1\n\nFrom a Fri Jan  2 03:04:05 +0100 2015\n\n2\n\nFrom a Fri Jan 2 03:04 2015\n\n3\n",
			want: []string{`2015-01-02T02:04:05 [] "\r\n1\r\n"`, `2015-01-02T02:04:05 [] "\r\n2\r\n"`, `2015-01-02T03:04:00 [] "\r\n3\r\n"`}},
		{name: "no date", text: "From somewhere\n\nx\n", want: []string{`2021-03-04T05:06:07 [] "\r\nx\r\n"`}},
		{name: "the same twice", text: "From a " + day + "\n\nx\n\nFrom a " + day + "\n\nx\n",
			want: []string{`2015-01-02T03:04:05 [] "\r\nx\r\n"`, `2015-01-02T03:04:05 [] "\r\nx\r\n"`}},
		{name: "nothing after From", text: "From a " + day, want: []string{`2015-01-02T03:04:05 [] ""`}},
		{name: "empty messages", text: "From a " + day + "\n\nFrom b " + day + "\n\n",
			want: []string{`2015-01-02T03:04:05 [] "\r\n"`, `2015-01-02T03:04:05 [] "\r\n"`}},
		{name: "no last line end", text: "From a " + day + "\n\nx", want: []string{`2015-01-02T03:04:05 [] "\r\nx"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, readMbox(t, c.text, c.mboxo)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestMboxLongLines: lines longer than every buffer, in header and body.
func TestMboxLongLines(t *testing.T) {
	long := strings.Repeat("x", 200_000)
	text := "From a Fri Jan  2 03:04:05 2015\nX-Keywords: k " + long + "\nA: >From " + long + "\n\n>From " + long + "\nFrom " + long + "\n"
	want := []string{fmt.Sprintf("2015-01-02T03:04:05 [k] %q", "A: >From "+long+"\r\n\r\nFrom "+long+"\r\nFrom "+long+"\r\n")}
	if diff := cmp.Diff(want, readMbox(t, text, false)); diff != "" {
		t.Error(diff[:min(len(diff), 1000)])
	}
}

func TestImportMbox(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mbox")
	const first = "From a Fri Jan  2 03:04:05 2015\nStatus: R\n\n1\n\n"
	writeFiles(t, filepath.Dir(path), map[string]string{"mbox": first + first})
	s, journals := newMemStore(t), t.TempDir()
	result, _, err := importFrom(t, s, journals, path, Options{Into: "Old"})
	if err != nil || result.Messages != 2 {
		t.Fatal(result, err)
	}
	// The file grows, and a mail program rewrites what it says of messages.
	grown := strings.ReplaceAll(first+first, "Status: R", "Status: RO\nX-Status: A") + "From b " + someDay.Format(time.ANSIC) + "\n\n2\n"
	if err := os.WriteFile(path, []byte(grown), 0o600); err != nil {
		t.Fatal(err)
	}
	result, _, err = importFrom(t, s, journals, path, Options{Into: "Old"})
	if err != nil || result.Messages != 1 || result.Known != 2 {
		t.Fatal(result, err)
	}
	if last := s.named("Old").messages[2]; last.body != "\r\n2\r\n" || !last.Received.Equal(someDay) {
		t.Errorf("%+v", last)
	}

	writeFiles(t, filepath.Dir(path), map[string]string{"other": "Subject: no mbox\n\n"})
	if _, err := Open(t.Context(), filepath.Join(filepath.Dir(path), "other"), Options{}); err == nil {
		t.Error("a file that is no mbox is opened")
	}
}
