package transfer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

func readAll(t *testing.T, r io.ReadCloser) string {
	t.Helper()
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var errCrash = errors.New("crash")

// manyMessages is a Maildir of more than two batches, some of them alike.
func manyMessages(t *testing.T) (folder string, bodies []string) {
	folder = t.TempDir()
	files := map[string]string{"new/": ""}
	list := "3 V77 N2000\n"
	for i := range 2*batchMessages + 50 {
		name := fmt.Sprintf("%05d.host", i)
		files["cur/"+name+":2,S"] = fmt.Sprintf("Subject: %d\n\n", i%7)
		list += fmt.Sprintf("%d :%s\n", 3*i+5, name)
		bodies = append(bodies, fmt.Sprintf("Subject: %d\r\n\r\n", i%7))
	}
	files[uidListFile] = list
	writeFiles(t, folder, files)
	return folder, bodies
}

// TestImportIsResumed interrupts an import at each append, before or after it
// is committed, and starts it again, while other mail arrives.
func TestImportIsResumed(t *testing.T) {
	path, bodies := manyMessages(t)
	for _, arriving := range []bool{false, true} {
		for _, committed := range []bool{false, true} {
			for crash := 1; crash <= 3; crash++ {
				t.Run(fmt.Sprintf("append %d committed %v arriving %v", crash, committed, arriving), func(t *testing.T) {
					s, journals := newMemStore(t), t.TempDir()
					in := s.named("INBOX")
					s.fault = func(n int, after bool) error {
						if n == crash && after == committed {
							return errCrash
						}
						return nil
					}
					result, _, err := importFrom(t, s, journals, path, Options{})
					if !errors.Is(err, errCrash) {
						t.Fatalf("%+v %v", result, err)
					}
					s.fault = nil
					others := 0
					if arriving {
						in.add(0, "other\r\n", someDay)
						others = 1
					}
					result, warnings, err := importFrom(t, s, journals, path, Options{})
					if err != nil {
						t.Fatal(err)
					}
					if n := result.Messages + result.Known; n != len(bodies) {
						t.Errorf("%+v, want %d in all", result, len(bodies))
					}
					var got []string
					for _, m := range in.messages {
						if m.body != "other\r\n" {
							got = append(got, m.body)
						}
					}
					if strings.Join(got, "") != strings.Join(bodies, "") || len(in.messages) != len(bodies)+others {
						t.Errorf("%d messages, want %d, in their order", len(in.messages), len(bodies)+others)
					}
					if !arriving {
						for i, m := range in.messages {
							if m.UID != imap.UID(3*i+5) {
								t.Fatalf("message %d has UID %d", i, m.UID)
							}
						}
						if in.Counts.UIDNext != 2000 || len(warnings) > 0 {
							t.Errorf("UIDNEXT %d, %v", in.Counts.UIDNext, warnings)
						}
					}
					// Once more: nothing is left.
					if result, _, err := importFrom(t, s, journals, path, Options{}); err != nil || result.Messages != 0 || result.Known != len(bodies) {
						t.Errorf("%+v %v", result, err)
					}
				})
			}
		}
	}
}

// TestImportIntoFullMailbox: a refusal is no crash: the batch is not looked for
// but tried again.
func TestImportIntoFullMailbox(t *testing.T) {
	path, bodies := manyMessages(t)
	s, journals := newMemStore(t), t.TempDir()
	s.fault = func(n int, _ bool) error {
		if n == 2 {
			return &mailbox.Error{Kind: mailbox.OverQuota, Op: "append"}
		}
		return nil
	}
	result, _, err := importFrom(t, s, journals, path, Options{})
	if mailbox.KindOf(err) != mailbox.OverQuota || result.Messages != batchMessages {
		t.Fatalf("%+v %v", result, err)
	}
	if result, _, err = importFrom(t, s, journals, path, Options{}); err != nil || result.Messages != len(bodies)-batchMessages {
		t.Errorf("%+v %v", result, err)
	}
}

func TestJournal(t *testing.T) {
	folder, account := t.TempDir(), mailbox.NewAccountID()
	open := func(again bool) (*Journal, error) { return OpenJournal(folder, account, "/source", again) }
	j, err := open(false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(false); err != ErrBusy {
		t.Errorf("a second import of the same source: %v", err)
	}
	a, b := mailbox.NewID(), mailbox.NewID()
	inA := intent{a.String(), 5, []intentEntry{{"k1", 10, 20}, {"k2", 11, 21}}}
	inB := intent{b.String(), 7, []intentEntry{{"k3", 10, 20}}}
	for _, err := range []error{j.intend(inA), j.intend(inB), j.finish(b, inB, true), j.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	file := j.file.Name()
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(whole, `{"box":"cut o`...), 0o600); err != nil {
		t.Fatal(err)
	}

	if j, err = open(false); err != nil {
		t.Fatal(err)
	}
	if in, ok := j.pending(a); !ok || len(in.Items) != 2 || in.Next != 5 {
		t.Errorf("pending: %+v %v", in, ok)
	}
	if _, ok := j.pending(b); ok || !j.has(b, "k3") || j.has(b, "k1") || j.Done != 1 {
		t.Errorf("%+v", j)
	}
	for _, err := range []error{j.finish(a, inA, true), j.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}

	if j, err = open(false); err != nil {
		t.Fatal(err)
	}
	if _, ok := j.pending(a); ok || !j.has(a, "k2") || j.Done != 3 {
		t.Errorf("%+v", j)
	}
	j.Close()

	if j, err = open(true); err != nil || j.has(a, "k2") || j.Done != 0 {
		t.Errorf("again: %+v %v", j, err)
	}
	j.Close()
	if err := os.WriteFile(file, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(false); err == nil || !strings.Contains(err.Error(), filepath.Base(file)) {
		t.Errorf("another file: %v", err)
	}
}
