package auth

import (
	"errors"
	"strings"

	"github.com/emersion/go-sasl"
)

// MaxResponseLen is the longest response of a SASL client that is accepted, in
// bytes after base64: two names, a password, and what lies between them.
const MaxResponseLen = 2*MaxNameLen + MaxPasswordLen + 2

// ErrSASL says that a client's response is not what its mechanism asks for.
var ErrSASL = errors.New("malformed SASL response")

// Mechanisms are the names of those that take a password, as AUTH= capabilities tell them.
func Mechanisms() []string { return []string{sasl.Plain, sasl.Login} }

// NewSASLServer returns the server side of a mechanism for one exchange, or
// false if it is not known. When the client has told everything, login is called once
// and its error ends the exchange, with a token after one more round.
func NewSASLServer(mechanism string, login func(Credentials) error) (sasl.Server, bool) {
	switch strings.ToUpper(mechanism) {
	case sasl.Plain:
		return &plainServer{sasl.NewPlainServer(func(identity, user, password string) error {
			return login(Credentials{Identity: identity, User: user, Password: password})
		})}, true
	case sasl.Login:
		return &loginServer{login: login}, true
	case OAuthBearer:
		return &bearerServer{mechanism: OAuthBearer, parse: parseOAuthBearer, login: login}, true
	case XOAuth2:
		return &bearerServer{mechanism: XOAuth2, parse: parseXOAuth2, login: login}, true
	}
	return nil, false
}

// A plainServer is go-sasl's with its input bounded.
type plainServer struct{ sasl.Server }

func (s *plainServer) Next(response []byte) ([]byte, bool, error) {
	// RFC 4616 §2: two NULs, a password that is not empty.
	if response != nil && (len(response) > MaxResponseLen || strings.Count(string(response), "\x00") != 2) {
		return nil, false, ErrSASL
	}
	return s.Server.Next(response)
}

// A loginServer asks for the name and then for the password
// (draft-murchison-sasl-login): obsolete, but some clients know nothing else.
type loginServer struct {
	login func(Credentials) error
	asked int // challenges sent
	user  string
}

func (s *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if len(response) > MaxResponseLen {
		return nil, false, ErrSASL
	}
	if s.asked == 0 {
		s.asked++
		if response == nil { // no initial response: ask
			return []byte("Username:"), false, nil
		}
	}
	switch s.asked {
	case 1:
		s.asked, s.user = 2, string(response)
		return []byte("Password:"), false, nil
	case 2:
		s.asked = 3
		return nil, true, s.login(Credentials{User: s.user, Password: string(response)})
	}
	return nil, false, sasl.ErrUnexpectedClientResponse
}
