package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// What new hashes have, in bytes (RFC 9106 §3.1 recommends a salt of 16).
const (
	saltLen = 16
	keyLen  = 32
)

// What a stored hash may ask for: whoever can write one must not be able to
// stop the server with it.
const (
	maxMemory  = 1 << 20 // KiB: 1 GiB
	maxTime    = 64
	maxThreads = 64
	maxCost    = 4 << 20 // memory * time: a few seconds
	minSalt    = 8
	maxSalt    = 64
	minKey     = 16
	maxKey     = 128
)

var (
	errNotPHC = errors.New("not an argon2id hash in PHC string format")
	errBounds = errors.New("argon2 parameters are out of bounds")
)

// params are the costs of Argon2id.
type params struct {
	memory  uint32 // KiB
	time    uint32
	threads uint8
}

func (p params) check() error {
	if p.threads < 1 || p.threads > maxThreads || p.time < 1 || p.time > maxTime ||
		p.memory < 8*uint32(p.threads) || p.memory > maxMemory || uint64(p.memory)*uint64(p.time) > maxCost {
		return errBounds
	}
	return nil
}

// A phc is a hash as it is stored: $argon2id$v=19$m=19456,t=2,p=1$salt$key.
type phc struct {
	params
	salt, key []byte
}

func (h phc) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, h.threads,
		base64.RawStdEncoding.EncodeToString(h.salt), base64.RawStdEncoding.EncodeToString(h.key))
}

// parsePHC reads what String wrote, and nothing else.
func parsePHC(s string) (h phc, err error) {
	parts := strings.SplitN(s, "$", 7)
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return phc{}, errNotPHC
	}
	costs := strings.SplitN(parts[3], ",", 4)
	if len(costs) != 3 {
		return phc{}, errNotPHC
	}
	memory, err1 := cost(costs[0], "m=", 32)
	time, err2 := cost(costs[1], "t=", 32)
	threads, err3 := cost(costs[2], "p=", 8)
	salt, err4 := decode(parts[4], minSalt, maxSalt)
	key, err5 := decode(parts[5], minKey, maxKey)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return phc{}, errNotPHC
	}
	h = phc{params{uint32(memory), uint32(time), uint8(threads)}, salt, key}
	return h, h.check()
}

func cost(s, prefix string, bits int) (uint64, error) {
	digits, ok := strings.CutPrefix(s, prefix)
	if !ok || strings.HasPrefix(digits, "0") || strings.HasPrefix(digits, "+") {
		return 0, errNotPHC
	}
	return strconv.ParseUint(digits, 10, bits)
}

func decode(s string, shortest, longest int) ([]byte, error) {
	// encoding/base64 passes over line ends.
	if len(s) > base64.RawStdEncoding.EncodedLen(longest) || strings.ContainsAny(s, "\r\n") {
		return nil, errNotPHC
	}
	b, err := base64.RawStdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) < shortest {
		return nil, errNotPHC
	}
	return b, nil
}
