package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/starling-mail/starling/mailbox"
)

// CacheOptions bound what is remembered of verified credentials. A zero value
// takes the defaults.
type CacheOptions struct {
	// Life is for how long a verified login saves hashing the password again;
	// default 5 minutes. Negative: nothing is remembered.
	Life time.Duration
	Size int // how many users are remembered, default 20,000
}

// A seal stands for a name with a password. Without the key of the process
// that made it, it says nothing of either.
type seal [sha256.Size]byte

// A cache remembers whose password was verified. It holds no passwords: only
// seals, made with a key that lives as long as the process.
type cache struct {
	key  [32]byte
	life time.Duration

	mu         sync.Mutex
	generation uint64 // rises with everything forgotten
	verified   *table[string, verified]
}

type verified struct {
	seal    seal
	user    mailbox.User
	expires time.Time
}

func newCache(o CacheOptions) *cache {
	if o.Life == 0 {
		o.Life = 5 * time.Minute
	}
	if o.Size <= 0 {
		o.Size = 20_000
	}
	c := &cache{life: o.Life, verified: newTable[string, verified](o.Size)}
	rand.Read(c.key[:])
	return c
}

// seal makes the seal of a normalised name, which has no NUL, and a password.
func (c *cache) seal(name, password string) (s seal) {
	h := hmac.New(sha256.New, c.key[:])
	h.Write([]byte(name))
	h.Write([]byte{0})
	h.Write([]byte(password))
	h.Sum(s[:0])
	return s
}

// lookup returns the user if name was verified with that seal. If not, the
// generation is to be handed to remember, and the user read from the store only after this.
func (c *cache) lookup(name string, s seal) (u mailbox.User, generation uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.verified.get(name)
	if v == nil || !hmac.Equal(v.seal[:], s[:]) || time.Now().After(v.expires) {
		return mailbox.User{}, c.generation, false
	}
	return v.user, c.generation, true
}

// remember keeps a login that was just verified, unless anything was forgotten
// since generation: then the password verified may be one that was changed meanwhile.
func (c *cache) remember(name string, s seal, u mailbox.User, generation uint64) {
	if c.life < 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation == generation {
		*c.verified.at(name) = verified{seal: s, user: u, expires: time.Now().Add(c.life)}
	}
}

// forget drops what is known of an account, under whatever names it logged in.
// Changes of credentials are rare, so looking at every entry is cheap enough.
func (c *cache) forget(account mailbox.AccountID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	c.verified.removeIf(func(v *verified) bool { return v.user.Account == account })
}

// reset drops everything.
func (c *cache) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	c.verified.removeIf(func(*verified) bool { return true })
}
