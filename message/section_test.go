package message

import (
	"fmt"
	"strings"
	"testing"
)

// RFC 9051 §6.4.5: the part numbers of its example.
func TestSection(t *testing.T) {
	mail := crlf(`Subject: outer
Content-Type: multipart/mixed; boundary=b

--b
A: one

1
--b
A: two
Content-Type: message/rfc822

Subject: plain inside

2.1
--b
A: three
Content-Type: message/rfc822

Subject: multipart inside
Content-Type: multipart/alternative; boundary=c

--c
A: three one

3.1
--c
Content-Type: multipart/related; boundary=d

--d

3.2.1
--d--
--c--
--b--
`)
	m := parse(mail, 0)
	check(t, m, len(mail))
	const none = "none"
	for _, tt := range []struct {
		path []int
		spec Specifier
		want string
	}{
		{nil, Whole, mail},
		{nil, Header, "Subject: outer\nContent-Type: multipart/mixed; boundary=b\n\n"},
		{nil, MIME, none},
		{[]int{1}, Whole, "1"},
		{[]int{1}, MIME, "A: one\n\n"},
		{[]int{1}, Header, none},
		{[]int{1}, Text, none},
		{[]int{1, 1}, Whole, none},
		{[]int{2}, Whole, "Subject: plain inside\n\n2.1"},
		{[]int{2}, MIME, "A: two\nContent-Type: message/rfc822\n\n"},
		{[]int{2}, Header, "Subject: plain inside\n\n"},
		{[]int{2}, Text, "2.1"},
		{[]int{2, 1}, Whole, "2.1"},
		{[]int{2, 1}, MIME, "Subject: plain inside\n\n"},
		{[]int{2, 2}, Whole, none},
		{[]int{2, 1, 1}, Whole, none},
		{[]int{3}, Header, "Subject: multipart inside\nContent-Type: multipart/alternative; boundary=c\n\n"},
		{[]int{3, 1}, Whole, "3.1"},
		{[]int{3, 1}, MIME, "A: three one\n\n"},
		{[]int{3, 2}, Whole, "--d\n\n3.2.1\n--d--"},
		{[]int{3, 2, 1}, Whole, "3.2.1"},
		{[]int{3, 2, 1}, MIME, "\n"},
		{[]int{3, 3}, Whole, none},
		{[]int{4}, Whole, none},
		{[]int{0}, Whole, none},
		{[]int{-1}, Whole, none},
	} {
		got := none
		if r, ok := m.Section(tt.path, tt.spec); ok {
			got = mail[r.Start:r.End]
		}
		if want := crlf(tt.want); got != want && tt.path != nil || got != want && tt.want != mail && got != tt.want {
			t.Errorf("%v %d: %q, want %q", tt.path, tt.spec, got, want)
		}
	}
	if r, ok := m.Section(nil, Whole); !ok || r != (Range{0, int64(len(mail))}) {
		t.Errorf("BODY[] is %v", r)
	}

	plain := parse(crlf("A: b\n\ntext"), 0)
	for _, spec := range []Specifier{Whole, MIME} {
		if r, ok := plain.Section([]int{1}, spec); !ok || r != []Range{Whole: {8, 12}, MIME: {0, 8}}[spec] {
			t.Errorf("part 1 of a plain mail: %v %v", r, ok)
		}
	}
	if _, ok := plain.Section([]int{1, 1}, Whole); ok {
		t.Error("a plain mail has a part 1.1")
	}
	mailInMail := parse(crlf("Content-Type: message/rfc822\n\nA: b\n\ntext"), 0)
	for path, want := range map[string]Range{"[1]": {32, 44}, "[1 1]": {40, 44}} {
		var p []int
		for range strings.Fields(path) {
			p = append(p, 1)
		}
		if r, ok := mailInMail.Section(p, Whole); !ok || r != want {
			t.Errorf("part %s of a mail in a mail: %v %v, want %v", path, r, ok, want)
		}
	}
}

func TestFilterHeader(t *testing.T) {
	header := crlf("From: a\nsubject : one\n two\nX-From: b\nbad line\nSUBJECT: three\n\n")
	for _, tt := range []struct {
		header string
		fields []string
		not    bool
		want   string
	}{
		{header, []string{"Subject"}, false, "subject : one\n two\nSUBJECT: three\n\n"},
		{header, []string{"Subject"}, true, "From: a\nX-From: b\nbad line\n\n"},
		{header, []string{"FROM", "x-from"}, false, "From: a\nX-From: b\n\n"},
		{header, []string{"none"}, false, "\n"},
		{header, nil, true, header},
		{"", []string{"From"}, false, "\n"},
		{"From: a", []string{"From"}, false, "From: a\n\n"},
		{"From: a\r\n", []string{"From"}, false, "From: a\n\n"},
	} {
		got := string(FilterHeader([]byte(tt.header), tt.fields, tt.not))
		want := strings.ReplaceAll(crlf(tt.want), "\r\r", "\r")
		if got != want {
			t.Errorf("%v %v: %q, want %q", tt.fields, tt.not, got, want)
		}
	}
}

func ExampleMessage_Section() {
	p := NewParser(Limits{})
	mail := "Subject: hello\r\n\r\nHow are you?\r\n"
	_, _ = p.Write([]byte(mail))
	m := p.Finish()
	r, ok := m.Section(nil, Text)
	fmt.Printf("%q %v\n", mail[r.Start:r.End], ok)
	fmt.Printf("%s\n", m.AppendBodyStructure(nil, false))
	// Output:
	// "How are you?\r\n" true
	// ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 14 1)
}
