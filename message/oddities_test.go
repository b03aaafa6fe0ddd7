package message

import (
	"fmt"
	"strings"
	"testing"
)

type oddity struct {
	name, mail string
}

// oddities returns mails of the kinds that occur and of those that someone will send.
func oddities() []oddity {
	const multi = "Content-Type: multipart/mixed; boundary=b\n\n"
	return []oddity{
		{"empty", ""},
		{"one octet", "x"},
		{"newline", "\n"},
		{"header only", crlf("From: a@example.org\nSubject: s\n")},
		{"header cut", "Subject: half a li"},
		{"no header", "\r\njust text\r\n"},
		{"text without blank line", "Dear all\r\nthis is no header\r\n\r\nbye\r\n"},
		{"simple", crlf("From: Ann <ann@example.org>\nTo: bob@example.org\nSubject: hi\nDate: Mon, 2 Jan 2006 15:04:05 -0700\nMessage-ID: <1@example.org>\n\nText.\n")},
		{"mbox line", crlf("From ann@example.org Mon Jan  2 15:04:05 2006\nSubject: hi\n\nbody\n")},
		{"bare LF", "Subject: hi\n" + multi + "pre\n--b\n\none\n--b\nContent-Type: text/html\n\ntwo\n--b--\npost\n"},
		{"bare CR", "Subject: a\rb\r\nFrom: x\ry@z\r\n\r\nbody\rbody\r\n"},
		{"NUL", "Subject: a\x00b\r\nFrom: \"a\x00b\" <c\x00@d>\r\n\r\nbody\x00body\r\n"},
		{"raw 8-bit", "Subject: Gr\xfc\xdfe\r\nFrom: J\xf6rg <j@example.org>\r\nContent-Type: text/plain; name=\"\xe4.txt\"\r\n\r\n\xfc\r\n"},
		{"raw UTF-8", "Subject: Grüße \"quoted\" \\\r\n\r\nüber\r\n"},
		{"duplicate headers", crlf("Subject: one\nSubject: two\nTo: a@b\nTo: c@d\nContent-Type: text/html\nContent-Type: text/plain\n\nx\n")},
		{"bad content-type", crlf("Content-Type: ;;;\"\nContent-Transfer-Encoding: \n\nx\n")},
		{"content-type without subtype", crlf("Content-Type: text; charset=utf-8\n\nx\n")},
		{"bad header line", crlf("From: a@b\nbroken line\nSubject: after it\n\nbody\n")},
		{"multipart", crlf(multi + "pre\n--b\nContent-Type: text/plain\n\none\n--b\nContent-Type: text/html\n\n<p>two\n--b--\npost\n")},
		{"multipart without boundary", crlf("Content-Type: multipart/mixed\n\nsome text\n")},
		{"multipart without parts", crlf(multi + "some text\n")},
		{"multipart closed at once", crlf(multi + "--b--\n")},
		{"multipart empty", "Content-Type: multipart/mixed; boundary=b"},
		{"multipart not closed", crlf(multi + "--b\n\none\n--b\n\ntwo\n")},
		{"boundaries only", crlf(multi + "--b\n--b\n--b\n--b--\n--b--\n")},
		{"boundary at the end", crlf(multi) + "--b\r\n\r\none\r\n--b"},
		{"part header cut by boundary", crlf(multi + "--b\nContent-Type: text/plain\n--b\nContent-Type: message/rfc822\n--b--")},
		{"part without header", crlf(multi + "--b\njust text\nmore\n--b--\n")},
		{"boundary prefix", crlf(multi + "--b\n\none\n--bb\n--b-\n--b --\n-- b\n--b  \n\ntwo\n--b-- \n")},
		{"inner ended by outer", crlf(multi + "--b\nContent-Type: multipart/alternative; boundary=c\n\n--c\n\none\n--c\n--b\n\nthree\n--b--\n")},
		{"inner closed", crlf(multi + "--b\nContent-Type: multipart/alternative; boundary=c\n\n--c\n\none\n--c--\n--b\n\nthree\n--b--\n")},
		{"same boundary inside", crlf(multi + "--b\n" + multi + "--b\n\none\n--b--\n--b\n\ntwo\n--b--\n")},
		{"embedded mail", crlf(multi + "--b\nContent-Type: message/rfc822\n\nSubject: in\nFrom: x@y\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\none\n--c\n\ntwo\n--c--\n\n--b--\n")},
		{"embedded mail, header only", crlf(multi + "--b\nContent-Type: message/rfc822\n\nSubject: in\n\n--b\nContent-Type: message/rfc822\n\n--b--\n")},
		{"mail is an embedded mail", crlf("Content-Type: message/rfc822\n\nSubject: in\n\ntext\n")},
		{"base64 embedded mail", crlf("Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogaW4NCg0KdGV4dA0K\n")},
		{"digest", crlf("Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: one\n\n1\n--b\n\nSubject: two\n\n2\n--b\nContent-Type: text/plain\n\n3\n--b--\n")},
		{"folded everything", crlf("Subject: one\n two\n\tthree\nFrom:\n Ann\n <ann@example.org>\nContent-Type:\n multipart/mixed;\n boundary=\"b\"\n\n--b\n\nx\n--b--\n")},
		{"RFC 2231", crlf("Content-Type: application/octet-stream;\n name*0*=utf-8''Gr%C3%BC;\n name*1=\"sse.pdf\"\nContent-Disposition: attachment; filename*=iso-8859-1'de'%FCber.pdf\n\nx\n")},
		{"RFC 2047", crlf("Subject: =?utf-8?q?Gr=C3=BC?= =?utf-8?b?w59l?=\nFrom: =?iso-8859-1?q?J=F6rg?= <j@example.org>\n\nx\n")},
		{"groups", crlf("To: friends: ann@example.org, Bob <bob@example.org>;, c@d\nCc: undisclosed-recipients:;\nFrom: open: x@y\n\nx\n")},
		{"hostile addresses", crlf("From: ,,<,<@>,\"\nSender: <<<a@b>>>\nReply-To: (((\nTo: a:b:c;;;:\nCc: @,@@,<@a,@b:c@d>,a b c@d e\nBcc: \"\\\n\nx\n")},
		{"base64", crlf("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\nR3LDvMOf\nZSBh!!dXMg\n*QmVybGlu\n")},
		{"quoted-printable", crlf("Content-Type: text/html; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n<style>a=\n{}</style><p>Gr=FC=DFe aus=20=\n Ber=\nlin =ZZ =\n")},
		{"utf-16", "Content-Type: text/plain; charset=utf-16le\r\n\r\nt\x00e\x00x\x00t\x00"},
		{"unknown charset", "Content-Type: text/plain; charset=klingon\r\n\r\ncaf\xe9\r\n"},
		{"unknown encoding", crlf("Content-Transfer-Encoding: x-uuencode\n\nbegin 644 a\n")},
		{"languages", crlf("Content-Language: en, de,,fr\nContent-Location: x y\nContent-MD5: abc\nContent-ID: <1@x>\nContent-Description: =?q?\n\n")},
		{"50 mails in each other", nested(50)},
		{"300 mails in each other", nested(300)},
		{"300 multiparts in each other", nestedMultiparts(300)},
		{"10,000 parts", manyParts(10_000)},
		{"12,000 parts", manyParts(12_000)},
		{"12,000 mails", crlf("Content-Type: multipart/digest; boundary=b\n\n") + strings.Repeat("--b\r\n\r\nSubject: s\r\n\r\nx\r\n", 12_000)},
		{"10 MB line", crlf(multi+"--b\n\n") + strings.Repeat("x", 10<<20) + crlf("\n--b--\n")},
		{"10 MB header line", "Subject: " + strings.Repeat("x", 10<<20) + "\r\nFrom: a@b\r\n\r\nbody\r\n"},
		{"10 MB of addresses", "To: " + strings.Repeat("a@b,\r\n ", 10<<20/7) + "\r\n\r\nbody\r\n"},
		{"10 MB header name", strings.Repeat("x", 10<<20) + "\r\n\r\nbody\r\n"},
		{"a million header lines", strings.Repeat("X: y\r\n", 1<<20) + "Subject: s\r\n\r\nbody\r\n"},
		{"100,000 parameters", "Content-Type: text/plain" + strings.Repeat("; a=b", 100_000) + "\r\n\r\nbody\r\n"},
		{"comments in comments", "From: " + strings.Repeat("(", 100_000) + "\r\nContent-Type: " + strings.Repeat("(", 100_000) + "\r\n\r\n"},
		{"quotes and brackets", "From: " + strings.Repeat("<\"", 50_000) + strings.Repeat("<", 50_000) + "\r\n\r\n"},
	}
}

