package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"
)

// muttrc reads the first message, flags the second, deletes the third, saves
// (copies and deletes) the fourth, and quits. The last line is what a person
// would type.
const muttrc = `
set folder=imap://localhost:%[1]s/
set spoolfile=+INBOX
set imap_user="%[2]s"
set imap_pass="%[3]s"
set ssl_force_tls=yes
set ssl_starttls=yes
set ssl_verify_host=no
set certificate_file=%[4]s
set from=ada@localhost
set record=
set header_cache=
set history_file=
set sleep_time=0
set wait_key=no
set confirmcreate=no
set confirmappend=no
set delete=yes
set move=no
set quit=yes
set sort=mailbox-order
push '1<enter><display-message><exit>2<enter><flag-message>3<enter><delete-message>4<enter><save-message>=Kept<enter><sync-mailbox><quit>'
`

func TestMutt(t *testing.T) {
	need(t, "mutt", "script")
	n := startNode(t, nil)
	c := login(t, n, nil)
	for i := range 5 {
		store(t, c, "INBOX", mail(fmt.Sprint("letter ", i+1)))
	}
	dir := t.TempDir()
	rc := write(t, dir, "muttrc", fmt.Sprintf(muttrc, port(n.IMAP), user, password, n.CertFile))

	// Mutt wants a terminal: script gives it one.
	cmd := exec.CommandContext(t.Context(), "script", "--quiet", "--return", "--command", "mutt -n -F "+rc, "/dev/null")
	cmd.Env = append(os.Environ(), "TERM=xterm", "HOME="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("mutt: %v\n%q", err, out)
	}

	// Old is mutt's own keyword for what it has shown in its list only.
	want := map[string][]imap.Flag{
		"letter 1": {imap.FlagSeen},
		"letter 2": {"Old", imap.FlagFlagged},
		"letter 5": {"Old"},
	}
	if diff := cmp.Diff(want, flagsBySubject(t, c, "INBOX")); diff != "" {
		t.Errorf("INBOX (- want, + got):\n%s\nmutt's screen: %q", diff, out)
	}
	if _, ok := flagsBySubject(t, c, "Kept")["letter 4"]; !ok {
		t.Error("the saved letter is not in Kept")
	}
}
