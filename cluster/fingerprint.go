package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// A Fingerprint names a Key without telling anything of it: keys are random, so nobody can try them all.
type Fingerprint [8]byte

// Fingerprint returns the key's name.
func (k Key) Fingerprint() (f Fingerprint) {
	h := sha256.New()
	h.Write([]byte("starling cluster key fingerprint v1\x00"))
	h.Write(k[:])
	copy(f[:], h.Sum(nil))
	return f
}

func fingerprints(keys []Key) (list []Fingerprint) {
	for _, k := range keys {
		list = append(list, k.Fingerprint())
	}
	return list
}

// String writes f as 16 hexadecimal digits.
func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// ParseFingerprint reads what String wrote.
func ParseFingerprint(s string) (f Fingerprint, err error) {
	if len(s) != hex.EncodedLen(len(f)) {
		return f, fmt.Errorf("fingerprint %q: want %d hexadecimal digits", s, hex.EncodedLen(len(f)))
	}
	if _, err := hex.Decode(f[:], []byte(s)); err != nil {
		return f, fmt.Errorf("fingerprint %q: want %d hexadecimal digits", s, hex.EncodedLen(len(f)))
	}
	return f, nil
}