func nested(depth int) string {
	return strings.Repeat("Content-Type: message/rfc822\r\nSubject: in\r\n\r\n", depth) + "Subject: last\r\n\r\ntext\r\n"
}

func nestedMultiparts(depth int) string {
	var b strings.Builder
	for i := range depth {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	b.WriteString("\r\ntext\r\n")
	for i := depth - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "--b%d--\r\n", i)
	}
	return b.String()
}

func manyParts(n int) string {
	return crlf("Content-Type: multipart/mixed; boundary=b\n\n") +
		strings.Repeat("--b\r\nContent-Type: text/plain\r\n\r\nx\r\n", n) + "--b--\r\n"
}

func TestOddities(t *testing.T) {
	for _, o := range oddities() {
		t.Run(o.name, func(t *testing.T) {
			m := parse(o.mail, 0)
			check(t, m, len(o.mail))
			pieces := []int{1, 2, 3, 7, 1023, 1024, 1025}
			if len(o.mail) > 100_000 {
				pieces = []int{4096, 32 << 10}
			}
			for _, piece := range pieces {
				same(t, fmt.Sprintf("in pieces of %d", piece), parse(o.mail, piece), m)
			}
			stored := m.AppendBinary(nil)
			again, err := Decode(stored)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "stored form", again, m)
			if len(stored) > 2*len(o.mail)+1000 {
				t.Errorf("%d octets stored for a mail of %d", len(stored), len(o.mail))
			}
		})
	}
}
