package transfer

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/starling-mail/starling/mailbox"
)

var someDay = time.Date(2021, 3, 4, 5, 6, 7, 0, time.UTC)

// writeFiles writes files below a folder; their mtime is someDay.
func writeFiles(t *testing.T, folder string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, someDay, someDay); err != nil {
			t.Fatal(err)
		}
	}
}

// dovecotTree is a Maildir++ tree as Dovecot leaves it.
func dovecotTree(t *testing.T) string {
	folder := t.TempDir()
	writeFiles(t, folder, map[string]string{
		"tmp/x":                                   "not yet delivered",
		"new/1600000003.M1P1.host":                "Subject: new\n\nc\n",
		"cur/1600000001.M1P1.host,S=17:2,Sa":      "Subject: one\n\nbody\n",
		"cur/1600000002.M1P1.host,S=17:2,FRSTDPb": "Subject: two\r\n\r\nbody\r\n",
		"cur/1600000004.M1P1.host:2,":             "Subject: not in the list\n\n",
		"dovecot-uidlist": "3 V1500000000 N90 G00\n17 :1600000001.M1P1.host,S=17\n20 W18 :1600000002.M1P1.host,S=17\n" +
			"25 :1600000003.M1P1.host\n26 :gone\nnonsense\n",
		"dovecot-keywords": "0 $Label1\n1 Work\n99 tooFar\n2 bad(word\n",
		"subscriptions":    "INBOX\nSent.2020\nGone\n",

		".Sent/new/": "", ".Sent/cur/1.host:2,S": "sent\n",
		".Sent.2020/new/": "", ".Sent.2020/cur/": "",
		".Entw&APw-rfe/new/": "", ".Entw&APw-rfe/cur/": "",
		".a&AC4-b/new/": "", ".a&AC4-b/cur/": "",
		".odd*name/new/": "", ".odd*name/cur/": "",
		".odd%name/new/": "", ".odd%name/cur/": "",
		".notmaildir/x": "", "dovecot.index.log": "x", ".hidden": "x",
	})
	return folder
}

