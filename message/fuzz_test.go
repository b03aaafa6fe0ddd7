package message

import (
	"bytes"
	"reflect"
	"testing"
)

func same(t testing.TB, what string, got, want *Message) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s differs:\n%.2000q\nwant\n%.2000q", what, got.AppendBinary(nil), want.AppendBinary(nil))
	}
}

// FuzzParse: whatever a mail is, its structure is well-formed, agrees with its sections, does not depend on how it was
// cut, can be stored, and its text can be searched.
func FuzzParse(f *testing.F) {
	for _, o := range oddities() {
		if len(o.mail) < 10_000 {
			f.Add([]byte(o.mail), 7)
		}
	}
	f.Fuzz(func(t *testing.T, mail []byte, piece int) {
		m := parse(string(mail), 0)
		check(t, m, len(mail))
		same(t, "in pieces", parse(string(mail), 1+abs(piece)%50), m)
		small := Limits{Depth: 3, Parts: 4, Field: 40, Header: 100, Total: 300}
		limited := parseLimited(string(mail), 0, small)
		check(t, limited, len(mail))
		same(t, "limited, in pieces", parseLimited(string(mail), 1+abs(piece)%50, small), limited)

		stored := m.AppendBinary(nil)
		again, err := Decode(stored)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "stored form", again, m)
		if env, err := DecodeEnvelope(stored); err != nil || !bytes.Equal(env, m.Envelope) {
			t.Fatalf("DecodeEnvelope: %q, %v", env, err)
		}
		for _, needle := range []string{"text", "Grüße"} {
			if _, err := NewMatcher(needle).Text(m, bytes.NewReader(mail), true); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func abs(n int) int {
	if n < 0 {
		return -(n + 1)
	}
	return n
}

// FuzzDecodeStored: what is not a stored mail is an error, and what is can be used.
func FuzzDecodeStored(f *testing.F) {
	for _, o := range oddities() {
		if len(o.mail) < 10_000 {
			f.Add(parse(o.mail, 0).AppendBinary(nil))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			return
		}
		if err := checkPart(&m.Root, 0, m.Size); err != nil {
			t.Fatal(err)
		}
		m.AppendBodyStructure(nil, true)
		again, err := Decode(m.AppendBinary(nil))
		if err != nil {
			t.Fatal(err)
		}
		same(t, "stored again", again, m)
	})
}
