package auth

import (
	"context"
	"strings"
	"testing"

	"github.com/starling-mail/starling/mailbox"
)

// reference is from the test suite of the reference implementation of Argon2.
const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

func TestVerifyReference(t *testing.T) {
	h := newTestHasher(t)
	for password, want := range map[string]bool{"password": true, "passwore": false} {
		if got, err := h.Verify(t.Context(), reference, password); got != want || err != nil {
			t.Errorf("%q: %v %v", password, got, err)
		}
	}
	if !h.NeedsRehash(reference) {
		t.Error("other parameters need no rehash")
	}
}

func TestHash(t *testing.T) {
	h := newTestHasher(t)
	one, err := h.Hash(t.Context(), "пароль é")
	if err != nil {
		t.Fatal(err)
	}
	two, err := h.Hash(t.Context(), "пароль é")
	if err != nil || one == two {
		t.Errorf("salt is not random: %v", err)
	}
	if !strings.HasPrefix(one, "$argon2id$v=19$m=8,t=1,p=1$") || h.NeedsRehash(one) {
		t.Error(one)
	}
	for password, want := range map[string]bool{
		"пароль é":           true,
		"пароль e\u0301":     true, // the same in NFD (RFC 8265 §4.2)
		"пароль\u00a0é":      true, // another space
		"Пароль é":           false,
		"пароль  é":          false,
		"пароль é\x00":       false,
		"пароль e\u0301\xff": false,
	} {
		if got, err := h.Verify(t.Context(), one, password); got != want || err != nil {
			t.Errorf("%q: %v %v", password, got, err)
		}
	}
}

func TestDefaultCost(t *testing.T) {
	h, err := NewHasher(HashOptions{})
	if err != nil {
		t.Fatal(err)
	}
	hash, err := h.Hash(t.Context(), "x")
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Error(hash, err)
	}
}

func TestHostileHashes(t *testing.T) {
	h := newTestHasher(t)
	const salt, key = "c29tZXNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	for _, hash := range []string{
		"", "$", "secret", "$1$abc$def", "{SHA}x",
		"$argon2i$v=19$m=8,t=1,p=1$" + salt + "$" + key,
		"$argon2id$v=16$m=8,t=1,p=1$" + salt + "$" + key,
		"$argon2id$m=8,t=1,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=4294967295,t=1,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=1048577,t=1,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=1048576,t=64,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=8,t=4294967295,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=8,t=0,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=8,t=1,p=0$" + salt + "$" + key,
		"$argon2id$v=19$m=8,t=1,p=2$" + salt + "$" + key,
		"$argon2id$v=19$m=8,t=1,p=256$" + salt + "$" + key,
		"$argon2id$v=19$m=+8,t=1,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=08,t=1,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=8,t=1,p=1,x=2$" + salt + "$" + key,
		"$argon2id$v=19$m=8,t=1,p=1$$" + key,
		"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$",
		"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + key + "$",
		"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + strings.Repeat("A", 1<<20),
		"$argon2id$v=19$m=8,t=1,p=1$" + strings.Repeat("A", 1<<20) + "$" + key,
	} {
		if ok, err := h.Verify(t.Context(), hash, ""); ok || mailbox.KindOf(err) != mailbox.Corrupt {
			t.Errorf("%.80s: %v %v", hash, ok, err)
		}
	}
	for _, o := range []HashOptions{{Memory: 1 << 21}, {Time: 65}, {Memory: 8, Threads: 2}, {Memory: 1 << 20, Time: 5}} {
		if _, err := NewHasher(o); mailbox.KindOf(err) != mailbox.Cannot {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// Only so many hashes are computed at one time: the others wait, and give up
// with their context. One that is dearer than the budget has its turn too.
func TestHashesTakeTurns(t *testing.T) {
	h, err := NewHasher(HashOptions{Memory: 64, Time: 1, Concurrent: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.memory.Acquire(t.Context(), 2*64); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Hash(ctx, "x"); mailbox.KindOf(err) != mailbox.Unavailable {
		t.Error(err)
	}
	h.memory.Release(2 * 64)
	if ok, err := h.Verify(t.Context(), reference, "password"); !ok || err != nil {
		t.Error(ok, err)
	}
}

func FuzzPHC(f *testing.F) {
	f.Add(reference)
	f.Add("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parsePHC(s)
		if err != nil {
			return
		}
		if h.String() != s {
			t.Errorf("%q is read as %q", s, h)
		}
		if h.check() != nil {
			t.Errorf("%q is out of bounds", s)
		}
	})
}

func BenchmarkHash(b *testing.B) {
	h, err := NewHasher(HashOptions{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := h.Hash(b.Context(), "secret"); err != nil {
			b.Fatal(err)
		}
	}
}
