package auth

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/starling-mail/starling/mailbox"
)

func TestAdd(t *testing.T) {
	s := newTestServer(t, nil)
	if s.alice.Name != "alice@example.org" || !slices.Equal(s.alice.Aliases, []string{"al@example.org"}) ||
		s.alice.Password != "" || s.alice.Account.IsZero() {
		t.Errorf("%+v", s.alice)
	}
	if stored := s.store.users[s.alice.Name]; !strings.HasPrefix(stored.Password, "$argon2id$") {
		t.Errorf("stored as %q", stored.Password)
	}
	u, err := s.Add(t.Context(), NewUser{Name: "root", Admin: true, Aliases: []string{"Root", "b", "a", "B"}})
	if err != nil || !u.Admin || !slices.Equal(u.Aliases, []string{"a@example.org", "b@example.org"}) {
		t.Errorf("%+v %v", u, err)
	}
	for name, c := range map[string]struct {
		n    NewUser
		want mailbox.Kind
	}{
		"taken":         {NewUser{Name: "ALICE"}, mailbox.AlreadyExists},
		"bad name":      {NewUser{Name: "a b"}, mailbox.Cannot},
		"bad alias":     {NewUser{Name: "x", Aliases: []string{"a b"}}, mailbox.Cannot},
		"long password": {NewUser{Name: "x", Password: strings.Repeat("x", MaxPasswordLen+1)}, mailbox.Cannot},
	} {
		if _, err := s.Add(t.Context(), c.n); mailbox.KindOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAdministration(t *testing.T) {
	s := newTestServer(t, func(o *Options) { o.Throttle.Disabled = true; o.Cache.Life = -1 })
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.SetPassword(ctx, "al", "new")) // by alias
	must(s.login(t, "new"))
	if err := s.SetPassword(ctx, "alice", ""); mailbox.KindOf(err) != mailbox.Cannot {
		t.Errorf("empty password: %v", err)
	}
	must(s.Disable(ctx, "alice"))
	if err := s.login(t, "new"); !errors.Is(err, ErrDisabled) {
		t.Error(err)
	}
	must(s.Enable(ctx, "alice"))
	must(s.login(t, "new"))
	must(s.SetAliases(ctx, "alice", []string{"alice", "lis"}))
	if got := s.store.users["alice@example.org"].Aliases; !slices.Equal(got, []string{"lis@example.org"}) {
		t.Errorf("aliases %q", got)
	}
	list, err := s.List(ctx)
	if must(err); len(list) != 1 || list[0].Password != "" {
		t.Errorf("%+v", list)
	}
	if err := s.Remove(ctx, "lis"); mailbox.KindOf(err) != mailbox.NonExistent {
		t.Errorf("removed by alias: %v", err)
	}
	must(s.Remove(ctx, "Alice"))
	for name, err := range map[string]error{
		"passwd": s.SetPassword(ctx, "alice", "x"), "disable": s.Disable(ctx, "alice"), "remove": s.Remove(ctx, "alice"),
	} {
		if mailbox.KindOf(err) != mailbox.NonExistent {
			t.Errorf("%s of nobody: %v", name, err)
		}
	}
}

// Two changes of one user at one time are both made.
func TestChangesAreNotLost(t *testing.T) {
	s := newTestServer(t, nil)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { _ = s.SetAliases(t.Context(), "alice", []string{"x"}) })
		all.Go(func() { _ = s.Disable(t.Context(), "alice") })
	}
	all.Wait()
	u := s.store.users["alice@example.org"]
	if !u.Disabled || !slices.Equal(u.Aliases, []string{"x@example.org"}) {
		t.Errorf("%+v", u)
	}
}
