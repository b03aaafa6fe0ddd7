package auth

import (
	"strings"
	"testing"
)

// FuzzBearer shows that what the parsers of tokens let through can be handed on: it fits its bounds and breaks no line.
func FuzzBearer(f *testing.F) {
	f.Add("n,a=al=2Cice=3D,\x01host=imap.example.org\x01port=143\x01auth=Bearer tok.en\x01\x01")
	f.Add("user=alice\x01auth=Bearer t\x01\x01")
	f.Add("y,,\x01auth=bearer \x01\x01")
	f.Fuzz(func(t *testing.T, response string) {
		for _, mechanism := range []string{OAuthBearer, XOAuth2} {
			s, _ := NewSASLServer(mechanism, func(c Credentials) error {
				if c.Token == "" || len(c.Token) > MaxTokenLen || strings.ContainsAny(c.Token, "\x00\x01\r\n ") || strings.Contains(c.User, "\x01") || c.Password != "" {
					t.Errorf("%q was understood as %q, %q", response, c.User, c.Token)
				}
				return ErrCredentials
			})
			challenge, done, err := s.Next([]byte(response))
			if err == nil && (done || string(challenge) != invalidToken) {
				t.Errorf("%q: %q, %v", response, challenge, done)
			}
		}
	})
}
