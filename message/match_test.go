package message

import (
	"encoding/base64"
	"errors"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"pgregory.net/rapid"
)

func TestMatchText(t *testing.T) {
	mail := crlf(`Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from the
 outer mail
X-Long: folded
	value
Content-Type: multipart/mixed; boundary=b

preamble
--b
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable
Content-Description: described

M=FCnchen, soft=
break
--b
Content-Type: image/png; name=picture.png

pixels
--b
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: base64

PHA+0J/RgNC40LLQtdGCPC9wPg==
--b
Content-Type: message/rfc822

Subject: inner mail

Embedded TEXT.
--b
Content-Type: text/plain; charset=iso-2022-jp

`) + "\x1b$B$3$s$K$A$O\x1b(B" + crlf("\n--b--\n")
	m := parse(mail, 0)
	for needle, want := range map[string]struct{ body, text bool }{
		"":                 {true, true},
		"münchen":          {true, true},
		"MU\u0308NCHEN":    {true, true}, // decomposed
		"softbreak":        {true, true},
		"привет":           {true, true},
		"ПРИВЕТ":           {true, true},
		"embedded text":    {true, true},
		"subject: inner":   {true, true},
		"こんにちは":            {true, true},
		"$3$s":             {false, false},
		"from the outer":   {false, true},
		"grüße from":       {false, true},
		"folded\tvalue":    {false, true},
		"described":        {false, true},
		"picture":          {false, true},
		"pixels":           {false, false},
		"preamble":         {false, false},
		"iso-8859-1":       {false, true},
		"0J/RgNC4":         {false, false},
		"not there at all": {false, false},
	} {
		x := NewMatcher(needle)
		body, err := x.Text(m, strings.NewReader(mail), false)
		if err != nil {
			t.Fatal(err)
		}
		text, err := x.Text(m, strings.NewReader(mail), true)
		if err != nil {
			t.Fatal(err)
		}
		if body != want.body || text != want.text {
			t.Errorf("%q: BODY %v, TEXT %v; want %v", needle, body, text, want)
		}
	}
	if _, err := NewMatcher("zebra").Text(m, strings.NewReader(mail[:len(mail)/2]), true); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half a mail: %v", err)
	}
}

func TestMatchHeader(t *testing.T) {
	header := []byte(crlf("From: =?iso-8859-1?q?J=F6rg?= <joerg@example.org>\nTo: a@b\nX-Empty:\nSubject: a\n folded\n  value\nTo: c@d\n\nBody: x\n"))
	for _, tt := range []struct {
		name, needle string
		want         bool
	}{
		{"from", "jörg", true},
		{"From", "JÖRG <joerg", true},
		{"from", "=f6", false},
		{"to", "C@D", true},
		{"to", "a@b c@d", false},
		{"subject", "a folded  VALUE", true},
		{"x-empty", "", true},
		{"x-empty", "x", false},
		{"x-missing", "", false},
		{"body", "", false},
		{"fro", "", false},
	} {
		if got := NewMatcher(tt.needle).Header(header, tt.name); got != tt.want {
			t.Errorf("%s %q: %v", tt.name, tt.needle, got)
		}
	}
}

// TestMatchNaive: the search over blocks finds what a search of the whole decoded text does, wherever a match lies.
func TestMatchNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.SampledFrom([]string{"a", "B", "b", "=", " ", "\r\n", "ü", "Ü", "é"})
		filler := rapid.SampledFrom([]int{0, 0, 10, matchBlock/4 - 5, matchBlock - 5, matchBlock}).Draw(t, "filler")
		text := strings.Repeat("x", filler) + strings.Join(rapid.SliceOfN(letters, 0, 40).Draw(t, "text"), "")
		needle := strings.Join(rapid.SliceOfN(letters, 1, 4).Draw(t, "needle"), "")
		if rapid.Bool().Draw(t, "inside") && len(text) > 0 {
			runes := []rune(text)
			at := rapid.IntRange(max(0, filler-3), len(runes)-1).Draw(t, "at")
			needle = string(runes[at:min(len(runes), at+rapid.IntRange(1, 8).Draw(t, "length"))])
		}
		var b strings.Builder
		b.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: ")
		switch rapid.SampledFrom([]string{"8bit", "base64", "quoted-printable"}).Draw(t, "encoding") {
		case "8bit":
			b.WriteString("8bit\r\n\r\n" + text)
		case "base64":
			b.WriteString("base64\r\n\r\n" + base64.StdEncoding.EncodeToString([]byte(text)))
		default:
			b.WriteString("quoted-printable\r\n\r\n")
			w := quotedprintable.NewWriter(&b)
			w.Binary = true
			_, _ = io.WriteString(w, text)
			_ = w.Close()
		}
		mail := b.String()
		got, err := NewMatcher(needle).Text(parse(mail, 0), strings.NewReader(mail), false)
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.Contains(strings.ToLower(text), strings.ToLower(needle)); got != want {
			t.Fatalf("%q in %q: %v", needle, text[filler:], got)
		}
	})
}

// TestMatchLongHeader: headers of any length are searched in pieces.
func TestMatchLongHeader(t *testing.T) {
	for _, header := range []string{
		strings.Repeat("X: y\r\n", 20_000) + "Subject: needle here\r\n" + strings.Repeat("X: y\r\n", 20_000),
		"X: " + strings.Repeat("y", matchBlock-7) + "needle here" + strings.Repeat("y", 3*matchBlock) + "\r\n",
		"X: y" + strings.Repeat("\r\n y", matchBlock) + " needle here\r\n",
	} {
		mail := header + "\r\nbody"
		m := parse(mail, 0)
		for needle, want := range map[string]bool{"needle here": true, "needle there": false, "nädel": false} {
			if got, err := NewMatcher(needle).Text(m, strings.NewReader(mail), true); got != want || err != nil {
				t.Errorf("%q in %.20q...: %v, %v", needle, header, got, err)
			}
		}
	}
}