func TestImportDovecot(t *testing.T) {
	s := newMemStore(t, "Sent")
	result, warnings, err := importFrom(t, s, t.TempDir(), dovecotTree(t), Options{})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if want := (Result{Folders: 7, Messages: 5}); result != want {
		t.Errorf("%+v, want %+v", result, want)
	}
	in := s.named("INBOX")
	if in.UIDValidity != 1500000000 || in.Counts.UIDNext != 91 {
		t.Errorf("UIDVALIDITY %d, UIDNEXT %d", in.UIDValidity, in.Counts.UIDNext)
	}
	var got []string
	for _, m := range in.messages {
		got = append(got, fmt.Sprintf("%d %v %q %v", m.UID, m.Flags.List(), m.body, m.Received.Equal(someDay)))
	}
	want := []string{
		`17 [\Seen $Label1] "Subject: one\r\n\r\nbody\r\n" true`,
		`20 [\Answered \Flagged \Deleted \Seen \Draft $Forwarded Work] "Subject: two\r\n\r\nbody\r\n" true`,
		`25 [] "Subject: new\r\n\r\nc\r\n" true`,
		// What the list does not know comes after all UIDs that clients may have
		// seen: Dovecot would give it the next one.
		`90 [] "Subject: not in the list\r\n\r\n" true`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var names []string
	for _, b := range s.boxes {
		names = append(names, b.Name)
	}
	slices.Sort(names)
	if want := []string{"Entwürfe", "INBOX", "Sent", "Sent/2020", "a.b", "odd_name", "odd_name_"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	if !s.subs["INBOX"] || !s.subs["Sent/2020"] || !s.subs["Gone"] || len(s.subs) != 3 {
		t.Errorf("subscriptions %v", s.subs)
	}
}

// TestImportIntoUsedMailbox: the mail comes in, but with other UIDs, and it is
// said.
func TestImportIntoUsedMailbox(t *testing.T) {
	s := newMemStore(t)
	s.named("INBOX").add(0, "old\r\n", someDay)
	_, warnings, err := importFrom(t, s, t.TempDir(), dovecotTree(t), Options{})
	if err != nil || len(warnings) != 1 || !strings.HasPrefix(warnings[0], "INBOX: UIDs are not kept") {
		t.Fatal(err, warnings)
	}
	if in := s.named("INBOX"); len(in.messages) != 5 || in.messages[4].UID != 5 || in.UIDValidity == 1500000000 {
		t.Errorf("%+v", in)
	}
}

func TestImportInto(t *testing.T) {
	s := newMemStore(t)
	if _, _, err := importFrom(t, s, t.TempDir(), dovecotTree(t), Options{Into: "Old/mail"}); err != nil {
		t.Fatal(err)
	}
	if n := len(s.named("Old/mail").messages); n != 4 {
		t.Errorf("%d messages", n)
	}
	if s.named("Old/mail/Sent/2020"); !s.subs["Old/mail/Sent/2020"] {
		t.Errorf("subscriptions %v", s.subs)
	}
	if _, err := Open(t.Context(), t.TempDir(), Options{Into: "a//b"}); mailbox.KindOf(err) != mailbox.Cannot {
		t.Errorf("a bad name: %v", err)
	}
}

// TestMessageThatCannotBeRead: it is reported, the others come in.
func TestMessageThatCannotBeRead(t *testing.T) {
	folder := t.TempDir()
	writeFiles(t, folder, map[string]string{"new/": "", "cur/1.a": "\x1f\x8bbroken", "cur/2.a": "fine\n"})
	s := newMemStore(t)
	result, warnings, err := importFrom(t, s, t.TempDir(), folder, Options{})
	if err != nil || result.Failed != 1 || result.Messages != 1 || len(warnings) != 1 {
		t.Errorf("%+v %v %v", result, warnings, err)
	}
}

func TestCompressedMessage(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte("Subject: z\n\nx\n"))
	w.Close()
	folder := t.TempDir()
	writeFiles(t, folder, map[string]string{"new/": "", "cur/1.a,Z": b.String()})
	s := newMemStore(t)
	if _, _, err := importFrom(t, s, t.TempDir(), folder, Options{}); err != nil {
		t.Fatal(err)
	}
	if body := s.named("INBOX").messages[0].body; body != "Subject: z\r\n\r\nx\r\n" {
		t.Errorf("%q", body)
	}
}

func TestUIDList(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       *uidList // nil: refused
	}{
		{"version 1", "1 7 12\n5 a\n11 b:2,S\n", &uidList{7, 12, map[string]imap.UID{"a": 5, "b": 11}}},
		{"version 3", "3 N12 V7\n5 S10 W12 :a:b\n", &uidList{7, 12, map[string]imap.UID{"a": 5}}},
		{"next is too low", "3 V7 N2\n5 :a\n", &uidList{7, 6, map[string]imap.UID{"a": 5}}},
		{"nonsense", "3 V7 N2\n0 :a\nx\n4294967296 :b\n9\n10 :\n11 c\n", &uidList{7, 2, map[string]imap.UID{}}},
		{"highest UID", "3 V7 N2\n4294967295 :a\n", &uidList{7, 2, map[string]imap.UID{"a": 4294967295}}},
		{"empty", "", nil},
		{"version 2", "2 7 12\n", nil},
		{"no UIDVALIDITY", "3 N12\n", nil},
		{"UIDVALIDITY 0", "3 V0 N12\n", nil},
		{"line too long", "3 V7 N2\n" + strings.Repeat("x", maxIndexLine+1), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := readUIDList(strings.NewReader(c.text))
			if (err != nil) != (c.want == nil) {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); c.want != nil && diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSubscriptions(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"INBOX\nA.B\nA.B\n\n", []string{"INBOX", "A/B"}},
		{"V\t2\n\nA\tB.C\nD\n", []string{"A/B.C", "D"}},
		{"INBOX.Sent\ninbox\n", []string{"Sent", "INBOX"}},
	} {
		got, err := parseSubscriptions(strings.NewReader(c.text))
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q: %q %v, want %q", c.text, got, err, c.want)
		}
	}
}

func TestFolderNames(t *testing.T) {
	for _, name := range []string{"Sent", "Sent/2020", "Entwürfe/日本", "a.b/c.d", "R&D", "a&b.c", "INBOX/x", "~x-", "&", "😀"} {
		folder := nameToFolder(name)
		if back := folderToName(strings.TrimPrefix(folder, ".")); back != name {
			t.Errorf("%q is the folder %q, which is %q", name, folder, back)
		}
	}
	for folder, want := range map[string]string{"inbox": "INBOX", "Ünïcode": "Ünïcode", "a..b": "a/_/b", "x\ny": "x_y", "\xff": "_", "a%": "a_"} {
		if got := folderToName(folder); got != want || mailbox.CheckName(got) != nil {
			t.Errorf("folder %q is %q, want %q", folder, got, want)
		}
	}
}
