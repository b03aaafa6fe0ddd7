package e2e

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/google/go-cmp/cmp"

	"github.com/starling-mail/starling/e2e/node"
)

const mbsyncrc = `
IMAPAccount starling
Host localhost
Port %s
User %s
Pass "%s"
SSLType IMAPS
CertificateFile %s
AuthMechs LOGIN
Timeout 120

IMAPStore remote
Account starling

MaildirStore local
Path %[5]s/
Inbox %[5]s/INBOX
SubFolders Verbatim

Channel all
Far :remote:
Near :local:
Patterns *
Create Both
Expunge Both
CopyArrivalDate yes
SyncState *
`

// TestMbsync syncs a mailbox of 2,000 messages to a Maildir and back: all
// there after the first run, nothing changed by the second, and then what
// changed on either side on both.
func TestMbsync(t *testing.T) {
	need(t, "mbsync")
	n := startNode(t, nil)
	const messages = 2000
	fill(t, n, messages)

	dir := t.TempDir()
	local := filepath.Join(dir, "mail")
	if err := os.Mkdir(local, 0o700); err != nil {
		t.Fatal(err)
	}
	rc := write(t, dir, "mbsyncrc", fmt.Sprintf(mbsyncrc, port(n.IMAPS), user, password, n.CertFile, local))
	sync := func() { run(t, "mbsync", "-c", rc, "all") }

	sync()
	c := login(t, n, nil)
	remote := flagsBySubject(t, c, "INBOX")
	if len(remote) != messages {
		t.Fatalf("the server has %d messages, want %d", len(remote), messages)
	}
	if diff := cmp.Diff(imapFlags(remote), maildirFlags(t, local)); diff != "" {
		t.Fatalf("after the first run (- server, + Maildir):\n%s", diff)
	}
	before := tree(t, local)
	sync()
	if diff := cmp.Diff(before, tree(t, local)); diff != "" {
		t.Errorf("the second run changed the Maildir:\n%s", diff)
	}
	if diff := cmp.Diff(remote, flagsBySubject(t, c, "INBOX")); diff != "" {
		t.Errorf("the second run changed the server:\n%s", diff)
	}

	// One of each kind on each side.
	store(t, c, "INBOX", mail("new on the server"))
	seq := func(i uint32) imap.NumSet { return imap.SeqSetNum(i) }
	flag(t, c, seq(3), imap.StoreFlagsAdd, imap.FlagFlagged)
	flag(t, c, seq(4), imap.StoreFlagsAdd, imap.FlagDeleted)
	if err := c.Expunge().Close(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(local, "INBOX", "cur"), "1.new.local:2,S", strings.ReplaceAll(mail("new in the Maildir"), "\r\n", "\n"))
	renameMaildir(t, local, "message 10", "F")
	removeMaildir(t, local, "message 11")
	sync()

	want := maps.Clone(remote)
	want["new on the server"] = []imap.Flag{}
	want["new in the Maildir"] = []imap.Flag{imap.FlagSeen}
	want["message 2"] = []imap.Flag{imap.FlagFlagged}
	want["message 10"] = []imap.Flag{imap.FlagFlagged}
	delete(want, "message 3")
	delete(want, "message 11")
	if diff := cmp.Diff(imapFlags(want), imapFlags(flagsBySubject(t, c, "INBOX"))); diff != "" {
		t.Errorf("the server after changes on both sides (- want, + got):\n%s", diff)
	}
	if diff := cmp.Diff(imapFlags(want), maildirFlags(t, local)); diff != "" {
		t.Errorf("the Maildir after changes on both sides (- want, + got):\n%s", diff)
	}
}

// fill appends messages 0 to count-1 to INBOX in this order, with flags that
// go round all there are, many APPENDs under way at a time.
func fill(t *testing.T, n *node.Node, count int) {
	t.Helper()
	c := login(t, n, nil)
	kinds := [][]imap.Flag{nil, {imap.FlagSeen}, nil, {imap.FlagSeen, imap.FlagAnswered}, {imap.FlagFlagged}, {imap.FlagDraft}}
	for part := range slices.Chunk(numbers(count), 50) {
		var sent []*imapclient.AppendCommand
		for _, i := range part {
			text := mail(fmt.Sprintf("message %d", i))
			cmd := c.Append("INBOX", int64(len(text)), &imap.AppendOptions{Flags: kinds[i%len(kinds)]})
			if _, err := cmd.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Close(); err != nil {
				t.Fatal(err)
			}
			sent = append(sent, cmd)
		}
		for _, cmd := range sent {
			if _, err := cmd.Wait(); err != nil {
				t.Fatalf("APPEND: %v", err)
			}
		}
	}
	if err := c.Logout().Wait(); err != nil {
		t.Fatal(err)
	}
}

func numbers(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

func flag(t *testing.T, c *imapclient.Client, which imap.NumSet, op imap.StoreFlagsOp, f imap.Flag) {
	t.Helper()
	if err := c.Store(which, &imap.StoreFlags{Op: op, Silent: true, Flags: []imap.Flag{f}}, nil).Close(); err != nil {
		t.Fatalf("STORE: %v", err)
	}
}

// tree is everything below dir: the content of each file by its name, which in
// a Maildir has the flags.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, dir)] = fmt.Sprintf("%x", sha256.Sum256(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// imapFlags turns flags into the letters that a Maildir has for them.
func imapFlags(all map[string][]imap.Flag) map[string]string {
	letters := map[imap.Flag]string{imap.FlagDraft: "D", imap.FlagFlagged: "F", imap.FlagAnswered: "R", imap.FlagSeen: "S", imap.FlagDeleted: "T"}
	out := map[string]string{}
	for subject, flags := range all {
		var list []string
		for _, f := range flags {
			list = append(list, letters[f])
		}
		slices.Sort(list)
		out[subject] = strings.Join(list, "")
	}
	return out
}

// maildirFiles is where each message of INBOX is, by subject.
func maildirFiles(t *testing.T, local string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, sub := range []string{"cur", "new"} {
		paths, err := filepath.Glob(filepath.Join(local, "INBOX", sub, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, rest, _ := strings.Cut(string(text), "Subject: ")
			subject, _, _ := strings.Cut(rest, "\n")
			subject = strings.TrimSuffix(subject, "\r")
			if files[subject] != "" {
				t.Errorf("%q is twice in the Maildir: %s, %s", subject, files[subject], path)
			}
			files[subject] = path
		}
	}
	return files
}

func maildirFlags(t *testing.T, local string) map[string]string {
	t.Helper()
	flags := map[string]string{}
	for subject, path := range maildirFiles(t, local) {
		_, flags[subject], _ = strings.Cut(filepath.Base(path), ":2,")
	}
	return flags
}

// renameMaildir gives a message other flags, as a Maildir client does.
func renameMaildir(t *testing.T, local, subject, flags string) {
	t.Helper()
	path := maildirFiles(t, local)[subject]
	name, _, _ := strings.Cut(filepath.Base(path), ":2,")
	if err := os.Rename(path, filepath.Join(local, "INBOX", "cur", name+":2,"+flags)); err != nil {
		t.Fatal(err)
	}
}

// removeMaildir removes a message from the Maildir.
func removeMaildir(t *testing.T, local, subject string) {
	t.Helper()
	if err := os.Remove(maildirFiles(t, local)[subject]); err != nil {
		t.Fatal(err)
	}
}
