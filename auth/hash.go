package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"runtime"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/text/secure/precis"

	"github.com/starling-mail/starling/mailbox"
)

// MaxPasswordLen is the longest password, in bytes. RFC 4616 §2 asks for at
// least 255.
const MaxPasswordLen = 1024

// HashOptions say what a password's hash costs. A zero value takes the default
// of each field, which together are OWASP's first recommendation.
type HashOptions struct {
	Memory  uint32 // KiB, default 19456 (19 MiB)
	Time    uint32 // passes over the memory, default 2
	Threads uint8  // lanes, default 1
	// Concurrent is how many hashes of these parameters may be computed at one time; the
	// rest wait. Default: the number of processors. It bounds the memory for hashing to
	// Concurrent * Memory, or one hash where a stored one asks for more.
	Concurrent int
}

// A Hasher makes and verifies password hashes: Argon2id (RFC 9106) in PHC
// string format. It may be used from any number of goroutines.
type Hasher struct {
	params params
	budget int64 // KiB
	memory *semaphore.Weighted

	counters hashCounters
}

// NewHasher returns a Hasher, or an error of kind Cannot where a parameter is
// out of the bounds within which hashes are read back.
func NewHasher(o HashOptions) (*Hasher, error) {
	if o.Memory == 0 {
		o.Memory = 19 * 1024
	}
	if o.Time == 0 {
		o.Time = 2
	}
	if o.Threads == 0 {
		o.Threads = 1
	}
	if o.Concurrent <= 0 {
		o.Concurrent = runtime.GOMAXPROCS(0)
	}
	p := params{memory: o.Memory, time: o.Time, threads: o.Threads}
	if err := p.check(); err != nil {
		return nil, &mailbox.Error{Kind: mailbox.Cannot, Op: "password hash", Text: err.Error()}
	}
	budget := int64(o.Memory) * int64(o.Concurrent)
	return &Hasher{params: p, budget: budget, memory: semaphore.NewWeighted(budget)}, nil
}

// Hash returns the hash of password with a new random salt. It waits for its
// turn; a context that ends gives kind Unavailable.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltLen)
	rand.Read(salt)
	key, err := h.derive(ctx, password, h.params, salt, keyLen)
	if err != nil {
		return "", err
	}
	return phc{params: h.params, salt: salt, key: key}.String(), nil
}

// Verify reports whether hash is one of password, with the parameters that the
// hash names. A hash that cannot be read is kind Corrupt.
func (h *Hasher) Verify(ctx context.Context, hash, password string) (bool, error) {
	stored, err := parsePHC(hash)
	if err != nil {
		return false, &mailbox.Error{Kind: mailbox.Corrupt, Op: "verify password", Err: err}
	}
	key, err := h.derive(ctx, password, stored.params, stored.salt, len(stored.key))
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(key, stored.key) == 1, nil
}

// NeedsRehash reports whether hash was made with other parameters than new
// ones are.
func (h *Hasher) NeedsRehash(hash string) bool {
	stored, err := parsePHC(hash)
	return err != nil || stored.params != h.params
}

// spend takes as long as Verify with a hash of the present parameters.
func (h *Hasher) spend(ctx context.Context, password string) error {
	_, err := h.derive(ctx, password, h.params, make([]byte, saltLen), keyLen)
	return err
}

// derive computes the key, never using more memory at a time than the budget,
// or than one hash that is larger.
func (h *Hasher) derive(ctx context.Context, password string, p params, salt []byte, length int) ([]byte, error) {
	share := min(int64(p.memory), h.budget)
	h.counters.waiting.Add(1)
	err := h.memory.Acquire(ctx, share)
	h.counters.waiting.Add(-1)
	if err != nil {
		return nil, &mailbox.Error{Kind: mailbox.Unavailable, Op: "hash password", Err: err}
	}
	defer h.memory.Release(share)
	h.counters.running.Add(1)
	defer h.counters.running.Add(-1)
	h.counters.done.Add(1)
	return argon2.IDKey([]byte(prepare(password)), salt, p.time, p.memory, p.threads, uint32(length)), nil
}

// prepare brings a password into the form of RFC 8265 §4.2 (OpaqueString), so
// that it is the same from a system that composes accents and from one that does
// not. What the profile refuses stays as it is: it may have been accepted elsewhere.
func prepare(password string) string {
	for i := range len(password) {
		if password[i] >= utf8.RuneSelf {
			if s, err := precis.OpaqueString.String(password); err == nil {
				return s
			}
			break
		}
	}
	return password
}
