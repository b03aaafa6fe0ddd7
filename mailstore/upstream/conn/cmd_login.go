package conn

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"strconv"

	"github.com/emersion/go-imap/v2"
)

// An Auth is one way to log in.
type Auth struct {
	mechanism string // empty for LOGIN
	user      string // LOGIN
	password  string
	initial   []byte // the client's first message
	giveUp    string // what answers a challenge that tells of a failure
}

// PasswordLogin is the LOGIN command (RFC 9051 §6.2.3).
func PasswordLogin(user, password string) Auth { return Auth{user: user, password: password} }

// SASLPlain is AUTHENTICATE PLAIN (RFC 4616 §2): user's password, acting as authzid if that is
// not empty. NUL must not be in any of them.
func SASLPlain(authzid, user, password string) Auth {
	return Auth{mechanism: "PLAIN", initial: []byte(authzid + "\x00" + user + "\x00" + password)}
}

// XOAuth2 is AUTHENTICATE XOAUTH2, of Google and Microsoft.
func XOAuth2(user, token string) Auth {
	return Auth{mechanism: "XOAUTH2", initial: []byte("user=" + user + "\x01auth=Bearer " + token + "\x01\x01")}
}

// OAuthBearer is AUTHENTICATE OAUTHBEARER (RFC 7628). Host and port are the server's;
// they may be empty and 0.
func OAuthBearer(user, host string, port int, token string) Auth {
	s := "n,a=" + saslName(user) + ",\x01"
	if host != "" {
		s += "host=" + host + "\x01"
	}
	if port != 0 {
		s += "port=" + strconv.Itoa(port) + "\x01"
	}
	return Auth{mechanism: "OAUTHBEARER", initial: []byte(s + "auth=Bearer " + token + "\x01\x01"), giveUp: "AQ=="}
}

// saslName writes a user name as OAUTHBEARER has it (RFC 7628).
func saslName(s string) string {
	var b []byte
	for i := range len(s) {
		switch s[i] {
		case ',':
			b = append(b, "=2C"...)
		case '=':
			b = append(b, "=3D"...)
		default:
			b = append(b, s[i])
		}
	}
	return string(b)
}

// Login logs in, and asks for the capabilities if the server does not tell them. A wrong
// password is a *StatusError, with CodeOf AUTHENTICATIONFAILED if the server is so kind. The
// Auth's secret is held no longer than the call.
func (c *Conn) Login(ctx context.Context, a Auth) error {
	finish, err := c.begin(ctx)
	if err != nil {
		return err
	}
	return finish(c.login(a))
}

func (c *Conn) login(a Auth) error {
	c.socket.patience(c.dialer.Timeouts.Login)
	defer c.socket.patience(c.dialer.Timeouts.Response)
	c.told = false
	if err := c.run([]Command{&authenticate{auth: a, atOnce: c.caps.Has(imap.CapSASLIR)}}); err != nil {
		return err
	}
	c.loggedIn = true
	return c.learn()
}

// LoggedIn reports whether Login has succeeded or was not needed.
func (c *Conn) LoggedIn() bool { return c.loggedIn }

// An authenticate is LOGIN or AUTHENTICATE (RFC 9051 §6.2.2).
type authenticate struct {
	Reply
	auth   Auth
	atOnce bool // SASL-IR (RFC 4959 §3)
}

func (a *authenticate) name() string {
	if a.auth.mechanism == "" {
		return "LOGIN"
	}
	return "AUTHENTICATE"
}

func (a *authenticate) write(w *writer) {
	w.secret = true
	if a.auth.mechanism == "" {
		w.raw("LOGIN ")
		w.string(a.auth.user)
		w.raw(" ")
		w.string(a.auth.password)
		return
	}
	w.raw("AUTHENTICATE ")
	w.raw(a.auth.mechanism)
	first := base64.StdEncoding.EncodeToString(a.auth.initial)
	if a.atOnce {
		w.raw(" ")
		w.raw(first)
	} else {
		w.raw("\r\n")
		if w.await(); w.dead() {
			return
		}
		w.secret = true
		w.raw(first)
	}
	w.raw("\r\n")
	// Whatever the server asks now is that we have failed, which we must say we
	// understood (RFC 7628).
	for range maxChallenges {
		if w.await(); w.dead() {
			return
		}
		w.raw(a.auth.giveUp)
		w.raw("\r\n")
	}
	w.fail(&ProtocolError{Msg: "AUTHENTICATE without end"})
}

// maxChallenges is how often a server may ask on; all mechanisms here need one.
const maxChallenges = 3

// Equal reports whether two are the same, in a time that does not tell where they differ.
func (a Auth) Equal(b Auth) bool {
	same := subtle.ConstantTimeCompare([]byte(a.password), []byte(b.password)) & subtle.ConstantTimeCompare(a.initial, b.initial)
	return same == 1 && a.mechanism == b.mechanism && a.user == b.user
}
