package wire

import (
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestModifiedUTF7_RFC3501_5_1_3(t *testing.T) {
	for _, tt := range []struct{ utf8, utf7 string }{
		{"", ""},
		{"INBOX", "INBOX"},
		{"a&b", "a&-b"},
		{"&", "&-"},
		{"&&", "&-&-"},
		{"~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"},
		{"Entwürfe", "Entw&APw-rfe"},
		{"é&é", "&AOk-&-&AOk-"},
		{"Отправленные", "&BB4EQgQ,BEAEMAQyBDsENQQ9BD0ESwQ1-"},
		{"😀", "&2D3eAA-"},
		{"tab\t", "tab&AAk-"},
		{"\uffff", "&,,8-"},
	} {
		if got := string(AppendUTF7(nil, tt.utf8)); got != tt.utf7 {
			t.Errorf("AppendUTF7(%q) = %q, want %q", tt.utf8, got, tt.utf7)
		}
		if got, ok := DecodeUTF7(tt.utf7); got != tt.utf8 || !ok {
			t.Errorf("DecodeUTF7(%q) = %q, %v, want %q", tt.utf7, got, ok, tt.utf8)
		}
	}
}

func TestModifiedUTF7IsStrict_RFC3501_5_1_3(t *testing.T) {
	for _, in := range []string{
		"&", "a&", "&AOk", "é", "\x7f", "\x00", "tab\t",
		"&A-", "&AO-", // not whole octets or not whole UTF-16
		"&AOl-",      // bits left over
		"&AOk=-",     // padding
		"&AGE-",      // "a" must stand for itself
		"&ACY-",      // and so must "&"
		"&AOkAYQ-",   // also behind others
		"&AOk-&AOk-", // superfluous shift
		"&2D0-",      // half a surrogate pair
		"&3gA-",      // the other half
		"&3gDYPQ-",   // both, in the wrong order
		"&2D0AYQ-",   // half a pair and a letter
		"&AOk/-",     // "/" is not in this base64
		"&AO\r\nk-",  // encoding/base64 would skip these
		"&AO k-",
		"&AOk&-",
	} {
		if got, ok := DecodeUTF7(in); ok {
			t.Errorf("DecodeUTF7(%q) = %q, want an error", in, got)
		}
	}
}

func TestModifiedUTF7RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		enc := AppendUTF7(nil, s)
		for _, c := range enc {
			if c < ' ' || c >= 0x7f {
				t.Fatalf("%q is not printable ASCII", enc)
			}
		}
		if got, ok := DecodeUTF7(string(enc)); got != s || !ok {
			t.Fatalf("%q -> %q -> %q, %v", s, enc, got, ok)
		}
	})
}

func FuzzModifiedUTF7(f *testing.F) {
	for _, s := range []string{"INBOX", "a&-b", "&U,BTFw-/&ZeVnLIqe-", "&2D3eAA-", "&AOk-&AOk-", "&AO\r\nk-", "é", "&", "&3gDYPQ-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		// What is accepted has one form only.
		if dec, ok := DecodeUTF7(s); ok {
			if !utf8.ValidString(dec) {
				t.Errorf("%q decodes to %q, which is not UTF-8", s, dec)
			}
			if again := string(AppendUTF7(nil, dec)); again != s {
				t.Errorf("%q -> %q -> %q", s, dec, again)
			}
		}
		// What is written can be read.
		want := string([]rune(s)) // invalid octets are U+FFFD
		if dec, ok := DecodeUTF7(string(AppendUTF7(nil, s))); !ok || dec != want {
			t.Errorf("%q comes back as %q, %v", s, dec, ok)
		}
	})
}
