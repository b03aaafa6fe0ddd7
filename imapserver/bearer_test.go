package imapserver_test

import (
	"context"
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/starling-mail/starling/auth"
	"github.com/starling-mail/starling/imapserver"
	"github.com/starling-mail/starling/mailbox"
)

// tokenAuth lets alice in with the token "good"; with others it fails as it is told.
type tokenAuth struct {
	store *foreign
	err   error
}

func (tokenAuth) Mechanisms() []string { return append(auth.Mechanisms(), auth.OAuthBearer) }

func (a tokenAuth) LoginAs(ctx context.Context, _ netip.Addr, c auth.Credentials) (mailbox.User, error) {
	if c.Token != "good" {
		return mailbox.User{}, a.err
	}
	return a.store.User(ctx, c.User)
}

// TestOAuthBearer goes through the exchange of RFC 7628 §3.2.
func TestOAuthBearer(t *testing.T) {
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	good, other := b64("n,a=alice,\x01auth=Bearer good\x01\x01"), b64("n,a=alice,\x01auth=Bearer other\x01\x01")
	asks := "+ " + b64(`{"status":"invalid_token"}`) + "\r\n"
	for name, c := range map[string]struct {
		err  error
		says []string
		want string // all that is answered, capabilities left out
	}{
		"initial":     {nil, []string{". AUTHENTICATE OAUTHBEARER " + good}, ". OK [] Logged in\r\n"},
		"asked":       {nil, []string{". AUTHENTICATE OAUTHBEARER", good}, "+ \r\n. OK [] Logged in\r\n"},
		"wrong":       {auth.ErrCredentials, []string{". AUTHENTICATE OAUTHBEARER " + other, "AQ=="}, asks + ". NO [AUTHENTICATIONFAILED] wrong user name or password\r\n"},
		"given up":    {auth.ErrCredentials, []string{". AUTHENTICATE OAUTHBEARER " + other, "*"}, asks + ". BAD authentication cancelled\r\n"},
		"expired":     {auth.ErrExpired, []string{". AUTHENTICATE OAUTHBEARER " + other}, ". NO [EXPIRED] the password has expired\r\n"},
		"throttled":   {auth.ErrThrottled, []string{". AUTHENTICATE OAUTHBEARER " + other}, ". NO [LIMIT] too many failed logins, try again later\r\n"},
		"unavailable": {&mailbox.Error{Kind: mailbox.Unavailable, Op: "login"}, []string{". AUTHENTICATE OAUTHBEARER " + other}, ". NO [UNAVAILABLE] temporarily unavailable\r\n"},
		"in use":      {&mailbox.Error{Kind: mailbox.InUse, Op: "login"}, []string{". AUTHENTICATE OAUTHBEARER " + other}, ". NO [INUSE] in use\r\n"},
		"malformed":   {nil, []string{". AUTHENTICATE OAUTHBEARER " + b64("alice")}, ". BAD malformed response\r\n"},
		"not offered": {nil, []string{". AUTHENTICATE XOAUTH2 " + good}, ". NO [CANNOT] unknown mechanism\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &foreign{}
				store.auth = tokenAuth{store, c.err}
				conn := serveForeign(t, store, imapserver.DefaultSettings()).Connect()
				synctest.Wait()
				if got := conn.Received(); !strings.Contains(got, " AUTH=PLAIN AUTH=LOGIN AUTH=OAUTHBEARER]") {
					t.Error(got)
				}
				for _, line := range c.says {
					conn.Send(line + "\r\n")
					synctest.Wait()
				}
				got := conn.Received()
				if before, rest, ok := strings.Cut(got, "[CAPABILITY "); ok {
					_, behind, _ := strings.Cut(rest, "]")
					got = before + "[]" + behind
				}
				if got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			})
		})
	}
}
