package message

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// shape renders a structure with what each part's sections say.
func shape(mail string, p *Part, b *strings.Builder) {
	fmt.Fprintf(b, "%s/%s %q %q", p.Type, p.Subtype, mail[p.HeaderStart:p.BodyStart], mail[p.BodyStart:p.End])
	for _, c := range p.Children {
		b.WriteString(" [")
		shape(mail, c, b)
		b.WriteString("]")
	}
}

func TestStructure(t *testing.T) {
	const multi = "Content-Type: multipart/mixed; boundary=b\n\n"
	for _, tt := range []struct{ name, mail, want string }{
		{"empty", "", `text/plain "" ""`},
		{"simple", "A: b\n\nx\n", `text/plain "A: b\n\n" "x\n"`},
		{"no blank line, no body", "A: b\n", `text/plain "A: b\n" ""`},
		{"no header", "\nx\n", `text/plain "\n" "x\n"`},
		{"text where the header should be", "Dear all\nA: b\n\nx\n", `text/plain "" "Dear all\nA: b\n\nx\n"`},
		{"bad line in the header", "A: b\nbad\nContent-Type: text/html\n\nx\n", `text/html "A: b\nbad\nContent-Type: text/html\n\n" "x\n"`},
		{"mbox", "From x\nContent-Type: text/html\n\nx\n", `text/html "From x\nContent-Type: text/html\n\n" "x\n"`},
		{
			"the line end before a boundary is the boundary's", multi + "--b\n\none\n\n--b\nA: b\n\ntwo\n--b--\nend\n",
			fmt.Sprintf(`multipart/mixed %q "--b\n\none\n\n--b\nA: b\n\ntwo\n--b--\nend\n" [text/plain "\n" "one\n"] [text/plain "A: b\n\n" "two"]`, multi),
		},
		{
			"no boundary found", multi + "text\n",
			fmt.Sprintf(`multipart/mixed %q "text\n" [text/plain "" "text\n"]`, multi),
		},
		{
			"part cut in its header", multi + "--b\nA: b\n--b--\n",
			fmt.Sprintf(`multipart/mixed %q "--b\nA: b\n--b--\n" [text/plain "A: b\n" ""]`, multi),
		},
		{
			"longer and shorter lines are no boundaries", multi + "--b\n\n--bb\n--b-\n--b-- x\n--b \t\n\n2",
			fmt.Sprintf(`multipart/mixed %q "--b\n\n--bb\n--b-\n--b-- x\n--b \t\n\n2" [text/plain "\n" "--bb\n--b-\n--b-- x"] [text/plain "\n" "2"]`, multi),
		},
		{
			"embedded mail ends with its part", multi + "--b\nContent-Type: message/rfc822\n\nA: b\n\n--b--\n",
			fmt.Sprintf(`multipart/mixed %q "--b\nContent-Type: message/rfc822\n\nA: b\n\n--b--\n" `+
				`[message/rfc822 "Content-Type: message/rfc822\n\n" "A: b\n" [text/plain "A: b\n" ""]]`, multi),
		},
		{
			"digest", strings.Replace(multi, "mixed", "digest", 1) + "--b\n\nA: b\n\nx\n--b--\n",
			fmt.Sprintf(`multipart/digest %q "--b\n\nA: b\n\nx\n--b--\n" [message/rfc822 "\n" "A: b\n\nx" [text/plain "A: b\n\n" "x"]]`,
				strings.Replace(multi, "mixed", "digest", 1)),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, crlf := range []bool{false, true} {
				mail, want := tt.mail, tt.want
				if crlf {
					mail, want = strings.ReplaceAll(mail, "\n", "\r\n"), strings.ReplaceAll(want, `\n`, `\r\n`)
				}
				m := parse(mail, 0)
				check(t, m, len(mail))
				var b strings.Builder
				shape(mail, &m.Root, &b)
				if b.String() != want {
					t.Errorf("got\n%s\nwant\n%s", b.String(), want)
				}
			}
		})
	}
}

