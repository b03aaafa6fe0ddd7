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
		{"login long", "LOGIN", []string{"-", strings.Repeat("x", MaxResponseLen+1)}, nil, nil, ErrSASL},
	} {
		var got []string
		s, ok := NewSASLServer(c.mechanism, func(authzid, user, password string) error {
			got = []string{authzid, user, password}
			if user == "refuse" {
				return refused
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
