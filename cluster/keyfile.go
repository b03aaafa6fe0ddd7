package cluster

import (
	"bytes"
	"errors"
	"slices"
	"strings"
)

var (
	errNoKey    = errors.New("the file of keys has no such key")
	errKeyInUse = errors.New("this node uses that key: use another one first")
)

// AddKey returns the content of a file of keys with k behind the others, or as it is if k is there. Comments stay where they are.
func AddKey(file []byte, k Key) ([]byte, error) {
	keys, err := ParseKeys(file)
	if err != nil {
		return nil, err
	}
	if slices.Contains(keys, k) {
		return file, nil
	}
	out := bytes.Clone(file)
	if !bytes.HasSuffix(out, []byte("\n")) {
		out = append(out, '\n')
	}
	out = append(append(out, k.String()...), '\n')
	return checked(out)
}

// UseKey returns the content of a file of keys with one of its keys as the first, which is the one that is used.
func UseKey(file []byte, f Fingerprint) ([]byte, error) {
	lines := splitKeys(file)
	at, first := lines.of(f), lines.first()
	if at < 0 {
		return nil, errNoKey
	}
	line := lines[at]
	lines = slices.Delete(lines, at, at+1)
	return checked(slices.Insert(lines, first, line).join())
}

// RemoveKey returns the content of a file of keys without one of them. The first cannot be removed: another must be in use before.
func RemoveKey(file []byte, f Fingerprint) ([]byte, error) {
	lines := splitKeys(file)
	at := lines.of(f)
	switch {
	case at < 0:
		return nil, errNoKey
	case at == lines.first():
		return nil, errKeyInUse
	}
	return checked(slices.Delete(lines, at, at+1).join())
}

// checked returns a file that is valid.
func checked(file []byte) ([]byte, error) {
	_, err := ParseKeys(file)
	return file, err
}

// keyLines are the lines of a file of keys, with their ends.
type keyLines []string

func splitKeys(file []byte) keyLines {
	lines := slices.Collect(strings.Lines(string(file)))
	if n := len(lines); n > 0 && !strings.HasSuffix(lines[n-1], "\n") {
		lines[n-1] += "\n"
	}
	return lines
}

func (l keyLines) join() []byte { return []byte(strings.Join(l, "")) }

// first returns the index of the first key.
func (l keyLines) first() int {
	return slices.IndexFunc(l, func(line string) bool { _, err := ParseKeys([]byte(line)); return err == nil })
}

// of returns the index of a key, or -1.
func (l keyLines) of(f Fingerprint) int {
	return slices.IndexFunc(l, func(line string) bool {
		keys, err := ParseKeys([]byte(line))
		return err == nil && keys[0].Fingerprint() == f
	})
}