// TestLimits: beyond each limit the rest is body, and what is kept stays small.
func TestLimits(t *testing.T) {
	count := func(p *Part) (parts, depth int) {
		var walk func(p *Part, d int)
		walk = func(p *Part, d int) {
			parts++
			depth = max(depth, d)
			for _, c := range p.Children {
				walk(c, d+1)
			}
		}
		walk(p, 1)
		return parts, depth
	}
	if parts, depth := count(&parse(nested(50), 0).Root); parts != 51 || depth != 51 {
		t.Errorf("50 embedded mails: %d parts, depth %d", parts, depth)
	}
	if _, depth := count(&parse(nested(300), 0).Root); depth != 101 { // the last is not looked into
		t.Errorf("300 embedded mails: depth %d", depth)
	}
	if _, depth := count(&parseLimited(nestedMultiparts(30), 0, Limits{Depth: 10}).Root); depth != 11 {
		t.Errorf("30 multiparts: depth %d", depth)
	}
	if parts, _ := count(&parse(manyParts(10_000), 0).Root); parts != 10_000 {
		t.Errorf("10,000 parts: %d", parts)
	}
	m := parseLimited(manyParts(20), 0, Limits{Parts: 5})
	if last := m.Root.Children[len(m.Root.Children)-1]; len(m.Root.Children) != 4 || last.End != m.Size {
		t.Errorf("%d parts, the last ends at %d of %d", len(m.Root.Children), last.End, m.Size)
	}

	mail := "Subject: " + strings.Repeat("s", 1000) + "\r\nFrom: a@b\r\nTo: c@d\r\n\r\n"
	m = parseLimited(mail, 0, Limits{Field: 10, Header: 13})
	if got, want := string(m.Envelope), `(NIL "sssssssss" ((NIL NIL "a" ""))`; !strings.HasPrefix(got, want) {
		t.Errorf("envelope %s, want %s...", got, want)
	}
	digest := crlf("Content-Type: multipart/digest; boundary=b\n\n") + strings.Repeat("--b\r\n\r\nSubject: some subject\r\n\r\nx\r\n", 5000)
	mails := parseLimited(digest, 0, Limits{Total: 1000}).Root.Children
	if first, last := string(mails[0].Envelope), string(mails[4999].Envelope); first == emptyEnvelope || last != emptyEnvelope {
		t.Errorf("first envelope %s, last %s", first, last)
	}
}

// TestPieces: how a mail is cut does not matter.
func TestPieces(t *testing.T) {
	lines := []string{"--b", "--b--", "--c", "--c--", "", "", "text", "A: b", " folded", "Content-Type: multipart/mixed; boundary=b",
		"Content-Type: multipart/digest; boundary=c", "Content-Type: message/rfc822", "Subject: s", "-", "--", strings.Repeat("x", 1023),
		strings.Repeat("y", 1024), "--b" + strings.Repeat(" ", 1020), "--b" + strings.Repeat(" ", 1021)}
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		for range rapid.IntRange(0, 30).Draw(t, "lines") {
			b.WriteString(rapid.SampledFrom(lines).Draw(t, "line"))
			b.WriteString(rapid.SampledFrom([]string{"\r\n", "\n", "\r"}).Draw(t, "end"))
		}
		mail := b.String()
		whole := parse(mail, 0)
		p := NewParser(Limits{})
		for rest := mail; rest != ""; {
			n := min(len(rest), rapid.IntRange(1, 1500).Draw(t, "piece"))
			_, _ = p.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		if got, want := p.Finish().AppendBinary(nil), whole.AppendBinary(nil); !slices.Equal(got, want) {
			t.Fatalf("%q:\n%q\nwant\n%q", mail, got, want)
		}
		if err := checkPart(&whole.Root, 0, int64(len(mail))); err != nil {
			t.Fatal(err)
		}
	})
}

func TestReset(t *testing.T) {
	p := NewParser(Limits{})
	for _, o := range oddities() {
		if len(o.mail) > 100_000 {
			continue
		}
		p.Reset()
		_, _ = p.Write([]byte(o.mail))
		same(t, o.name, p.Finish(), parse(o.mail, 0))
	}
}

