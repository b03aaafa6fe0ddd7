package message

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// benchMail returns a mail with the header of an everyday one, a text of about size octets in two forms, and an
// attachment of that many octets.
func benchMail(text, attachment int) string {
	var b strings.Builder
	b.WriteString("Return-Path: <ann@example.org>\nReceived: from mail.example.org (mail.example.org [192.0.2.1])\n\tby mx.example.net (Postfix) with ESMTPS id 12345\n" +
		"\tfor <bob@example.net>; Mon, 2 Jan 2006 15:04:05 -0700 (MST)\nDKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=mail;\n\tbh=" + strings.Repeat("x", 60) + "\n" +
		"From: Ann Lee <ann@example.org>\nTo: Bob <bob@example.net>, carol@example.net\nSubject: Notes of Monday's meeting\nDate: Mon, 2 Jan 2006 15:04:05 -0700\n" +
		"Message-ID: <20060102.1504@example.org>\nReferences: <1@example.net>\n <2@example.net>\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"=_outer\"\n\n" +
		"--=_outer\nContent-Type: multipart/alternative; boundary=\"=_inner\"\n\n--=_inner\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n")
	line := "The quick brown fox jumps over the lazy dog, again and again.\n"
	b.WriteString(strings.Repeat(line, text/2/len(line)))
	b.WriteString("--=_inner\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n")
	b.WriteString(strings.Repeat("<p>"+line, text/2/len(line)))
	b.WriteString("--=_inner--\n")
	if attachment > 0 {
		b.WriteString("--=_outer\nContent-Type: application/pdf; name=a.pdf\nContent-Disposition: attachment; filename=a.pdf\nContent-Transfer-Encoding: base64\n\n")
		for data := base64.StdEncoding.EncodeToString(make([]byte, attachment)); data != ""; {
			n := min(len(data), 76)
			b.WriteString(data[:n] + "\n")
			data = data[n:]
		}
	}
	b.WriteString("--=_outer--\n")
	return crlf(b.String())
}

func benchmarkParse(b *testing.B, mail string) {
	raw := []byte(mail)
	p := NewParser(Limits{})
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		p.Reset()
		for rest := raw; len(rest) > 0; {
			n := min(len(rest), 32<<10)
			_, _ = p.Write(rest[:n])
			rest = rest[n:]
		}
		p.Finish()
	}
}

func BenchmarkParse4KB(b *testing.B) { benchmarkParse(b, benchMail(3000, 0)) }
func BenchmarkParse1MB(b *testing.B) { benchmarkParse(b, benchMail(20_000, 750_000)) }
func BenchmarkParsePlain(b *testing.B) {
	benchmarkParse(b, crlf("From: Ann <ann@example.org>\nTo: bob@example.net\nSubject: hi\nDate: Mon, 2 Jan 2006 15:04:05 -0700\nMessage-ID: <1@example.org>\n\n"+
		strings.Repeat("Some text of a short mail.\n", 30)))
}

func BenchmarkBodyStructure(b *testing.B) {
	m := parse(benchMail(3000, 1000), 0)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = m.AppendBodyStructure(dst[:0], true)
	}
}

func BenchmarkDecode(b *testing.B) {
	stored := parse(benchMail(3000, 1000), 0).AppendBinary(nil)
	b.ReportMetric(float64(len(stored)), "octets")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(stored); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMatchText searches one mail of 1 KB text for what is not there; decoded is with Decode of the structure.
func BenchmarkMatchText(b *testing.B) {
	plain := crlf("From: Ann <ann@example.org>\nTo: bob@example.net\nSubject: hi\nContent-Type: text/plain; charset=utf-8\n\n" +
		strings.Repeat("The quick brown fox jumps over the lazy dog, again and again.\n", 16))
	for _, bb := range []struct {
		name, mail, needle string
		headers            bool
	}{
		{"body", plain, "zebra", false},
		{"text", plain, "zebra", true},
		{"non-ASCII", plain, "zèbre", true},
		{"non-ASCII both", strings.ReplaceAll(plain, "o", "ö"), "zèbre", true},
		{"quoted-printable", benchMail(1000, 0), "zebra", false},
	} {
		b.Run(bb.name, func(b *testing.B) {
			stored := parse(bb.mail, 0).AppendBinary(nil)
			x := NewMatcher(bb.needle)
			r := strings.NewReader(bb.mail)
			b.ReportAllocs()
			for b.Loop() {
				m, err := Decode(stored)
				if err != nil {
					b.Fatal(err)
				}
				if found, err := x.Text(m, r, bb.headers); found || err != nil {
					b.Fatal(fmt.Sprint(found, err))
				}
			}
		})
	}
}
