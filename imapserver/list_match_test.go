package imapserver

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestPattern compares match with a regular expression (RFC 9051 §6.3.9).
func TestPattern(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.StringMatching(`[ab/*%]{0,8}`).Draw(t, "pattern")
		name := rapid.StringMatching(`[ab]{1,3}(/[ab]{1,3}){0,3}`).Draw(t, "name")
		re := regexp.MustCompile("^" + strings.NewReplacer("*", ".*", "%", "[^/]*").Replace(p) + "$")
		if got, want := newPattern(p).match(name), re.MatchString(name); got != want {
			t.Fatalf("%q matches %q: %v, want %v", p, name, got, want)
		}
	})
}

func TestPatternInbox(t *testing.T) {
	for p, want := range map[string]bool{"inbox": true, "InB*": true, "%": true, "in/*": false, "INBOX/x": false} {
		if ps, err := newPatterns("", []string{p}); err != nil || ps.match("INBOX") != want {
			t.Errorf("%q matches INBOX: %v, %v", p, !want, err)
		}
	}
	if ps, err := newPatterns("inbox/", []string{"%"}); err != nil || !ps.match("INBOX/sub") {
		t.Error("inbox/% does not match INBOX/sub", err)
	}
	if _, err := newPatterns("", []string{strings.Repeat("x", maxPatterns+1)}); err == nil {
		t.Error("a pattern of any length is accepted")
	}
}

// TestPatternIsNotExponential: a pattern made to go back and forth is refused in
// bounded time. The bound is generous; an exponential match would take years.
func TestPatternIsNotExponential(t *testing.T) {
	done := make(chan bool)
	go func() { done <- newPattern(strings.Repeat("*a", 400) + "b").match(strings.Repeat("a", 1000)) }()
	select {
	case matched := <-done:
		if matched {
			t.Error("matched")
		}
	case <-time.After(time.Minute):
		t.Fatal("no end in sight")
	}
}
