//go:build unix

package e2e

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/starling-mail/starling/blob/s3/s3test"
	"github.com/starling-mail/starling/e2e/node"
)

// TestS3 keeps large messages in an object store: another node reads them byte for byte, whole and in parts. Without the
// object store large messages are refused for a time and small ones are not; with it all goes on, and nothing that
// was acknowledged is missing.
func TestS3(t *testing.T) {
	server, err := s3test.Start()
	if errors.Is(err, s3test.ErrMissing) {
		if !strict() {
			t.Skip(err)
		}
		if err = s3test.Install(); err == nil {
			server, err = s3test.Start()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	secret := write(t, t.TempDir(), "secret", server.SecretKey+"\n")
	nodes := startNodes(t, 2, "2s", node.Settings{"store": {
		"kind": "postgres", "postgres": map[string]any{"dsn": startPostgres(t).URL("postgres"), "connections": 4},
		"s3": map[string]any{
			"endpoint": server.Endpoint, "bucket": server.Bucket, "prefix": "mail/", "region": "us-east-1",
			"access_key": server.AccessKey, "secret_key": "file:" + secret, "tls": false, "path_style": true, "timeout": "10s", "retries": 1,
		},
	}})
	one, two := login(t, nodes[0], nil), login(t, nodes[1], nil)
	data := make([]byte, 5_000_000)
	rand.NewChaCha8([32]byte{1}).Read(data)
	large := withAttachment("large", data)
	first := store(t, one, "INBOX", large).UID
	open(t, two, "INBOX")
	wantBody(t, two, first, large)

	// A part of a part.
	part := &imap.FetchItemBodySection{Part: []int{2}, Partial: &imap.SectionPartial{Offset: 3_000_000, Size: 777}, Peek: true}
	list, err := two.Fetch(imap.UIDSetNum(first), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{part}}).Collect()
	if err != nil || len(list) != 1 || len(list[0].BodySection) != 1 {
		t.Fatalf("a part of a part: %v", err)
	}
	encoded := large[strings.Index(large, base64Of(data)[:76]):]
	if got := string(list[0].BodySection[0].Bytes); got != encoded[3_000_000:][:777] {
		t.Errorf("a part of a part: %d bytes, not those that should be there", len(got))
	}

	server.Stop()
	unavailable := func(what string, err error) {
		t.Helper()
		if e, ok := errors.AsType[*imap.Error](err); !ok || e.Type != imap.StatusResponseTypeNo || e.Code != imap.ResponseCodeUnavailable {
			t.Errorf("%s without the object store: %v, want NO [UNAVAILABLE]", what, err)
		}
	}
	unavailable("a large message", tryStore(one, large))
	_, err = two.Fetch(imap.UIDSetNum(first), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{Peek: true}}}).Collect()
	unavailable("reading", err)
	small := store(t, one, "INBOX", mail("small")).UID // the connection is as good as before

	if err := server.Run(); err != nil {
		t.Fatal(err)
	}
	within(t, 30*time.Second, "large messages are taken again", func() bool { return tryStore(one, large) == nil })
	open(t, two, "INBOX")
	uids := uidsOf(t, two)
	if len(uids) != 3 || uids[0] != first || uids[1] != small {
		t.Fatalf("messages %v, want %d, %d and one more", uids, first, small)
	}
	wantBody(t, two, first, large)
	wantBody(t, two, small, mail("small"))
	wantBody(t, two, uids[2], large)
	if out, err := nodes[1].Run(t.Context(), "", "check-store", "--deep"); err != nil || !strings.HasPrefix(out, "0 faults") {
		t.Errorf("check-store: %v\n%s", err, out)
	}
}

// withAttachment makes a message of a text and an attachment in base64.
func withAttachment(subject string, data []byte) string {
	text := mail(subject)
	header, body, _ := strings.Cut(text, "\r\n\r\n")
	header, _, _ = strings.Cut(header, "MIME-Version")
	return header + "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=cut\r\n\r\n--cut\r\nContent-Type: text/plain\r\n\r\n" + body +
		"--cut\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64Of(data) + "\r\n--cut--\r\n"
}

// base64Of encodes data in lines of 76 characters.
func base64Of(data []byte) string {
	var b bytes.Buffer
	for text := base64.StdEncoding.EncodeToString(data); text != ""; {
		n := min(76, len(text))
		b.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	return b.String()
}

// wantBody reads a message of the selected mailbox and compares it.
func wantBody(t *testing.T, c *imapclient.Client, uid imap.UID, want string) {
	t.Helper()
	list, err := c.Fetch(imap.UIDSetNum(uid), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{Peek: true}}}).Collect()
	if err != nil || len(list) != 1 || len(list[0].BodySection) != 1 {
		t.Fatalf("message %d: %d messages, %v", uid, len(list), err)
	}
	if got := string(list[0].BodySection[0].Bytes); got != want {
		t.Errorf("message %d: %d bytes, want %d, or others", uid, len(got), len(want))
	}
}

// tryStore appends a message to INBOX.
func tryStore(c *imapclient.Client, text string) error {
	cmd := c.Append("INBOX", int64(len(text)), nil)
	if _, err := cmd.Write([]byte(text)); err != nil {
		return err
	}
	if err := cmd.Close(); err != nil {
		return err
	}
	_, err := cmd.Wait()
	return err
}
