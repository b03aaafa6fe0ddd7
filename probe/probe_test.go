package probe

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// options are those of a probe of fake nodes, whose patience is for a loaded machine.
func options(t *testing.T, nodes ...*fakeNode) Options {
	o := DefaultOptions()
	mail := new(fakeMail)
	for _, n := range nodes {
		n.mail = mail
		o.Nodes = append(o.Nodes, n.start(t))
	}
	o.User, o.Password, o.Count, o.Interval, o.Poll = "ada", "secret", 2, 0, time.Millisecond
	o.Wait, o.Timeout, o.MaxLatency = 10*time.Second, 10*time.Second, 10*time.Second
	return o
}

// check wants the mailbox deleted, and returns the figures.
func check(t *testing.T, n *fakeNode, r Report, err error) []Figures {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	n.mail.mu.Lock()
	defer n.mail.mu.Unlock()
	if n.mail.exists || n.mail.deleted != 1 {
		t.Errorf("the mailbox is there: %v; deleted %d times", n.mail.exists, n.mail.deleted)
	}
	return r.Figures
}

// TestProbe: every change in every direction is told, by IDLE and by polling.
func TestProbe(t *testing.T) {
	for name, idles := range map[string][]bool{"idle": {true, true, true}, "poll": {false, false}, "both": {true, false}} {
		t.Run(name, func(t *testing.T) {
			var nodes []*fakeNode
			for _, idle := range idles {
				nodes = append(nodes, &fakeNode{idles: idle})
			}
			o := options(t, nodes...)
			samples := 0
			o.Each = func(s Sample) { samples++ }
			r, err := Run(t.Context(), o)
			figures := check(t, nodes[0], r, err)
			want := len(idles) * (len(idles) - 1) * 3
			if len(figures) != want || samples != 2*want || !r.InTime() || r.Rounds != 2 {
				t.Errorf("%d figures, %d samples, in time: %v, %d rounds", len(figures), samples, r.InTime(), r.Rounds)
			}
			for _, f := range figures {
				if f.Told != 2 || f.Min <= 0 || f.Min > f.P50 || f.P50 > f.P99 || f.P99 > f.Max || f.From == f.To {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}

// TestOthersMessages: what is told of other messages is not taken for ours, nor do
// their expunges lead astray.
func TestOthersMessages(t *testing.T) {
	one, two := &fakeNode{idles: true, stale: true}, &fakeNode{idles: true, stale: true}
	r, err := Run(t.Context(), options(t, one, two))
	for _, f := range check(t, one, r, err) {
		if f.Told != 2 {
			t.Errorf("%+v", f)
		}
	}
}

// TestLag: an EXISTS is not enough: the message must be there.
func TestLag(t *testing.T) {
	one, two := &fakeNode{idles: true, lags: true}, &fakeNode{lags: true}
	r, err := Run(t.Context(), options(t, one, two))
	for _, f := range check(t, one, r, err) {
		if f.Told != 2 {
			t.Errorf("%+v", f)
		}
	}
}

// TestMissing: what a node does not tell is missing, and the rest of the probe
// goes on.
func TestMissing(t *testing.T) {
	for kind, word := range map[Kind]string{Append: "EXISTS", Flag: "FETCH", Expunge: "EXPUNGE"} {
		t.Run(kind.String(), func(t *testing.T) {
			one, mute := &fakeNode{idles: true}, &fakeNode{idles: true, silent: word}
			o := options(t, one, mute)
			o.Wait = 50 * time.Millisecond
			o.Nodes[0].Name, o.Nodes[1].Name = "one", "mute"
			r, err := Run(t.Context(), o)
			figures := check(t, one, r, err)
			if r.InTime() || r.Rounds != 2 {
				t.Errorf("in time: %v, %d rounds", r.InTime(), r.Rounds)
			}
			for _, f := range figures {
				if f.To == "mute" && f.Kind == kind && (f.Missing != 2 || f.Told != 0) {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}

// TestLate: what comes after the limit is late, and measured.
func TestLate(t *testing.T) {
	one, two := &fakeNode{idles: true}, &fakeNode{}
	o := options(t, one, two)
	o.MaxLatency, o.Count = time.Nanosecond, 1
	r, err := Run(t.Context(), o)
	for _, f := range check(t, one, r, err) {
		if f.Late != 1 || f.Told != 0 || f.Max == 0 {
			t.Errorf("%+v", f)
		}
	}
	if r.InTime() {
		t.Error("in time")
	}
}

// TestServerGoes: a node that closes the connection or stops answering, at any point, ends the
// probe with an error that says so; the other node deletes the mailbox.
func TestServerGoes(t *testing.T) {
	const gone = "lost|EOF|closed|reset|pipe"
	for _, command := range []string{"CAPABILITY", "LOGIN", "SELECT", "NOOP", "IDLE", "APPEND", "SEARCH", "UID SEARCH", "UID STORE", "EXPUNGE", telling} {
		for how, c := range map[string]struct {
			node fakeNode
			want string
		}{
			"dies":     {fakeNode{dies: command}, gone},
			"says BYE": {fakeNode{dies: command, bye: "out of order"}, "out of order|ended the connection|" + gone},
			"hangs":    {fakeNode{hangs: command}, "no answer in 1s"},
		} {
			if how == "hangs" && !slices.Contains([]string{"CAPABILITY", "NOOP", "IDLE", "APPEND", "UID STORE"}, command) {
				continue // the same again, and it takes its time
			}
			t.Run(how+" at "+command, func(t *testing.T) {
				t.Parallel()
				one, other := &fakeNode{idles: true}, &c.node
				other.idles = true
				o := options(t, one, other)
				if how == "hangs" {
					o.Timeout = time.Second
				}
				o.Nodes[1].Name = "other"
				_, err := Run(t.Context(), o)
				if err == nil || !strings.HasPrefix(err.Error(), "other: ") || !containsAny(err.Error(), c.want) {
					t.Fatalf("error %v, want %q", err, c.want)
				}
				one.mail.mu.Lock()
				defer one.mail.mu.Unlock()
				if one.mail.exists {
					t.Errorf("the mailbox is left: %v", err)
				}
			})
		}
	}
}

func containsAny(s, words string) bool {
	for w := range strings.SplitSeq(words, "|") {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

// TestNoProbe: what keeps a probe from being made is said.
func TestNoProbe(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"one node":       {func(o *Options) { o.Nodes = o.Nodes[:1] }, "two nodes"},
		"wrong password": {func(o *Options) { o.Password = "guess" }, "login of ada"},
		"beyond LOGIN":   {func(o *Options) { o.Password = "sécret" }, "ASCII"},
		"nobody listens": {func(o *Options) { o.Nodes[1].Addr = "127.0.0.1:1" }, "connection refused"},
		"no TLS there":   {func(o *Options) { o.Nodes[0].Security = ImplicitTLS }, "TLS: "},
		"no such host":   {func(o *Options) { o.Nodes[0].Addr = "nowhere.invalid:143" }, "nowhere.invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			one, two := &fakeNode{idles: true}, &fakeNode{idles: true}
			o := options(t, one, two)
			c.change(&o)
			if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	t.Run("mailbox exists", func(t *testing.T) {
		one, two := &fakeNode{idles: true}, &fakeNode{idles: true}
		o := options(t, one, two)
		one.mail.exists = true
		if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), `CREATE refused: "it is there already"`) {
			t.Errorf("error %v", err)
		}
		one.mail.mu.Lock()
		defer one.mail.mu.Unlock()
		if one.mail.deleted > 0 {
			t.Error("another's mailbox was deleted")
		}
	})
}

// TestStartTLSLacking: a server without STARTTLS gets a password on this machine only.
func TestStartTLSLacking(t *testing.T) {
	one, two := &fakeNode{idles: true}, &fakeNode{idles: true}
	o := options(t, one, two)
	o.Nodes[0].Security = StartTLS
	r, err := Run(t.Context(), o)
	check(t, one, r, err)
}

// TestInterrupt: when its context ends, a probe that waits returns what it has
// and leaves nothing behind.
func TestInterrupt(t *testing.T) {
	one, mute := &fakeNode{idles: true}, &fakeNode{idles: true, silent: "EXPUNGE"}
	o := options(t, one, mute)
	o.Wait, o.Count = time.Hour, 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Each = func(s Sample) {
		if s.Kind == Flag {
			cancel() // it waits for an expunge that is never told, or is about to
		}
	}
	r, err := Run(ctx, o)
	if figures := check(t, one, r, err); len(figures) != 2 || r.Rounds != 0 || !r.InTime() {
		t.Errorf("%+v", r)
	}
}

// TestInterruptEarly: a probe that has measured nothing does not look like a success.
func TestInterruptEarly(t *testing.T) {
	one, two := &fakeNode{idles: true}, &fakeNode{idles: true, hangs: "LOGIN"}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Run(ctx, options(t, one, two)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestParseNode(t *testing.T) {
	for s, want := range map[string]Node{
		"mail.example.org":       {"mail.example.org", "mail.example.org:993", ImplicitTLS},
		"mail.example.org:143":   {"mail.example.org:143", "mail.example.org:143", StartTLS},
		"imap://mail":            {"imap://mail", "mail:143", StartTLS},
		"imaps://[::1]":          {"imaps://[::1]", "[::1]:993", ImplicitTLS},
		"plain://127.0.0.1:1143": {"plain://127.0.0.1:1143", "127.0.0.1:1143", Plain},
		"n1=mail":                {"n1", "mail:993", ImplicitTLS},
		"n1=plain://mail:1":      {"n1", "mail:1", Plain},
		"=mail":                  {},
		"n1=":                    {},
		"http://mail":            {},
		"imaps://":               {},
		"imaps://mail/inbox":     {},
		"a:b:c":                  {},
	} {
		n, err := ParseNode(s)
		if n != want || (err == nil) != (want != Node{}) {
			t.Errorf("%s: %+v, %v", s, n, err)
		}
	}
}

// TestFigures: the percentiles are those of the sorted samples, and what is
// remembered is bounded.
func TestFigures(t *testing.T) {
	var c collection
	for i := range 100 {
		c.add(Sample{From: "a", To: "b", Latency: time.Duration(100-i) * time.Millisecond})
	}
	c.add(Sample{From: "a", To: "b", Outcome: Missing, Latency: time.Hour})
	f := c.figures()[0]
	if f.Min != time.Millisecond || f.P50 != 50*time.Millisecond || f.P99 != 99*time.Millisecond || f.Max != 100*time.Millisecond ||
		f.Told != 100 || f.Missing != 1 {
		t.Errorf("%+v", f)
	}
	b, err := json.Marshal(f)
	if want := `{"from":"a","to":"b","kind":"append","told":100,"late":0,"missing":1,"min_ms":1,"p50_ms":50,"p99_ms":99,"max_ms":100}`; string(b) != want {
		t.Errorf("%s, %v; want %s", b, err, want)
	}
	for range keep {
		c.add(Sample{From: "a", To: "b", Latency: time.Second})
	}
	if f = c.figures()[0]; f.P50 != time.Second || f.Min != time.Millisecond || len(c.list[0].latest) != keep {
		t.Errorf("%+v, %d remembered", f, len(c.list[0].latest))
	}
}