func TestText(t *testing.T) {
	koi, _ := charmap.KOI8R.NewEncoder().String("Привет")
	sjis, _ := japanese.ShiftJIS.NewEncoder().String("こんにちは")
	for _, tt := range []struct{ name, header, body, want string }{
		{"utf-8", "Content-Type: text/plain; charset=UTF-8", "Grüße", "Grüße"},
		{"no charset, UTF-8", "", "Grüße", "Grüße"},
		{"no charset, 8-bit", "", "Gr\xfc\xdfe \x80", "Grüße €"},
		{"both in one", "", "ü\xfc", "üü"},
		{"cut character", "", "Gr\xc3", "GrÃ"},
		{"unknown", "Content-Type: text/plain; charset=klingon", "caf\xe9", "café"},
		{"koi8-r", "Content-Type: text/plain; charset=KOI8-R", koi, "Привет"},
		{"shift_jis", "Content-Type: text/plain; charset=shift_jis", sjis, "こんにちは"},
		{"utf-16", "Content-Type: text/plain; charset=utf-16le", "x\x00", "x"},
		{"unknown encoding", "Content-Transfer-Encoding: x-uue", "begin", "begin"},
		{"base64", "Content-Transfer-Encoding: base64", "R3LDvM\r\nOfZQ==", "Grüße"},
		{"broken base64", "Content-Transfer-Encoding: base64", "!R3*LDvM\x00O f\nZQ==\nR3I=R3I", "GrüßeGrGr"},
		{"cut base64", "Content-Transfer-Encoding: base64", "R3LDvMOfZ", "Grüß"},
		{"quoted-printable", "Content-Transfer-Encoding: quoted-printable", "Gr=C3=bc=\r\n=C3=9Fe  \r\n=\r\nx=20 \t\r\n", "Grüße\r\nx \r\n"},
		{"soft break with spaces", "Content-Transfer-Encoding: quoted-printable", "a= \t\r\nb=\nc", "abc"},
		{"broken quoted-printable", "Content-Transfer-Encoding: quoted-printable", "a=b=ZZ=4 =\rx=4", "a=b=ZZ=4 =\rx=4"},
	} {
		mail := tt.header + "\r\n\r\n" + tt.body
		if tt.header == "" {
			mail = "\r\n" + tt.body
		}
		m := parse(mail, 0)
		got, err := io.ReadAll(m.Root.Text(strings.NewReader(mail)))
		if string(got) != tt.want || err != nil {
			t.Errorf("%s: %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestDecoded(t *testing.T) {
	mail := crlf("Content-Transfer-Encoding: x-uue\n\nbegin\n")
	if _, err := parse(mail, 0).Root.Decoded(strings.NewReader(mail)); !errors.Is(err, ErrUnknownEncoding) {
		t.Errorf("x-uue: %v", err)
	}
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOf(rapid.Byte()).Draw(t, "data")
		var b strings.Builder
		if rapid.Bool().Draw(t, "base64") {
			b.WriteString("Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n")
			b.WriteString(base64.StdEncoding.EncodeToString(data))
		} else {
			b.WriteString("Content-Type: image/png\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
			w := quotedprintable.NewWriter(&b)
			w.Binary = true
			_, _ = w.Write(data)
			_ = w.Close()
		}
		mail := b.String()
		r, err := parse(mail, 0).Root.Decoded(strings.NewReader(mail))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if string(got) != string(data) || err != nil {
			t.Fatalf("%q: %q, %v; want %q", mail, got, err, data)
		}
	})
}

func TestDecodeHeader(t *testing.T) {
	for in, want := range map[string]string{
		"plain":            "plain",
		"folded\r\n value": "folded value",
		"=?utf-8?q?Gr=C3=BC?= =?utf-8?b?w59l?= x": "Grüße x",
		"=?koi8-r?b?8NLJ18XU?=":                   "Привет",
		"=?klingon?q?caf=E9?=":                    "café",
		"=?utf-8?q?broken":                        "=?utf-8?q?broken",
		"Gr\xfc\xdfe =?utf-8?q?=C3=BC?=":          "Grüße ü",
	} {
		if got := DecodeHeader(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestFilename(t *testing.T) {
	for in, want := range map[string]string{
		`Content-Type: x/y; name=a.txt`:                                                                  "a.txt",
		`Content-Disposition: attachment; filename="b c.txt"`:                                            "b c.txt",
		`Content-Disposition: attachment; filename*=utf-8'de'Gr%C3%BC%C3%9Fe`:                            "Grüße",
		`Content-Disposition: attachment; filename*0*=iso-8859-1''Gr%FC; filename*1=%; filename*2*=%DFe`: "Grü%ße",
		`Content-Disposition: attachment; filename="=?utf-8?q?Gr=C3=BC?="`:                               "Grü",
		`Content-Disposition: attachment; filename*=broken%zz`:                                           "broken%zz",
		"Content-Disposition: attachment; filename=\"\xfc\"":                                             "ü",
		`Content-Disposition: inline`:                                                                    "",
	} {
		m := parse(in+"\r\n\r\n", 0)
		if got := m.Root.Filename(); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
