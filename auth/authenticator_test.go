package auth

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starling-mail/starling/mailbox"
)

// A fakeStore keeps users in memory. What it is asked may be intercepted.
type fakeStore struct {
	mu    sync.Mutex
	users map[string]mailbox.User
	asked int
	fail  error
	read  func() // called after a user was read, without the lock
}

func (f *fakeStore) User(_ context.Context, name string) (mailbox.User, error) {
	f.mu.Lock()
	u, err := f.find(name)
	f.asked++
	fail, read := f.fail, f.read
	f.mu.Unlock()
	if read != nil {
		read()
	}
	if fail != nil {
		return mailbox.User{}, fail
	}
	return u, err
}

func (f *fakeStore) find(name string) (mailbox.User, error) {
	for _, u := range f.users {
		if u.Name == name {
			return u, nil
		}
		for _, a := range u.Aliases {
			if a == name {
				return u, nil
			}
		}
	}
	return mailbox.User{}, &mailbox.Error{Kind: mailbox.NonExistent, Op: "user"}
}

func (f *fakeStore) UserList(context.Context) (list []mailbox.User, err error) {
	for _, u := range f.users {
		list = append(list, u)
	}
	return list, f.fail
}

func (f *fakeStore) AddUser(_ context.Context, u mailbox.User) (mailbox.User, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.find(u.Name); err == nil {
		return mailbox.User{}, &mailbox.Error{Kind: mailbox.AlreadyExists, Op: "add user"}
	}
	u.Account = mailbox.NewAccountID()
	f.users[u.Name] = u
	return u, nil
}

func (f *fakeStore) UpdateUser(_ context.Context, u mailbox.User) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.users[u.Name] = u
	return nil
}

func (f *fakeStore) RemoveUser(_ context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.users[name]; !ok {
		return &mailbox.Error{Kind: mailbox.NonExistent, Op: "remove user"}
	}
	delete(f.users, name)
	return nil
}

func (f *fakeStore) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// A testServer is an Authenticator and a Service over one store that knows
// alice@example.org (alias al@example.org, password "secret").
type testServer struct {
	*Authenticator
	*Service
	store *fakeStore
	alice mailbox.User
}

var testRemote = netip.MustParseAddr("192.0.2.1")

