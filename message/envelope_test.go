package message

import "testing"

// RFC 9051 §7.5.2, ENVELOPE.
func TestEnvelope(t *testing.T) {
	for _, tt := range []struct{ name, header, want string }{
		{"RFC 9051 §7.5.2", `Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)
From: Terry Gray <gray@cac.washington.edu>
Subject: IMAP4rev2 WG mtg summary and minutes
To: imap@cac.washington.edu
cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>
Message-Id: <B27397-0100000@cac.washington.edu>
`, `("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev2 WG mtg summary and minutes" ` +
			`(("Terry Gray" NIL "gray" "cac.washington.edu")) (("Terry Gray" NIL "gray" "cac.washington.edu")) ` +
			`(("Terry Gray" NIL "gray" "cac.washington.edu")) ((NIL NIL "imap" "cac.washington.edu")) ` +
			`((NIL NIL "minutes" "CNRI.Reston.VA.US")("John Klensin" NIL "KLENSIN" "MIT.EDU")) NIL NIL ` +
			`"<B27397-0100000@cac.washington.edu>")`},
		{"nothing", "X: y\n", emptyEnvelope},
		{"empty fields", "Subject:\nFrom: \nTo:,\n", emptyEnvelope},
		{"encoded words stay", "Subject: =?utf-8?q?=C3=BC?=\n", `(NIL "=?utf-8?q?=C3=BC?=" NIL NIL NIL NIL NIL NIL NIL NIL)`},
		{"raw 8-bit is a literal", "Subject: \xfc\"\n", "(NIL {2}\r\n\xfc\" NIL NIL NIL NIL NIL NIL NIL NIL)"},
		{"NUL is dropped, CR is a space", "Subject: a\x00b\rc\n", `(NIL "ab c" NIL NIL NIL NIL NIL NIL NIL NIL)`},
		{"unfolded", "Subject: one\n  two\n\tthree\n", "(NIL \"one  two\tthree\" NIL NIL NIL NIL NIL NIL NIL NIL)"},
		{"the first counts, lists are joined", "Subject: 1\nSubject: 2\nTo: a@b\nTo: c@d\n", `(NIL "1" NIL NIL NIL ((NIL NIL "a" "b")(NIL NIL "c" "d")) NIL NIL NIL NIL)`},
		{"escapes", `Subject: a"b\c` + "\n", `(NIL "a\"b\\c" NIL NIL NIL NIL NIL NIL NIL NIL)`},
		{"sender of its own", "From: a@b\nSender: c@d\n", `(NIL NIL ((NIL NIL "a" "b")) ((NIL NIL "c" "d")) ((NIL NIL "a" "b")) NIL NIL NIL NIL NIL)`},
	} {
		m := parse(crlf(tt.header)+"\r\n", 0)
		if got := string(m.Envelope); got != tt.want {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
		check(t, m, int(m.Size))
	}
}

func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{
		``:                                 `NIL`,
		` , ,, `:                           `NIL`,
		`<>`:                               `NIL`,
		`a@b`:                              `((NIL NIL "a" "b"))`,
		`Ann Lee <a@b>, c@d`:               `(("Ann Lee" NIL "a" "b")(NIL NIL "c" "d"))`,
		`"Lee, Ann" <a@b>`:                 `(("Lee, Ann" NIL "a" "b"))`,
		`"a \"b\" c" <a@b>`:                `(("a \"b\" c" NIL "a" "b"))`,
		`J. Random (no) Hacker <a@b>`:      `(("J. Random Hacker" NIL "a" "b"))`,
		`a@b (Ann Lee)`:                    `(("Ann Lee" NIL "a" "b"))`,
		`a@b (one (two))`:                  `(("one (two)" NIL "a" "b"))`,
		`"john doe"@b`:                     `((NIL NIL "john doe" "b"))`,
		`<"john@doe"@b>`:                   `((NIL NIL "john@doe" "b"))`,
		`a @ b`:                            `((NIL NIL "a" "b"))`,
		`a@[192.0.2.1]`:                    `((NIL NIL "a" "[192.0.2.1]"))`,
		`<@x,@y:a@b>`:                      `((NIL "@x,@y" "a" "b"))`,
		`root`:                             `((NIL NIL "root" ""))`,
		`Ann Lee`:                          `(("Ann Lee" NIL "" ""))`,
		`Ann <>`:                           `(("Ann" NIL "" ""))`,
		`Ann a@b`:                          `(("Ann" NIL "a" "b"))`,
		`undisclosed-recipients:;`:         `((NIL NIL "undisclosed-recipients" NIL)(NIL NIL NIL NIL))`,
		`All of us: a@b, Ann <c@d>; , e@f`: `((NIL NIL "All of us" NIL)(NIL NIL "a" "b")("Ann" NIL "c" "d")(NIL NIL NIL NIL)(NIL NIL "e" "f"))`,
		`open: a@b`:                        `((NIL NIL "open" NIL)(NIL NIL "a" "b")(NIL NIL NIL NIL))`,
		`a: b: c@d;;`:                      `((NIL NIL "a" NIL)("b" NIL "c" "d")(NIL NIL NIL NIL))`,
		`<a@b, c@d`:                        `((NIL NIL "a" "b")(NIL NIL "c" "d"))`,
		`=?utf-8?q?J=C3=B6rg?= <j@x>`:      `(("=?utf-8?q?J=C3=B6rg?=" NIL "j" "x"))`,
		"\xe4 <a@b>":                       "(({1}\r\n\xe4 NIL \"a\" \"b\"))",
		`"unterminated <a@b>`:              `((NIL NIL "unterminated <a@b>" ""))`,
		`(unterminated`:                    `(("unterminated" NIL "" ""))`,
		"a@b; c@d":                         `((NIL NIL "a" "b")(NIL NIL "c" "d"))`,
		`ann@x.org <ann@x.org>`:            `(("ann@x.org" NIL "ann" "x.org"))`,
	} {
		got := appendAddresses(nil, []byte(in))
		if string(got) != want {
			t.Errorf("%q:\n got %s\nwant %s", in, got, want)
		}
		if _, err := parseIMAP(got); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// RFC 9051 §7.5.2, BODYSTRUCTURE.
func TestBodyStructure(t *testing.T) {
	mail := crlf(`Content-Type: multipart/mixed; boundary="b"; x=y
Content-Language: en, de

--b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

one
two

--b
Content-Type: image/png; name="a \"b\".png"
Content-Disposition: attachment; filename=x.png; size=3
Content-Transfer-Encoding: BASE64
Content-ID: <1@x>
Content-Description: a picture
Content-Location: somewhere
Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==
Content-Language: en

AAAA
--b
Content-Type: message/rfc822

Subject: in

x
--b--
`)
	const (
		in   = `(NIL "in" NIL NIL NIL NIL NIL NIL NIL NIL)`
		body = `(("text" "plain" ("charset" "utf-8") NIL NIL "8bit" 10 2)` +
			`("image" "png" ("name" "a \"b\".png") "<1@x>" "a picture" "base64" 4)` +
			`("message" "rfc822" NIL NIL NIL "7bit" 16 ` + in + ` ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0) 2) "mixed")`
		structure = `(("text" "plain" ("charset" "utf-8") NIL NIL "8bit" 10 2 NIL NIL NIL NIL)` +
			`("image" "png" ("name" "a \"b\".png") "<1@x>" "a picture" "base64" 4 "Q2hlY2sgSW50ZWdyaXR5IQ==" ` +
			`("attachment" ("filename" "x.png" "size" "3")) "en" "somewhere")` +
			`("message" "rfc822" NIL NIL NIL "7bit" 16 ` + in +
			` ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0 NIL NIL NIL NIL) 2 NIL NIL NIL NIL)` +
			` "mixed" ("boundary" "b" "x" "y") NIL ("en" "de") NIL)`
	)
	m := parse(mail, 0)
	if got := string(m.AppendBodyStructure(nil, false)); got != body {
		t.Errorf("BODY\n got %s\nwant %s", got, body)
	}
	if got := string(m.AppendBodyStructure(nil, true)); got != structure {
		t.Errorf("BODYSTRUCTURE\n got %s\nwant %s", got, structure)
	}
}

func TestContent(t *testing.T) {
	for in, want := range map[string]string{
		"Text/HTML; Charset=\"UTF-8\"":          `"text" "html" ("Charset" "UTF-8")`,
		"text/plain; charset=us-ascii (Plain)":  `"text" "plain" ("charset" "us-ascii")`,
		"text/plain; name=two words.txt; a=b":   `"text" "plain" ("name" "two words.txt" "a" "b")`,
		"text/plain; name=\"a;b\\\"c\"; a=b":    `"text" "plain" ("name" "a;b\"c" "a" "b")`,
		"text/plain;; ;=x;a;b=;c=\"":            `"text" "plain" ("b" "" "c" "")`,
		"(c) text (c) / (c) plain (c) ; a = b":  `"text" "plain" ("a" "b")`,
		"text":                                  `"text" "plain" ("charset" "us-ascii")`,
		"text; charset=x":                       `"text" "plain" ("charset" "x")`,
		"/;":                                    `"text" "plain" ("charset" "us-ascii")`,
		"text/plain; name*0*=a'b'c; name*1=\"d": `"text" "plain" ("name*0*" "a'b'c" "name*1" "d")`,
		"application/x\xfc; name=\xfc":          "\"application\" \"x\" (\"name\" {1}\r\n\xfc)",
	} {
		m := parse("Content-Type: "+in+"\r\n\r\n", 0)
		got := string(m.AppendBodyStructure(nil, false))
		if len(got) < len(want)+1 || got[1:1+len(want)] != want {
			t.Errorf("%q:\n got %s\nwant (%s", in, got, want)
		}
	}
}
