package transfer

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/starling-mail/starling/mailbox"
)

// contents lists everything that must survive a round trip.
func (s *memStore) contents() (list []string) {
	for _, b := range s.boxes {
		list = append(list, fmt.Sprintf("%s %d %d %v", b.Name, b.UIDValidity, b.Counts.UIDNext, s.subs[b.Name]))
		for _, m := range b.messages {
			list = append(list, fmt.Sprintf("%s %d %v %d %q", b.Name, m.UID, m.Flags.List(), m.Received.Unix(), m.body))
		}
	}
	slices.Sort(list)
	return list
}

// TestRoundTrip exports an account and imports it into another.
func TestRoundTrip(t *testing.T) {
	s := newMemStore(t, "Sent/2020", "a.b", "Entwürfe", "empty")
	in := s.named("INBOX")
	in.add(3, "Subject: a\r\n\r\nb\r\n", someDay, imap.FlagSeen, "$Label1", "Work")
	in.add(9, "Subject: b\r\n\r\nbare \n LF\r\n", someDay.AddDate(1, 0, 0), imap.FlagDeleted, imap.FlagDraft, imap.FlagForwarded)
	in.add(10, "Subject: c\r\n\r\nCR \r in it\r\r\n\x00\r", someDay, "work") // another spelling
	in.Counts.UIDNext = 50
	s.named("Sent/2020").add(1, "x", someDay, imap.FlagAnswered, imap.FlagFlagged)
	s.subs = map[string]bool{"INBOX": true, "a.b": true, "Sent/2020": true}

	folder := filepath.Join(t.TempDir(), "new", "Maildir")
	var total, done int64
	result, err := Export(t.Context(), s, folder, func(n int64) { total = n }, Watcher{Progress: func(_ string, n int64) { done += n }})
	if err != nil || result != (Result{Folders: 5, Messages: 4}) {
		t.Fatalf("%+v %v", result, err)
	}
	if total == 0 || total != done {
		t.Errorf("progress %d of %d", done, total)
	}
	if _, err := Export(t.Context(), s, folder, nil, Watcher{}); err == nil {
		t.Error("exported over what was there")
	}

	other := newMemStore(t)
	if _, warnings, err := importFrom(t, other, t.TempDir(), folder, Options{}); err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	want := s.contents()
	for i := range want {
		want[i] = strings.Replace(want[i], "[work]", "[Work]", 1) // a folder has one spelling
	}
	if diff := cmp.Diff(want, other.contents()); diff != "" {
		t.Error(diff)
	}
}

// TestExportHasLF: where a message allows it, files have the line ends that
// other programs expect.
func TestExportHasLF(t *testing.T) {
	s := newMemStore(t)
	s.named("INBOX").add(1, "A: b\r\n\r\nc\r\n", someDay, imap.FlagSeen)
	folder := t.TempDir()
	if _, err := Export(t.Context(), s, folder, nil, Watcher{}); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("cur/%d.V1000U1.starling,W=11:2,S", someDay.Unix())
	b, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil || string(b) != "A: b\n\nc\n" {
		t.Errorf("%q %v", b, err)
	}
	list, err := os.ReadFile(filepath.Join(folder, uidListFile))
	if want := fmt.Sprintf("3 V1000 N2\n1 :%d.V1000U1.starling,W=11\n", someDay.Unix()); err != nil || string(list) != want {
		t.Errorf("%q %v, want %q", list, err, want)
	}
	if left, err := os.ReadDir(filepath.Join(folder, "tmp")); err != nil || len(left) > 0 {
		t.Errorf("tmp has %v %v", left, err)
	}
}

func TestTooManyKeywords(t *testing.T) {
	s := newMemStore(t)
	for i := range maildirKeywords + 2 {
		s.named("INBOX").add(0, "\r\n", someDay, imap.Flag(fmt.Sprintf("k%02d", i)))
	}
	var warnings []string
	if _, err := Export(t.Context(), s, t.TempDir(), nil, Watcher{Warn: func(s string) { warnings = append(warnings, s) }}); err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 1 || !strings.HasSuffix(warnings[0], "these are lost: k26 k27") {
		t.Errorf("%q", warnings)
	}
}

// TestMessageExpungedMeanwhile: it is left out and nothing of it stays.
func TestMessageExpungedMeanwhile(t *testing.T) {
	s := newMemStore(t)
	s.named("INBOX").add(1, "a\r\n", someDay)
	s.named("INBOX").add(2, "b\r\n", someDay)
	folder := t.TempDir()
	result, err := Export(t.Context(), expunged{s}, folder, nil, Watcher{})
	if err != nil || result.Messages != 1 {
		t.Errorf("%+v %v", result, err)
	}
	files := 0
	filepath.WalkDir(folder, func(_ string, d fs.DirEntry, err error) error {
		if strings.Contains(d.Name(), ".starling") {
			files++
		}
		return err
	})
	if files != 1 {
		t.Errorf("%d files", files)
	}
}

// expunged has lost the body of UID 1.
type expunged struct{ *memStore }

func (s expunged) Body(ctx context.Context, id mailbox.ID, uid imap.UID) (io.ReadCloser, error) {
	if uid == 1 {
		return nil, &mailbox.Error{Kind: mailbox.Expunged, Op: "body"}
	}
	return s.memStore.Body(ctx, id, uid)
}

// TestLineEnds: what toLF says is exact comes back the same, however it is
// read.
func TestLineEnds(t *testing.T) {
	pieces := rapid.SliceOfN(rapid.SampledFrom([]string{"\r", "\n", "\r\n", "a", "bc", "\x1f\x8b"}), 0, 30)
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(pieces.Draw(t, "text"), "")
		var b strings.Builder
		w := bufio.NewWriter(&b)
		exact, err := toLF(w, strings.NewReader(text))
		if err != nil || w.Flush() != nil {
			t.Fatal(err)
		}
		// A text that has CRLF only is what mail is.
		if plain := strings.ReplaceAll(text, "\r\n", ""); !strings.ContainsAny(plain, "\r\n\x1f") && !exact {
			t.Fatalf("%q is not exact", text)
		}
		for _, r := range []io.Reader{strings.NewReader(b.String()), iotest.OneByteReader(strings.NewReader(b.String()))} {
			back, err := io.ReadAll(iotest.HalfReader(newCRLFReader(r)))
			if err != nil {
				t.Fatal(err)
			}
			if exact && string(back) != text {
				t.Fatalf("%q was written %q, read %q", text, b.String(), back)
			}
		}
		if err := iotest.TestReader(newCRLFReader(strings.NewReader(b.String())), mustRead(t, newCRLFReader(strings.NewReader(b.String())))); err != nil {
			t.Fatal(err)
		}
	})
}

func mustRead(t *rapid.T, r io.Reader) []byte {
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