func newTestHasher(t testing.TB) *Hasher {
	t.Helper()
	h, err := NewHasher(HashOptions{Memory: 8, Time: 1})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func newTestNames(t testing.TB) *Normalizer {
	t.Helper()
	n, err := NewNormalizer(NameOptions{DefaultDomain: "example.org", Separators: "+"})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func newTestServer(t testing.TB, change func(*Options)) *testServer {
	t.Helper()
	store := &fakeStore{users: map[string]mailbox.User{}}
	o := Options{Users: store, Names: newTestNames(t), Hasher: newTestHasher(t)}
	if change != nil {
		change(&o)
	}
	s := &testServer{New(o), NewService(store, o.Names, o.Hasher), store, mailbox.User{}}
	var err error
	if s.alice, err = s.Add(t.Context(), NewUser{Name: "Alice", Password: "secret", Aliases: []string{"al"}}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *testServer) login(t testing.TB, password string) error {
	t.Helper()
	u, err := s.Login(t.Context(), testRemote, "alice", password)
	if err == nil && u.Account != s.alice.Account {
		t.Errorf("logged in as %s", u.Name)
	}
	return err
}

func TestLogin(t *testing.T) {
	s := newTestServer(t, func(o *Options) { o.Throttle.Disabled = true })
	if _, err := s.Add(t.Context(), NewUser{Name: "dora", Password: "secret"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Disable(t.Context(), "dora"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Add(t.Context(), NewUser{Name: "none"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		user, password string
		want           error
	}{
		{"alice", "secret", nil},
		{"ALICE@Example.ORG", "secret", nil},
		{"al", "secret", nil},
		{"alice", "Secret", ErrCredentials},
		{"alice", "secret", nil},
		{"alice", "", ErrCredentials},
		{"alice@example.com", "secret", ErrCredentials},
		{"bob", "secret", ErrCredentials},
		{"", "secret", ErrCredentials},
		{"al ice", "secret", ErrCredentials},
		{"none", "", ErrCredentials},
		{"dora", "secret", ErrDisabled},
		{"dora", "wrong", ErrCredentials}, // says nothing of the account
		{"alice", string(make([]byte, MaxPasswordLen+1)), ErrCredentials},
	} {
		if u, err := s.Login(t.Context(), testRemote, c.user, c.password); !errors.Is(err, c.want) {
			t.Errorf("%q %.10q: %v, want %v", c.user, c.password, err, c.want)
		} else if err != nil && u.Name != "" && err != ErrDisabled {
			t.Errorf("%q: user %q beside an error", c.user, u.Name)
		}
	}
}

func TestLoginAs(t *testing.T) {
	s := newTestServer(t, nil)
	for authzid, want := range map[string]mailbox.Kind{
		"": mailbox.Other, "alice": mailbox.Other, "Alice@example.org": mailbox.Other, "al": mailbox.Other,
		"bob": mailbox.NoPerm, "b b": mailbox.NoPerm,
	} {
		_, err := s.LoginAs(t.Context(), testRemote, Credentials{Identity: authzid, User: "alice", Password: "secret"})
		if mailbox.KindOf(err) != want || (err == nil) != (want == mailbox.Other) {
			t.Errorf("as %q: %v", authzid, err)
		}
	}
	if _, err := s.LoginAs(t.Context(), testRemote, Credentials{Identity: "alice", User: "alice", Password: "wrong"}); !errors.Is(err, ErrCredentials) {
		t.Error(err)
	}
}

// A store that is down is neither a wrong password nor held against anybody.
func TestStoreDown(t *testing.T) {
	s := newTestServer(t, nil)
	s.store.fail = &mailbox.Error{Kind: mailbox.Unavailable, Op: "user"}
	for range 3 {
		if err := s.login(t, "secret"); mailbox.KindOf(err) != mailbox.Unavailable {
			t.Fatal(err)
		}
	}
	s.store.fail = nil
	if d, ok := s.throttle.reserve("alice@example.org", s.throttle.prefix(testRemote), time.Now()); d != 0 || !ok {
		t.Errorf("delay %v", d)
	}
}

// Whoever is not there costs a hash like whoever is: with the hasher occupied,
// neither is answered.
func TestUnknownUserCostsAHash(t *testing.T) {
	s := newTestServer(t, func(o *Options) { o.Throttle.Disabled = true })
	h := s.Authenticator.hasher
	if err := h.memory.Acquire(t.Context(), h.budget); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, user := range []string{"alice", "nobody", "b b"} {
		if _, err := s.Login(ctx, testRemote, user, "wrong"); mailbox.KindOf(err) != mailbox.Unavailable {
			t.Errorf("%s: %v", user, err)
		}
	}
}

func TestCacheSavesStoreAndHash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, func(o *Options) { o.Cache.Life = time.Minute })
		for range 5 {
			if err := s.login(t, "secret"); err != nil {
				t.Fatal(err)
			}
		}
		if n := s.store.count(); n != 1 {
			t.Errorf("the store was asked %d times", n)
		}
		if err := s.login(t, "other"); !errors.Is(err, ErrCredentials) {
			t.Error(err)
		}
		time.Sleep(time.Minute + 1)
		asked := s.store.count()
		if err := s.login(t, "secret"); err != nil || s.store.count() != asked+1 {
			t.Errorf("%v, asked %d times", err, s.store.count()-asked)
		}
	})
}

func TestChangedCredentialsAreForgotten(t *testing.T) {
	s := newTestServer(t, func(o *Options) { o.Throttle.Disabled = true })
	if err := s.login(t, "secret"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Login(t.Context(), testRemote, "al", "secret"); err != nil {
		t.Fatal(err)
	}
	if err := s.SetPassword(t.Context(), "al", "new"); err != nil {
		t.Fatal(err)
	}
	s.OnEvents([]mailbox.Event{
		{Kind: mailbox.EventQuotaChanged, Account: s.alice.Account},
		{Kind: mailbox.EventCredentialsChanged, Account: mailbox.NewAccountID()},
	})
	if err := s.login(t, "secret"); err != nil {
		t.Errorf("forgotten by another's event: %v", err)
	}
	s.OnEvents([]mailbox.Event{{Kind: mailbox.EventCredentialsChanged, Account: s.alice.Account}})
	for _, name := range []string{"alice", "al"} {
		if _, err := s.Login(t.Context(), testRemote, name, "secret"); !errors.Is(err, ErrCredentials) {
			t.Errorf("%s: old password: %v", name, err)
		}
	}
	if err := s.login(t, "new"); err != nil {
		t.Error(err)
	}
}

// A login that read the user before the password changed must not bring the
// old password back after the event.
func TestChangeDuringLogin(t *testing.T) {
	s := newTestServer(t, func(o *Options) { o.Throttle.Disabled = true })
	s.store.read = func() {
		s.store.read = nil
		if err := s.SetPassword(t.Context(), "alice", "new"); err != nil {
			t.Error(err)
		}
		s.Forget(s.alice.Account)
	}
	if err := s.login(t, "secret"); err != nil {
		t.Fatal(err) // it was right when it was read
	}
	if err := s.login(t, "secret"); !errors.Is(err, ErrCredentials) {
		t.Errorf("old password: %v", err)
	}
}

func TestForgetAll(t *testing.T) {
	s := newTestServer(t, nil)
	if err := s.login(t, "secret"); err != nil {
		t.Fatal(err)
	}
	s.ForgetAll()
	if err := s.login(t, "secret"); err != nil || s.store.count() != 2 {
		t.Errorf("%v, asked %d times", err, s.store.count())
	}
}

func BenchmarkLoginWarm(b *testing.B) {
	s := newTestServer(b, nil)
	for b.Loop() {
		if err := s.login(b, "secret"); err != nil {
			b.Fatal(err)
		}
	}
}
