package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/mailbox"
)

// fakeUpstreams serve all users of far.example.
type fakeUpstreams struct {
	err     error
	asked   []Credentials
	names   []string
	account mailbox.AccountID
}

func (f *fakeUpstreams) Serves(name string) bool { return strings.HasSuffix(name, "@far.example") }
func (f *fakeUpstreams) Mechanisms() []string    { return []string{XOAuth2} }

func (f *fakeUpstreams) Verify(_ context.Context, _ netip.Addr, name string, c Credentials) (mailbox.User, error) {
	f.asked, f.names = append(f.asked, c), append(f.names, name)
	if f.err != nil {
		return mailbox.User{}, f.err
	}
	return mailbox.User{Name: name, Account: f.account}, nil
}

func newUpstreamAuth(t *testing.T, log *bytes.Buffer) (*Authenticator, *fakeUpstreams, *fakeStore) {
	up, store := &fakeUpstreams{account: mailbox.NewAccountID()}, &fakeStore{users: map[string]mailbox.User{}}
	return New(Options{Users: store, Names: newTestNames(t), Hasher: newTestHasher(t), Upstreams: up, Log: zerolog.New(log)}), up, store
}

// TestUpstreamLogin shows that an upstream's users are verified by it each time, with what the client has shown, and others never.
func TestUpstreamLogin(t *testing.T) {
	var log bytes.Buffer
	a, up, store := newUpstreamAuth(t, &log)
	for _, c := range []Credentials{
		{User: "Bob@far.example", Password: "one"},
		{User: "Bob@far.example", Password: "one"}, // nothing is remembered
		{User: "bob@far.example", Token: "two", Mechanism: XOAuth2},
		{User: "bob@far.example", Password: "one", Identity: "carol@far.example"},
		{User: "bob@far.example", Password: strings.Repeat("x", 2*MaxPasswordLen)}, // the upstream's limits are its own
	} {
		up.asked = nil
		u, err := a.LoginAs(t.Context(), testRemote, c)
		if err != nil || u.Account != up.account || u.Name != "bob@far.example" {
			t.Fatalf("%q: %v, %v", c.User, u, err)
		}
		if !slices.Equal(up.asked, []Credentials{c}) {
			t.Errorf("the upstream was asked %d times, or for something else", len(up.asked))
		}
	}
	if store.count() != 0 {
		t.Error("the store was asked for an upstream's user")
	}
	up.asked = nil
	for _, c := range []Credentials{{User: "alice", Password: "x"}, {User: "alice", Token: "x", Mechanism: XOAuth2}, {User: "", Password: "x"}} {
		if _, err := a.LoginAs(t.Context(), netip.Addr{}, c); !errors.Is(err, ErrCredentials) {
			t.Errorf("%q: %v", c.User, err)
		}
	}
	if len(up.asked) != 0 {
		t.Error("the upstream was asked for somebody else's user")
	}
	if got := a.Mechanisms(); !slices.Equal(got, []string{"PLAIN", "LOGIN", "XOAUTH2"}) {
		t.Error(got)
	}
}

// TestTokenIsNoPassword shows that a local user's password, remembered from a login, does not pass as a token.
func TestTokenIsNoPassword(t *testing.T) {
	s := newTestServer(t, nil)
	for _, c := range []struct {
		Credentials
		want error
	}{
		{Credentials{User: "alice", Password: "secret"}, nil},
		{Credentials{User: "alice", Token: "secret", Mechanism: OAuthBearer}, ErrCredentials},
	} {
		if _, err := s.LoginAs(t.Context(), testRemote, c.Credentials); !errors.Is(err, c.want) {
			t.Errorf("%v, want %v", err, c.want)
		}
	}
}

// TestUpstreamRefuses shows what becomes of an upstream's refusals: only wrong credentials are held against anybody.
func TestUpstreamRefuses(t *testing.T) {
	for _, c := range []struct {
		err    error
		counts bool // against the user
	}{
		{ErrCredentials, true},
		{ErrDisabled, false},
		{ErrExpired, false},
		{&mailbox.Error{Kind: mailbox.Unavailable, Op: "login"}, false},
		{&mailbox.Error{Kind: mailbox.NoPerm, Op: "login"}, false},
		{&mailbox.Error{Kind: mailbox.Limit, Op: "login"}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			a, up, _ := newUpstreamAuth(t, &log)
			up.err = c.err
			start := time.Now()
			for i := range 4 {
				shown := Credentials{User: "bob@far.example", Password: fmt.Sprint("geheim", i)}
				if _, err := a.LoginAs(t.Context(), testRemote, shown); !errors.Is(err, c.err) {
					t.Errorf("%v became %v", c.err, err)
				}
			}
			if waited := time.Since(start) > 0; waited != c.counts {
				t.Errorf("%v: waited %v", c.err, time.Since(start))
			}
			if got := strings.Count(log.String(), "authentication failed") > 0; got != c.counts {
				t.Errorf("%v: logged %q", c.err, log.String())
			}
			if strings.Contains(log.String(), "geheim") {
				t.Errorf("a password is in the log: %s", log.String())
			}
		})
	}
}

func TestCredentialsSayNothing(t *testing.T) {
	c := Credentials{User: "bob", Password: "geheim", Token: "geheim"}
	if s := fmt.Sprintf("%v %+v %#v %s", c, c, c, &c); strings.Contains(s, "geheim") {
		t.Error(s)
	}
}
