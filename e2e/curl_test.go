package e2e

import (
	"net/url"
	"strings"
	"testing"
)

func TestCurl(t *testing.T) {
	need(t, "curl")
	n := startNode(t, nil)
	text := write(t, t.TempDir(), "upload.eml", mail("uploaded by curl"))
	base := "imaps://localhost:" + port(n.IMAPS) + "/"
	curl := func(t *testing.T, args ...string) string {
		t.Helper()
		return run(t, "curl", append([]string{"--silent", "--show-error", "--ipv4", "--cacert", n.CertFile, "--user", user + ":" + password}, args...)...)
	}
	want := func(t *testing.T, got, part string) {
		t.Helper()
		if !strings.Contains(got, part) {
			t.Errorf("got %q, which should have %q", got, part)
		}
	}

	want(t, curl(t, base), `LIST (`)
	curl(t, "--upload-file", text, base+"INBOX") // APPEND
	if got := curl(t, base+"INBOX;UID=1"); got != mail("uploaded by curl") {
		t.Errorf("FETCH gave %q", got)
	}
	want(t, curl(t, base+"INBOX;UID=1;SECTION=HEADER.FIELDS%20(SUBJECT)"), "Subject: uploaded by curl")
	want(t, curl(t, base+"INBOX?"+url.PathEscape("SUBJECT uploaded")), "* SEARCH 1")
	want(t, curl(t, base+"INBOX?"+url.PathEscape("SUBJECT nothing")), "* SEARCH")
	want(t, curl(t, "--request", "STATUS INBOX (MESSAGES UIDNEXT)", base), "MESSAGES 1")
	want(t, curl(t, "--request", "STORE 1 +Flags \\Deleted", base+"INBOX"), `\Deleted`)
	want(t, curl(t, "--request", "EXPUNGE", base+"INBOX"), "* 1 EXPUNGE")

	t.Run("starttls", func(t *testing.T) {
		want(t, curl(t, "--ssl-reqd", "imap://localhost:"+port(n.IMAP)+"/"), `LIST (`)
	})
	t.Run("plain on loopback", func(t *testing.T) {
		want(t, curl(t, "imap://127.0.0.1:"+port(n.IMAP)+"/"), `LIST (`)
	})
}
