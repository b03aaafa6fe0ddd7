package lmtp

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/starling-mail/starling/mailbox"
)

func TestDeliver(t *testing.T) {
	s := newTestServer(t, func(o *Options) { o.MaxMessage = 100 })
	s.store.box("alice", "Work")
	if err := s.Deliver(t.Context(), "alice+Work", "carol@example.com", strings.NewReader("Subject: x\n\nHello\n")); err != nil {
		t.Fatal(err)
	}
	mail := s.store.delivered("alice", "Work")
	if len(mail) != 1 || !strings.HasPrefix(mail[0], "Return-Path: <carol@example.com>\r\nDelivered-To: alice+Work\r\nReceived: by mx.example.org id ") ||
		!strings.HasSuffix(mail[0], "\r\nSubject: x\r\n\r\nHello\r\n") {
		t.Errorf("%q", mail)
	}
	for _, c := range []struct {
		to, from string
		want     mailbox.Kind
	}{
		{"nobody", "", mailbox.NonExistent},
		{"disabled", "", mailbox.NoPerm},
		{"full", "", mailbox.OverQuota},
		{"down", "", mailbox.Unavailable},
		{"a b", "", mailbox.Cannot},
		{"alice\r\n", "", mailbox.Cannot},
		{"alice", "x\r\nBcc: y", mailbox.Cannot},
	} {
		if err := s.Deliver(t.Context(), c.to, c.from, strings.NewReader(testMail)); mailbox.KindOf(err) != c.want {
			t.Errorf("%q from %q: %v", c.to, c.from, err)
		}
	}
	if err := s.Deliver(t.Context(), "alice", "", strings.NewReader(strings.Repeat("x", 101))); mailbox.KindOf(err) != mailbox.TooBig {
		t.Error(err)
	}
	broken := errors.New("broken")
	if err := s.Deliver(t.Context(), "alice", "", io.MultiReader(strings.NewReader("x"), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Error(err)
	}
	if n := len(s.store.delivered("alice", "INBOX")); n != 0 {
		t.Errorf("%d messages that failed were delivered", n)
	}
}

// What is received is read back with its line ends made CRLF, however it
// comes, in memory or not; and no file is left.
func TestSpool(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Repeat(rapid.StringOfN(rapid.SampledFrom([]rune("a\r\n.")), 0, 20, -1).Draw(t, "text"),
			rapid.SampledFrom([]int{1, spoolMemory / 8, spoolMemory / 4}).Draw(t, "times"))
		want := strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")
		var r io.Reader = strings.NewReader(text)
		r = rapid.SampledFrom([]func(io.Reader) io.Reader{
			iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader, func(r io.Reader) io.Reader { return r },
		}).Draw(t, "reader")(r)
		limit := max(0, int64(len(want))+rapid.Int64Range(-2, 2).Draw(t, "over"))
		var s spool
		defer s.close()
		err := s.receive(r, limit, dir)
		if limit < int64(len(want)) {
			if mailbox.KindOf(err) != mailbox.TooBig {
				t.Fatal(err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got, err := io.ReadAll(s.reader()); string(got) != want || err != nil || s.size != int64(len(want)) {
				t.Fatalf("%d bytes, size %d, want %d: %v", len(got), s.size, len(want), err)
			}
		}
	})
	if left, err := os.ReadDir(dir); len(left) != 0 || err != nil {
		t.Error(left, err)
	}
}

func TestSpoolWithoutDisk(t *testing.T) {
	var s spool
	defer s.close()
	err := s.receive(strings.NewReader(strings.Repeat("x", spoolMemory+1)), 1<<30, t.TempDir()+"/missing")
	if mailbox.KindOf(err) != mailbox.Unavailable {
		t.Error(err)
	}
}

func TestPath(t *testing.T) {
	for in, want := range map[string]string{
		"":                 "",
		"a@b":              "a@b",
		"a.b+c@d":          "a.b+c@d",
		"a b@d":            `"a b"@d`,
		`a"\@d`:            `"a\"\\"@d`,
		"a@b@d":            `"a@b"@d`,
		".a@d":             `".a"@d`,
		"a..b@d":           `"a..b"@d`,
		"zoë@example.org":  "zoë@example.org",
		"alice":            "alice",
		"a b":              `"a b"`,
		"a.b.@example.org": `"a.b."@example.org`,
	} {
		if got := path(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// FuzzHeader: whatever a client says of itself and of its addresses, the
// fields added are those three, and nothing else gets into the header.
func FuzzHeader(f *testing.F) {
	f.Add("carol@example.com", "client.example.com", "alice@example.org")
	f.Add("", "[192.0.2.1]", `a"b\@c`)
	f.Add("a\rX: y@b", "x\r\nX: y", "\xff\x00@\u2028")
	f.Fuzz(func(t *testing.T, from, helo, to string) {
		if hasControl(from) || hasControl(to) {
			return // refused before
		}
		s := New(Options{Hostname: "mx.example.org"})
		lines := strings.Split(s.newTrace(from, helo, nil).header(to), "\r\n")
		starts := []string{"Return-Path: <", "Delivered-To: ", "Received: ", "\tby ", "\tfor <", ""}
		if helo == "" {
			starts = []string{"Return-Path: <", "Delivered-To: ", "Received: by ", "\tfor <", ""}
		}
		if len(lines) != len(starts) {
			t.Fatalf("%q", lines)
		}
		for i, start := range starts {
			if !strings.HasPrefix(lines[i], start) || strings.ContainsAny(lines[i], "\r\n\x00") {
				t.Errorf("%q", lines[i])
			}
		}
	})
}
