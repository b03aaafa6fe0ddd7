package auth

import (
	"slices"
	"strings"
	"testing"

	"github.com/starling-mail/starling/mailbox"
)

func TestNormalize(t *testing.T) {
	n := newTestNames(t)
	for in, want := range map[string]string{
		"alice":                  "alice@example.org",
		"Alice@Example.ORG":      "alice@example.org",
		"alice@other.example":    "alice@other.example",
		"alice+x":                "alice+x@example.org",
		"ａｌｉｃｅ":                  "alice@example.org", // full width
		"rene\u0301":             "ren\u00e9@example.org",
		"RENÉ":                   "rené@example.org",
		"ÄÖ":                     "äö@example.org",
		"a@b@example.org":        "a@b@example.org", // only the last @ divides
		"user@bücher.example":    "user@bücher.example",
		"":                       "",
		"@example.org":           "",
		"alice@":                 "",
		"al ice":                 "",
		"alice\x00":              "",
		"alice\n":                "",
		"\u2163":                 "", // Roman numeral four: only looks like IV
		"a\u200bb":               "", // zero-width space
		"\xff":                   "",
		strings.Repeat("a", 513): "",
	} {
		got, err := n.Normalize(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v, want %q", in, got, err, want)
		}
		if err != nil && mailbox.KindOf(err) != mailbox.Cannot {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestRecipients(t *testing.T) {
	full := newTestNames(t)
	bare, err := NewNormalizer(NameOptions{Separators: "+-"})
	if err != nil {
		t.Fatal(err)
	}
	off, err := NewNormalizer(NameOptions{DefaultDomain: "example.org"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		n    *Normalizer
		in   string
		want []Recipient
	}{
		{full, "Alice@example.org", []Recipient{{"alice@example.org", ""}}},
		{full, "alice", []Recipient{{"alice@example.org", ""}}},
		{full, "Alice+Lists/Go@example.org", []Recipient{{"alice+lists/go@example.org", ""}, {"alice@example.org", "Lists/Go"}}},
		{full, "alice+a b@example.org", []Recipient{{"alice@example.org", "a b"}}},
		{full, "alice+@example.org", []Recipient{{"alice+@example.org", ""}, {"alice@example.org", ""}}},
		{full, "+x@example.org", []Recipient{{"+x@example.org", ""}}},
		{full, "a b@example.org", nil},
		{off, "alice+x@example.org", []Recipient{{"alice+x@example.org", ""}}},
		{bare, "alice@example.org", []Recipient{{"alice@example.org", ""}, {"alice", ""}}},
		{bare, "alice-x+y@example.org", []Recipient{{"alice-x+y@example.org", ""}, {"alice-x+y", ""}, {"alice@example.org", "x+y"}, {"alice", "x+y"}}},
		{bare, "alice", []Recipient{{"alice", ""}}},
	} {
		got, err := c.n.Recipients(c.in)
		if !slices.Equal(got, c.want) || (err == nil) != (c.want != nil) {
			t.Errorf("%q: %q %v, want %q", c.in, got, err, c.want)
		}
	}
}

func TestBadNameOptions(t *testing.T) {
	for _, o := range []NameOptions{{Separators: "@"}, {DefaultDomain: "a b"}, {DefaultDomain: "a@b"}} {
		if _, err := NewNormalizer(o); mailbox.KindOf(err) != mailbox.Cannot {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// FuzzNormalize: what is a name once stays the same name, and holds nothing
// that could break a line or a seal.
func FuzzNormalize(f *testing.F) {
	for _, s := range []string{"alice", "Alice+x@EXAMPLE.org", "ａ@ß.example", "İ", "ς", "a\u0301@b", "\u05d0@x", "ϓ\u0301"} {
		f.Add(s)
	}
	n, err := NewNormalizer(NameOptions{DefaultDomain: "example.org", Separators: "+"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := n.Normalize(in)
		if err == nil {
			if again, err := n.Normalize(got); len(got) <= MaxNameLen && (err != nil || again != got) {
				t.Errorf("%q became %q, which became %q %v", in, got, again, err)
			}
			if strings.ContainsAny(got, "\x00\r\n \x7f") || !strings.Contains(got, "@") {
				t.Errorf("%q became %q", in, got)
			}
		}
		list, err := n.Recipients(in)
		if (len(list) == 0) != (err != nil) {
			t.Errorf("%q: %q %v", in, list, err)
		}
	})
}