func TestFacts(t *testing.T) {
	m := parse(crlf("Date: Tue, 1 Jul 2003 10:52:37 +0200 (CEST)\nSubject: =?utf-8?q?Gr=C3=BC?= =?utf-8?b?w59l?=\nMessage-ID: <1@x>\n"+
		"In-Reply-To: <2@x> (of Tuesday)\nReferences: <3@x>\n <4@x>\t<<5@x>\n\nHello\n\n  world. \n"), 0)
	if want := time.Date(2003, 7, 1, 8, 52, 37, 0, time.UTC); !m.Date.Equal(want) || m.Date.Hour() != 10 {
		t.Errorf("date %v, want %v", m.Date, want)
	}
	if m.Subject != "Grüße" || m.MessageID != "1@x" || !slices.Equal(m.InReplyTo, []string{"2@x"}) ||
		!slices.Equal(m.References, []string{"3@x", "4@x", "5@x"}) || m.Preview != "Hello world." {
		t.Errorf("%+v", m)
	}
	var refs strings.Builder
	for i := range 500 {
		fmt.Fprintf(&refs, " <%d@x>\r\n", i)
	}
	ids := parse("References:"+refs.String()+"\r\n", 0).References
	if len(ids) != maxMessageIDs || ids[0] != "0@x" || ids[1] != "401@x" || ids[maxMessageIDs-1] != "499@x" {
		t.Errorf("%d references, %v ...", len(ids), ids[:2])
	}
}

func TestDate(t *testing.T) {
	for in, want := range map[string]string{
		"Mon, 2 Jan 2006 15:04:05 -0700":       "2006-01-02T15:04:05-07:00",
		"2 Jan 2006 15:04 EST":                 "2006-01-02T15:04:00-05:00",
		"Mon Jan  2 15:04:05 2006":             "2006-01-02T15:04:05Z",
		"Mon, 02-Jan-06 15:04:05 GMT (winter)": "2006-01-02T15:04:05Z",
		"02 January 99 1:2:3 +0530":            "1999-01-02T01:02:03+05:30",
		"Fri, 31 Dec 1999 23:59:60 +0000":      "2000-01-01T00:00:00Z",
		"2 Jan 2006":                           "2006-01-02T00:00:00Z",
		"":                                     "",
		"soon":                                 "",
		"99 Jan 2006 10:00:00 +0000":           "",
		"2 Jan 2006 25:00:00 +0000":            "",
		"2 Jan 999999999999999999999 10:00":    "",
	} {
		got := ""
		if d := parseDate(in); !d.IsZero() {
			got = d.Format(time.RFC3339)
		}
		if got != want {
			t.Errorf("parseDate(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestPreview(t *testing.T) {
	for _, tt := range []struct{ name, mail, want string }{
		{"plain over html", "Content-Type: multipart/alternative; boundary=b\n\n--b\n\nplain\n--b\nContent-Type: text/html\n\nhtml\n--b--\n", "plain"},
		{"html when plain is empty", "Content-Type: multipart/alternative; boundary=b\n\n--b\n\n \n--b\nContent-Type: text/html\n\n" +
			"<html><head><title>T</title><style>p{}</style></head><body><!-- <p>no --><p>A&amp;B <b>bo</b>ld<br>next\n--b--\n", "A&B bold next"},
		{"attachment", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Disposition: attachment\n\nnot this\n--b\n\nthis\n--b--\n", "this"},
		{"base64", "Content-Transfer-Encoding: base64\nContent-Type: text/plain; charset=utf-8\n\nR3LDvMOfZQ==\n", "Grüße"},
		{"charset", "Content-Transfer-Encoding: quoted-printable\nContent-Type: text/plain; charset=koi8-r\n\n=F0=D2=C9=D7=C5=D4\n", "Привет"},
		{"none", "Content-Type: image/png\n\nx\n", ""},
	} {
		if got := parse(crlf(tt.mail), 0).Preview; got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := parse("\r\n"+strings.Repeat("ü ", 500), 0).Preview; len([]rune(got)) > maxPreview || len([]rune(got)) < maxPreview-1 {
		t.Errorf("%d characters", len([]rune(got)))
	}
}
