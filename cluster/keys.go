package cluster

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// KeySize is the size of a Key in bytes.
const KeySize = 32

// maxKeys is how many keys a cluster may have at once. More than two are needed in no rotation.
const maxKeys = 8

// A Key is a secret that all nodes have: gossip is encrypted with it (AES-256), and certificates for the streams come from it. It must be
// random. A passphrase would not do: whoever sees a certificate can try keys as fast as his machines go.
type Key [KeySize]byte

// NewKey returns a random key.
func NewKey() (k Key) {
	rand.Read(k[:])
	return k
}

// String writes the key as ParseKeys reads it.
func (k Key) String() string { return base64.StdEncoding.EncodeToString(k[:]) }

// ParseKeys reads a file of keys: one a line, in base64; empty lines and those that begin with # are passed over. The first key is
// the one that is used; all are accepted. Errors name the line and hold nothing of the keys.
func ParseKeys(b []byte) ([]Key, error) {
	var keys []Key
	lines := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		secret, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(secret) != KeySize {
			return nil, fmt.Errorf("line %d: not a key: want %d bytes in base64", n, KeySize)
		}
		keys = append(keys, Key(secret))
	}
	if lines.Err() != nil {
		return nil, errors.New("a line is too long for a key")
	}
	if err := checkKeys(keys); err != nil {
		return nil, err
	}
	return keys, nil
}

// checkKeys says whether a cluster can have these keys.
func checkKeys(keys []Key) error {
	if len(keys) == 0 || len(keys) > maxKeys {
		return fmt.Errorf("%d keys: want 1 to %d", len(keys), maxKeys)
	}
	for i, k := range keys {
		if k == (Key{}) {
			return errors.New("a key of zeros is none")
		}
		if slices.Contains(keys[:i], k) {
			return errors.New("a key is there twice")
		}
	}
	return nil
}
