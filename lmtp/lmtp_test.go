package lmtp

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
)

const testMail = "From: Carol <carol@example.com>\r\nSubject: test\r\n\r\nHello\r\n.dot\r\n"

// send sends one mail and returns the reply for each recipient: its code and
// enhanced code, or "" where it was taken.
func send(t *testing.T, c *smtp.Client, from, text string, to ...string) map[string]string {
	t.Helper()
	replies := map[string]string{}
	if err := c.Mail(from, &smtp.MailOptions{UTF8: true}); err != nil {
		t.Fatal(err)
	}
	taken := 0
	for _, rcpt := range to {
		err := c.Rcpt(rcpt, nil)
		if replies[rcpt] = code(t, err); err == nil {
			taken++
		}
	}
	if taken == 0 {
		if err := c.Reset(); err != nil {
			t.Fatal(err)
		}
		return replies
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	_, err = w.CloseWithLMTPResponse()
	if all, ok := errors.AsType[smtp.LMTPDataError](err); ok {
		for rcpt, err := range all {
			replies[rcpt] = code(t, err)
		}
	} else if err != nil {
		t.Fatal(err)
	}
	return replies
}

func code(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	e, ok := errors.AsType[*smtp.SMTPError](err)
	if !ok {
		t.Fatalf("%v", err)
	}
	return fmt.Sprintf("%d %d.%d.%d", e.Code, e.EnhancedCode[0], e.EnhancedCode[1], e.EnhancedCode[2])
}

func TestDelivery(t *testing.T) {
	s := newTestServer(t, nil)
	if got := send(t, s.client(t), "carol@example.com", testMail, "Alice@example.org"); got["Alice@example.org"] != "" {
		t.Fatal(got)
	}
	mail := s.store.delivered("alice", "INBOX")
	want := regexp.MustCompile(`^Return-Path: <carol@example\.com>\r\n` +
		`Delivered-To: Alice@example\.org\r\n` +
		`Received: from client\.example\.org\r\n` +
		`\tby mx\.example\.org with UTF8LMTP id [A-Z2-7]{16}\r\n` +
		`\tfor <Alice@example\.org>; [A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}\r\n` +
		regexp.QuoteMeta(testMail) + `$`)
	if len(mail) != 1 || !want.MatchString(mail[0]) {
		t.Errorf("%q", mail)
	}
}

// RFC 2033 §4.2: one reply for each recipient, who may be there twice.
func TestEachRecipientHasAStatus(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Options)
		full   string
	}{
		"over quota for a time": {nil, "452 4.2.2"},
		"over quota for good":   {func(o *Options) { o.OverQuotaPermanent = true }, "552 5.2.2"},
	} {
		s := newTestServer(t, c.change)
		want := map[string]string{
			"alice@example.org":       "",
			"bob@example.org":         "",
			"zoë@example.org":         "",
			"ally@example.org":        "", // alice too: by which address it came, Delivered-To says
			"nobody@example.org":      "550 5.1.1",
			"alice@example.com":       "550 5.1.1",
			"disabled@example.org":    "450 4.2.1",
			"lookup-down@example.org": "451 4.3.0",
			"\"a b\"@example.org":     "553 5.1.3",
			"full@example.org":        c.full,
			"limited@example.org":     "452 4.3.1",
			"down@example.org":        "451 4.3.0",
			"unsure@example.org":      "451 4.3.0",
			"other@example.org":       "451 4.3.0",
			"big@example.org":         "552 5.3.4",
		}
		var to []string
		for rcpt := range want {
			to = append(to, rcpt)
		}
		got := send(t, s.client(t), "", testMail, to...)
		for rcpt := range want {
			if got[rcpt] != want[rcpt] {
				t.Errorf("%s: %s: %q, want %q", name, rcpt, got[rcpt], want[rcpt])
			}
		}
		for user, addresses := range map[string][]string{"alice": {"alice", "ally"}, "bob": {"bob"}, "full": nil, "down": nil} {
			mail := s.store.delivered(user, "INBOX")
			if len(mail) != len(addresses) {
				t.Errorf("%s: %s has %d messages, want %d", name, user, len(mail), len(addresses))
			}
			for _, a := range addresses {
				if !strings.Contains(strings.Join(mail, ""), "Return-Path: <>\r\nDelivered-To: "+a+"@example.org\r\n") {
					t.Errorf("%s: no mail for %s: %q", name, a, mail)
				}
			}
		}
	}
}

