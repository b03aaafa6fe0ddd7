package auth

import (
	"errors"
	"strings"

	"github.com/emersion/go-sasl"
)

// The mechanisms with tokens. Only upstreams verify those.
const (
	OAuthBearer = sasl.OAuthBearer // RFC 7628
	XOAuth2     = "XOAUTH2"        // Google's and Microsoft's, older
)

// MaxTokenLen is the longest token that is accepted, in bytes.
const MaxTokenLen = 8 << 10

// invalidToken is what a client is told of a token that was refused (RFC 7628 §3.2.2). It has to answer
// before the exchange can fail.
const invalidToken = `{"status":"invalid_token"}`

// A bearerServer is the server side of OAUTHBEARER and XOAUTH2. The client speaks first, and once.
type bearerServer struct {
	mechanism string
	parse     func(response string) (Credentials, bool)
	login     func(Credentials) error
	asked     bool
	spoken    bool
	failed    error // told, but not acknowledged
}

func (s *bearerServer) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case s.failed != nil:
		return nil, true, s.failed // whatever the client says to it
	case s.spoken:
		return nil, false, sasl.ErrUnexpectedClientResponse
	case response == nil && !s.asked:
		s.asked = true
		return nil, false, nil
	case len(response) > MaxTokenLen+2*MaxNameLen:
		return nil, false, ErrSASL
	}
	s.spoken = true
	c, ok := s.parse(string(response))
	if !ok || len(c.Token) > MaxTokenLen {
		return nil, false, ErrSASL
	}
	c.Mechanism = s.mechanism
	err = s.login(c)
	if errors.Is(err, ErrCredentials) {
		s.failed = err
		return []byte(invalidToken), false, nil
	}
	return nil, true, err
}

// parseOAuthBearer reads "n,a=user,^Ahost=...^Aport=...^Aauth=Bearer token^A^A" (RFC 7628 §3.1). The user
// must be told: without it nobody knows which server to ask.
func parseOAuthBearer(s string) (c Credentials, ok bool) {
	header, pairs, ok := strings.Cut(s, "\x01")
	binding, rest, more := strings.Cut(header, ",")
	name, behind, end := strings.Cut(rest, ",")
	name, named := strings.CutPrefix(name, "a=")
	if !ok || !more || !end || behind != "" || !named || binding != "n" && binding != "y" {
		return c, false
	}
	if c.User, ok = readSASLName(name); !ok {
		return c, false
	}
	ok = readPairs(&c, pairs)
	return c, ok
}

// parseXOAuth2 reads "user=name^Aauth=Bearer token^A^A".
func parseXOAuth2(s string) (c Credentials, ok bool) {
	user, pairs, _ := strings.Cut(s, "\x01")
	if c.User, ok = strings.CutPrefix(user, "user="); !ok {
		return c, false
	}
	ok = readPairs(&c, pairs)
	return c, ok
}

// readPairs reads "key=value^A" as often as it comes, and "^A". Unknown keys are ignored (RFC 7628 §3.1).
func readPairs(c *Credentials, s string) bool {
	s, ended := strings.CutSuffix(s, "\x01\x01")
	if !ended {
		return false
	}
	for pair := range strings.SplitSeq(s, "\x01") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return false
		}
		if key != "auth" {
			continue
		}
		scheme, token, ok := strings.Cut(value, " ")
		if !ok || !strings.EqualFold(scheme, "Bearer") || c.Token != "" {
			return false
		}
		c.Token = strings.TrimLeft(token, " ")
	}
	return c.Token != "" && strings.IndexFunc(c.Token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) < 0
}

// readSASLName decodes a saslname (RFC 5801 §4): "=2C" is a comma, "=3D" an equals sign.
func readSASLName(s string) (string, bool) {
	plain := strings.NewReplacer("=2C", ",", "=3D", "=").Replace(s)
	return plain, plain != "" && strings.Count(s, "=") == strings.Count(s, "=2C")+strings.Count(s, "=3D")
}
