package auth

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestSASL(t *testing.T) {
	refused := errors.New("refused")
	for _, c := range []struct {
		name      string
		mechanism string
		responses []string // "-" stands for none
		want      []string // what login was given
		challenge []string
		err       error
	}{
		{"initial", "PLAIN", []string{"\x00alice\x00secret"}, []string{"", "alice", "secret"}, []string{""}, nil},
		{"without initial", "plain", []string{"-", "bob\x00alice\x00se cret"}, []string{"bob", "alice", "se cret"}, []string{"", ""}, nil},
		{"empty", "PLAIN", []string{""}, nil, nil, ErrSASL},
		{"two parts", "PLAIN", []string{"alice\x00secret"}, nil, nil, ErrSASL},
		{"four parts", "PLAIN", []string{"a\x00b\x00c\x00d"}, nil, nil, ErrSASL},
		{"long", "PLAIN", []string{"\x00alice\x00" + strings.Repeat("x", MaxResponseLen)}, nil, nil, ErrSASL},
		{"refused", "PLAIN", []string{"\x00refuse\x00x"}, []string{"", "refuse", "x"}, nil, refused},
		{"login", "LOGIN", []string{"-", "alice", "secret"}, []string{"", "alice", "secret"}, []string{"Username:", "Password:", ""}, nil},
		{"login initial", "login", []string{"alice", "secret"}, []string{"", "alice", "secret"}, []string{"Password:", ""}, nil},
		{"login refused", "LOGIN", []string{"-", "refuse", ""}, []string{"", "refuse", ""}, nil, refused},
		{"bearer", "OAUTHBEARER", []string{"n,a=al=2Cice=3D,\x01host=imap.example.org\x01port=143\x01x=y=z\x01auth=bearer tok.en~=\x01\x01"}, []string{"", "al,ice=", "tok.en~="}, []string{""}, nil},
		{"bearer without initial", "OAUTHBEARER", []string{"-", "y,a=alice,\x01auth=Bearer t\x01\x01"}, []string{"", "alice", "t"}, []string{"", ""}, nil},
		{"bearer refused", "OAUTHBEARER", []string{"n,a=refuse,\x01auth=Bearer t\x01\x01"}, []string{"", "refuse", "t"}, nil, refused},
		{"bearer wrong", "OAUTHBEARER", []string{"n,a=wrong,\x01auth=Bearer t\x01\x01", "\x01"}, []string{"", "wrong", "t"}, nil, ErrCredentials},
		{"bearer without user", "OAUTHBEARER", []string{"n,,\x01auth=Bearer t\x01\x01"}, nil, nil, ErrSASL},
		{"bearer with binding", "OAUTHBEARER", []string{"p=tls-unique,a=alice,\x01auth=Bearer t\x01\x01"}, nil, nil, ErrSASL},
		{"bearer with bad name", "OAUTHBEARER", []string{"n,a=al=20ice,\x01auth=Bearer t\x01\x01"}, nil, nil, ErrSASL},
		{"bearer with other scheme", "OAUTHBEARER", []string{"n,a=alice,\x01auth=Basic t\x01\x01"}, nil, nil, ErrSASL},
		{"bearer without token", "OAUTHBEARER", []string{"n,a=alice,\x01host=x\x01\x01"}, nil, nil, ErrSASL},
		{"bearer with two", "OAUTHBEARER", []string{"n,a=alice,\x01auth=Bearer t\x01auth=Bearer u\x01\x01"}, nil, nil, ErrSASL},
		{"bearer with line break", "OAUTHBEARER", []string{"n,a=alice,\x01auth=Bearer t\r\n\x01\x01"}, nil, nil, ErrSASL},
		{"bearer without end", "OAUTHBEARER", []string{"n,a=alice,\x01auth=Bearer t\x01"}, nil, nil, ErrSASL},
		{"bearer empty", "OAUTHBEARER", []string{""}, nil, nil, ErrSASL},
		{"bearer long", "OAUTHBEARER", []string{"n,a=alice,\x01auth=Bearer " + strings.Repeat("x", MaxTokenLen+1) + "\x01\x01"}, nil, nil, ErrSASL},
		{"xoauth2", "xoauth2", []string{"user=alice\x01auth=Bearer t\x01\x01"}, []string{"", "alice", "t"}, []string{""}, nil},
		{"xoauth2 wrong", "XOAUTH2", []string{"-", "user=wrong\x01auth=Bearer t\x01\x01", ""}, []string{"", "wrong", "t"}, nil, ErrCredentials},
		{"xoauth2 malformed", "XOAUTH2", []string{"alice\x01auth=Bearer t\x01\x01"}, nil, nil, ErrSASL},
		{"login long", "LOGIN", []string{"-", strings.Repeat("x", MaxResponseLen+1)}, nil, nil, ErrSASL},
	} {
		var got []string
		s, ok := NewSASLServer(c.mechanism, func(c Credentials) error {
			got = []string{c.Identity, c.User, c.secret()}
			switch c.User {
			case "refuse":
				return refused
			case "wrong":
				return ErrCredentials
			}
			return nil
		})
		if !ok {
			t.Fatalf("%s is not known", c.mechanism)
		}
		var challenges []string
		var done bool
		var err error
		for _, r := range c.responses {
			response := []byte(r)
			if r == "-" {
				response = nil
			}
			var challenge []byte
			challenge, done, err = s.Next(response)
			challenges = append(challenges, string(challenge))
		}
		if !errors.Is(err, c.err) || err == nil && !done {
			t.Errorf("%s: done %v, %v", c.name, done, err)
		}
		if !slices.Equal(got, c.want) || err == nil && !slices.Equal(challenges, c.challenge) {
			t.Errorf("%s: login %q, challenges %q", c.name, got, challenges)
		}
		if err == nil {
			if _, _, err := s.Next([]byte("more")); err == nil {
				t.Errorf("%s: goes on after its end", c.name)
			}
		}
	}
	if _, ok := NewSASLServer("CRAM-MD5", nil); ok {
		t.Error("CRAM-MD5 is known")
	}
	for _, m := range Mechanisms() {
		if _, ok := NewSASLServer(m, nil); !ok {
			t.Errorf("%s is not known", m)
		}
	}
}