func TestDetail(t *testing.T) {
	for _, c := range []struct {
		to, want string
		ignore   bool
	}{
		{"alice+Work@example.org", "Work", false},
		{"alice+work@example.org", "Work", false}, // the only one but for case
		{"alice+lists/go@example.org", "lists/go", false},
		{"alice+a@example.org", "a", false}, // exactly
		{"alice+A@example.org", "A", false},
		{"alice+AB@example.org", "INBOX", false}, // ab and Ab: not clear which
		{"alice+inbox@example.org", "INBOX", false},
		{"alice+missing@example.org", "INBOX", false},
		{"alice+subscribed@example.org", "INBOX", false}, // but does not exist
		{"alice+@example.org", "INBOX", false},
		{"alice+*@example.org", "INBOX", false},
		{"\"alice+Old mail\"@example.org", "Old mail", false},
		{"alice+Work@example.org", "INBOX", true},
	} {
		s := newTestServer(t, func(o *Options) { o.IgnoreDetail = c.ignore })
		for _, name := range []string{"Work", "lists/go", "a", "A", "ab", "Ab", "Old mail"} {
			s.store.box("alice", name)
		}
		s.store.boxes = append(s.store.boxes, mailstoreInfo(s.store.account("alice"), "subscribed"))
		boxes := len(s.store.boxes)
		got := send(t, s.client(t), "", testMail, c.to)
		if got[c.to] != "" || len(s.store.delivered("alice", c.want)) != 1 {
			t.Errorf("%s: reply %q, not in %s", c.to, got[c.to], c.want)
		}
		if len(s.store.boxes) != boxes {
			t.Errorf("%s: a mailbox was created", c.to)
		}
	}
}

func TestSize(t *testing.T) {
	const limit = 300 << 10
	s := newTestServer(t, func(o *Options) { o.MaxMessage = limit })
	c := s.client(t)
	if n, ok := c.MaxMessageSize(); !ok || n < limit || n > limit+1 {
		t.Errorf("SIZE %d", n)
	}
	if got := code(t, c.Mail("", &smtp.MailOptions{Size: limit + 2})); got != "552 5.3.4" {
		t.Errorf("declared too big: %s", got)
	}
	fill := func(size int) string {
		return testMail + strings.Repeat("x", size-len(testMail)-2) + "\r\n" // one long line
	}
	for size, want := range map[int]string{limit: "", limit + 1: "552 5.3.4", limit + 2: "552 5.3.4", 2 * limit: "552 5.3.4",
		spoolMemory: "", spoolMemory - 1: "", spoolMemory + 1: ""} {
		before := len(s.store.delivered("bob", "INBOX"))
		got := send(t, c, "", fill(size), "bob@example.org", "alice@example.org")
		if got["bob@example.org"] != want || got["alice@example.org"] != want {
			t.Errorf("%d bytes: %q, want %q", size, got, want)
		}
		mail := s.store.delivered("bob", "INBOX")
		if taken := len(mail) > before; taken != (want == "") {
			t.Errorf("%d bytes: delivered: %v", size, taken)
		} else if taken && !strings.HasSuffix(mail[before], "\r\n"+fill(size)) {
			t.Errorf("%d bytes: message is changed", size)
		}
	}
}

func TestReset(t *testing.T) {
	s := newTestServer(t, nil)
	c := s.client(t)
	if err := errors.Join(c.Mail("", nil), c.Rcpt("alice@example.org", nil), c.Reset()); err != nil {
		t.Fatal(err)
	}
	send(t, c, "", testMail, "bob@example.org")
	if a, b := s.store.delivered("alice", "INBOX"), s.store.delivered("bob", "INBOX"); len(a) != 0 || len(b) != 1 {
		t.Errorf("alice has %d, bob has %d", len(a), len(b))
	}
}

// RFC 5321 §4.1.4: MAIL within a transaction is out of order, and the
// transaction goes on as it was.
func TestNestedMail(t *testing.T) {
	s := newTestServer(t, nil)
	d := s.talk(t)
	d.begin("alice@example.org")
	d.send("MAIL FROM:<>\r\n")
	d.expect("503 5.5.1 ")
	d.send("RCPT TO:<bob@example.org>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n")
	d.expect("250 ")
	d.expect("250 ")
	d.expect("354 ")
	d.send("x\r\n.\r\n")
	for _, rcpt := range []string{"alice", "bob", "alice"} {
		d.expect("250 2.0.0 <" + rcpt + "@example.org> ")
	}
	if a, b := s.store.delivered("alice", "INBOX"), s.store.delivered("bob", "INBOX"); len(a) != 2 || len(b) != 1 {
		t.Errorf("alice has %d, bob has %d", len(a), len(b))
	}
	d.send("MAIL FROM:<>\r\n") // the next transaction
	d.expect("250 ")
}

func TestMaxRecipients(t *testing.T) {
	s := newTestServer(t, func(o *Options) { o.MaxRecipients = 1 })
	got := send(t, s.client(t), "", testMail, "alice@example.org", "bob@example.org")
	if got["alice@example.org"] != "" || got["bob@example.org"] != "452 4.5.3" {
		t.Error(got)
	}
}
